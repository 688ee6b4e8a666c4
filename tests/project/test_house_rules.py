"""Rules of CONTRIBUTING.md that no linter knows."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
ALL = [*SOURCES, *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "scripts").glob("*.py"))]
CATALOGUE = ROOT / "src/gatepost/wire/smtp/replies.py"
#: Lines of a source file. A test's table of cases may be longer than what it tests.
LONGEST = 450
REPLY = re.compile(rb"[245][0-9][0-9][ -]")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_a_file_has_one_subject() -> None:
    forbidden = {"utils", "helpers", "manager", "base", "common", "misc"}
    assert [name(p) for p in SOURCES if _length(p) > LONGEST] == []
    assert [name(p) for p in ALL if p.stem in forbidden] == []


def _length(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_a_module_says_what_it_is() -> None:
    assert [name(p) for p in SOURCES if not ast.get_docstring(ast.parse(p.read_text()))] == []


def test_replies_are_said_in_the_catalogue_only() -> None:
    said = [
        (name(path), text)
        for path in SOURCES
        if path != CATALOGUE
        for text in _texts(ast.parse(path.read_text()))
        if REPLY.match(text)
    ]
    assert said == []


def _texts(tree: ast.Module) -> Iterator[bytes]:
    """Every string of a module but its docstrings."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            if isinstance(node.value, str):
                yield node.value.encode()
            elif isinstance(node.value, bytes):
                yield node.value


@pytest.mark.parametrize("path", sorted((ROOT / "constraints").glob("*.txt")), ids=name)
def test_every_pin_has_hashes_and_names_no_host(path: Path) -> None:
    text = path.read_text()
    assert "://" not in text
    assert "--index" not in text
    pins = [block for block in re.split(r"\n(?=[a-z])", text) if not block.startswith("#")]
    assert pins
    assert [pin for pin in pins if "==" not in pin or "--hash=sha256:" not in pin] == []


def test_every_runtime_dependency_is_pinned() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    wanted = re.findall(r'^ {4}"([a-z0-9-]+)>=', project, re.MULTILINE)
    pinned = (ROOT / "constraints/develop.txt").read_text()
    docs = (ROOT / "constraints/docs.txt").read_text()
    assert [n for n in wanted if f"\n{n}==" not in pinned and f"\n{n}==" not in docs] == []
