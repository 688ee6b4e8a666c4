"""Where a key stands in a TOML text."""

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatepost.model.settings_lines import Path, find_lines, line_of


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("a = 1", ("a",), 1),
        ("\n\n a = 1", ("a",), 3),
        ("# x\r\na = 1\r\nb = 2\r\n", ("b",), 3),
        ("a.b.c = 1", ("a", "b", "c"), 1),
        ('x = 1\n"a.b" = 1', ("a.b",), 2),
        ("x = 1\n'a \"b' = 1", ('a "b',), 2),
        ('x = 1\n"a\\u0041" = 1', ("aA",), 2),
        ("[t]\na = 1", ("t", "a"), 2),
        ("[ t . u ]\na = 1", ("t", "u", "a"), 2),
        ("[[l]]\na = 1\n[[l]]\na = 2", ("l", 1, "a"), 4),
        ("[[l]]\na = 1\n[[l]]\na = 2", ("l", 1), 3),
        ("[[l]]\n[[l.m]]\na = 1\n[[l]]\n[[l.m]]\na = 2", ("l", 1, "m", 0, "a"), 6),
        ("[[l]]\n[l.t]\na = 1", ("l", 0, "t", "a"), 3),
        ("a = [\n  1, # one\n  2,\n]\nb = 1", ("a", 1), 3),
        ("a = [\n  1, # one\n  2,\n]\nb = 1", ("b",), 5),
        ("a = [[1,\n2],\n[3]]", ("a", 0, 1), 2),
        ("a = { b = 1, c = { d = 2 } }\ne = 1", ("a", "c", "d"), 1),
        ("a = { b = 1, c = { d = 2 } }\ne = 1", ("e",), 2),
        ('a = """\nb = 1\n"""\nc = 1', ("c",), 4),
        ("a = '''\nb = '1''\n'''\nc = 1", ("c",), 4),
        ('a = "x \\" # y"\nc = 1', ("c",), 2),
        ('a = """x\\"""" # "\nc = 1', ("c",), 2),
        ("a = 1979-05-27 07:32:00 # t\nc = 1", ("c",), 2),
    ],
)
def test_a_key_is_found_on_its_line(text: str, path: Path, line: int) -> None:
    tomllib.loads(text)
    assert find_lines(text)[path] == line


def test_what_looks_like_a_key_inside_a_text_is_none() -> None:
    lines = find_lines('a = """\nb = 1\n[[c]]\n"""\n# d = 1\n')
    assert set(lines) == {("a",)}


def test_a_path_that_is_not_there_has_the_line_of_what_is_around_it() -> None:
    lines = find_lines("\n[tls]\ncertificate = 1\n")
    assert line_of(lines, ("tls", "private_key")) == 2
    assert line_of(lines, ("hostname",)) == 1


@given(st.text())
def test_any_text_ends_without_an_exception(text: str) -> None:
    assert all(line >= 1 for line in find_lines(text).values())


@given(st.text(alphabet="[]{}=.,#\"'\\\n a1", max_size=60))
def test_text_of_toml_signs_ends_without_an_exception(text: str) -> None:
    find_lines(text)


_KEYS = st.text(alphabet="abc_-1", min_size=1, max_size=3)
_SCALARS = st.one_of(
    st.integers(-99, 99).map(str),
    st.booleans().map(lambda b: str(b).lower()),
    st.text(alphabet="ab #=[]{},'.", max_size=8).map(lambda t: f'"{t}"'),
    st.text(alphabet='ab #=[]{},".\n', max_size=12).map(lambda t: f"'''\n{t}'''"),
    st.text(alphabet="ab #=[]{},'.\n", max_size=12).map(lambda t: f'"""\n{t}"""'),
)
_VALUES = st.one_of(
    _SCALARS,
    st.lists(_SCALARS, max_size=4).map(lambda s: "[\n" + "".join(f" {v}, # ,]\n" for v in s) + "]"),
    st.lists(_SCALARS.filter(lambda s: "\n" not in s), max_size=3).map(
        lambda s: "{" + ", ".join(f"k{n} = {v}" for n, v in enumerate(s)) + "}"
    ),
)
_TABLES = st.tuples(st.booleans(), _KEYS, st.dictionaries(_KEYS, _VALUES, max_size=4))


@given(st.lists(_TABLES, max_size=6), st.sampled_from(["\n", "\r\n"]))
@settings(max_examples=300)
def test_every_key_that_tomllib_reads_is_found_where_it_was_written(
    tables: list[tuple[bool, str, dict[str, str]]], line_end: str
) -> None:
    written: dict[Path, int] = {}
    text: list[str] = []
    counts: dict[str, int] = {}
    for is_array, name, pairs in tables:
        # Arrays and tables get different names, so that the document is always good TOML.
        if is_array:
            key = f"array_{name}"
            path: Path = (key, counts.get(key, 0))
            text.append(f"[[{key}]] # [[no]]")
            counts[key] = counts.get(key, 0) + 1
        else:
            key = f"table_{name}_{len(text)}"
            path = (key,)
            text.append(f"[ {key} ]")
        written[path] = _line(text)
        for inner, value in pairs.items():
            text += ["# between", f"{inner} = {value}"]
            written[*path, inner] = _line(text) - value.count("\n")
    document = line_end.join("\n".join(text).split("\n"))
    tomllib.loads(document)
    found = find_lines(document)
    assert {path: found.get(path) for path in written} == written
    assert set(found) >= set(_paths(tomllib.loads(document)))


def _line(text: list[str]) -> int:
    return sum(part.count("\n") + 1 for part in text)


def _paths(value: object, path: Path = ()) -> list[Path]:
    inner: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    found = [path] if path else []
    for key, part in inner:
        found += _paths(part, (*path, key))
    return found
