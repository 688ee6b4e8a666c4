"""The validator of data/refusals.toml: every fault at once, each with its mend."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gatepost.model.wrong import Wrong, WrongValueError
from gatepost.operate.probe_finding import Grade
from gatepost.operate.probe_seen import Stage
from gatepost.operate.probe_texts import Provider, Text, Texts

_PROVIDER: Final[Mapping[str, type]] = {
    "name": str, "title": str, "hosts": list, "greetings": list, "starttls": bool, "password": str,
}  # fmt: skip
_TEXT: Final[Mapping[str, type]] = {
    "name": str, "at": list, "codes": list, "what": str, "cause": str, "mend": str,
    "provider": str, "status": str, "words": list, "grade": str, "anywhere": bool,
}  # fmt: skip
_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "providers": ("name", "title"),
    "texts": ("name", "at", "codes", "what", "cause", "mend"),
}
_STAGES: Final = frozenset(stage.value for stage in Stage)
_GRADES: Final = frozenset(grade.value for grade in Grade)


def read_texts(tables: Mapping[str, Any]) -> Texts:
    """Return the file's tables as values.

    Raises:
        WrongValueError: with everything that is wrong.

    """
    wrongs = list(_shape(tables))
    if not wrongs:
        wrongs = list(_content(tables))
    if wrongs:
        raise WrongValueError(wrongs)
    texts = Texts(
        tuple(_provider(table) for table in tables.get("providers", ())),
        tuple(_text(table) for table in tables.get("texts", ())),
    )
    if hidden := list(_hidden(texts.texts)):
        raise WrongValueError(hidden)
    return texts


def _provider(table: Mapping[str, Any]) -> Provider:
    lists = {key: tuple(v) for key, v in table.items() if isinstance(v, list)}
    return Provider(**(dict(table) | lists))


def _text(table: Mapping[str, Any]) -> Text:
    lists: dict[str, Any] = {key: tuple(v) for key, v in table.items() if isinstance(v, list)}
    lists["at"] = tuple(Stage(stage) for stage in table["at"])
    lists["grade"] = Grade(table.get("grade", Grade.PROBLEM))
    return Text(**(dict(table) | lists))


def _shape(tables: Mapping[str, Any]) -> Iterator[Wrong]:
    """Known keys, of the right kind, none missing."""
    kinds = {"providers": _PROVIDER, "texts": _TEXT}
    for section, entries in tables.items():
        if section not in kinds or not isinstance(entries, list):
            yield Wrong(f"[[{section}]] is unknown", "write [[providers]] or [[texts]]", (section,))
            continue
        for number, table in enumerate(entries):
            yield from _keys(table, kinds[section], _NEEDED[section], (section, number))


def _keys(
    table: Mapping[str, Any],
    kinds: Mapping[str, type],
    needed: tuple[str, ...],
    at: tuple[str | int, ...],
) -> Iterator[Wrong]:
    for key in needed:
        if not table.get(key):
            yield Wrong(f"{key} is missing", "every entry needs it", (*at, key))
    for key, value in table.items():
        if key not in kinds:
            yield Wrong(f"{key} is unknown", f"known are {', '.join(kinds)}", (*at, key))
        elif not isinstance(value, kinds[key]):
            yield Wrong(f"{key} should be {kinds[key].__name__}", "see the others", (*at, key))


def _content(tables: Mapping[str, Any]) -> Iterator[Wrong]:
    """Names that are unique and known, codes of refusals, words as they are compared."""
    yield from _twice(tables)
    providers = {table["name"] for table in tables.get("providers", ())}
    for number, table in enumerate(tables.get("providers", ())):
        for key in ("hosts", "greetings"):
            yield from _lower(table.get(key, ()), ("providers", number, key))
    for number, table in enumerate(tables.get("texts", ())):
        at = ("texts", number)
        yield from _lower(table.get("words", ()), (*at, "words"))
        if table.get("provider", "") not in {"", *providers}:
            yield Wrong("there is no such provider", "add it to [[providers]]", (*at, "provider"))
        if unknown := set(map(str, table["at"])) - _STAGES:
            yield Wrong(f"no such step: {', '.join(sorted(unknown))}", "see Stage", (*at, "at"))
        if table.get("anywhere") and not table.get("words"):
            yield Wrong("anywhere needs words", "say what nobody else says", (*at, "words"))
        if table.get("grade", Grade.PROBLEM) not in _GRADES:
            yield Wrong("no such grade", f"write {' or '.join(sorted(_GRADES))}", (*at, "grade"))
        if any(not isinstance(code, int) or not 400 <= code <= 599 for code in table["codes"]):
            yield Wrong("a code is no refusal", "write numbers from 400 to 599", (*at, "codes"))


def _twice(tables: Mapping[str, Any]) -> Iterator[Wrong]:
    for section in ("providers", "texts"):
        names = [table["name"] for table in tables.get(section, ())]
        for number, name in enumerate(names):
            if name in names[:number]:
                yield Wrong(f'"{name}" is there twice', "name it otherwise", (section, number))


def _lower(words: list[Any], at: tuple[str | int, ...]) -> Iterator[Wrong]:
    for word in words:
        if not isinstance(word, str) or not word or word != word.lower():
            yield Wrong(f"{word!r} is not in lower case", "comparisons are in lower case", at)


def _hidden(texts: tuple[Text, ...]) -> Iterator[Wrong]:
    """Texts that can never be chosen, because an earlier one fits whatever they fit."""
    for number, later in enumerate(texts):
        for earlier in texts[:number]:
            if _covers(earlier, later):
                what = f'"{later.name}" is never chosen: "{earlier.name}" stands before it'
                yield Wrong(what, "put the more general one behind", ("texts", number))


def _covers(earlier: Text, later: Text) -> bool:
    return (
        earlier.provider in {"", later.provider}
        and set(later.at) <= set(earlier.at)
        and set(later.codes) <= set(earlier.codes)
        and earlier.status in {"", later.status}
        and (
            not earlier.words
            or (
                bool(later.words)
                and all(any(e in words for e in earlier.words) for words in later.words)
            )
        )
    )
