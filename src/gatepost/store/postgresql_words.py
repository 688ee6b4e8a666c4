"""SQL of both databases said to PostgreSQL (`statements`): each text is put into its words once."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

#: Who writes one of these changes what other workers keep in memory.
_TOLD: Final = {
    "account",
    "account_rule",
    "api_key",
    "credential",
    "dkim_key",
    "domain",
    "domain_claim",
    "egress_pause",
    "guessing",
    "suppression",
}
_WRITES: Final = re.compile(r"\s*(?:INSERT INTO|UPDATE|DELETE FROM) (\w+)", re.ASCII)
#: When something was used last is nothing that others keep in memory, and is written all the time.
_USES: Final = re.compile(r"\s*UPDATE (?:credential|api_key) SET last_used_at = ", re.ASCII)
_VALUE: Final = re.compile(r"\?(\d*)")
_NO_CASE: Final = re.compile(r"([\w.]+) = \? COLLATE NOCASE")
_INDEXED: Final = re.compile(r" INDEXED BY \w+")
_IN_LIST: Final = re.compile(r"IN\s+\(SELECT value FROM json_each\((\?\d*)\)\)")
_LIST: Final = re.compile(r"json_each\((\?\d*)\)")
#: What JSON can spell and PostgreSQL's text cannot hold: NUL, and half a character.
_UNSPEAKABLE: Final = re.compile(r"\\u(?:0000|d[89a-f])", re.IGNORECASE)
_REPLACEMENT: Final = "\ufffd"


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as PostgreSQL takes it, with $1 for a value.

    `told`: others are to hear of it at once. `lists`: some of its values are lists in JSON.
    """

    text: bytes
    told: bool
    lists: bool


@lru_cache(maxsize=1024)
def statement(sql: str) -> Statement:
    """Return a statement in PostgreSQL's words."""
    words = _INDEXED.sub("", sql.replace(" CROSS JOIN ", " JOIN "))
    words = _NO_CASE.sub(r'lower(\1) = lower(? COLLATE "C")', words)
    words = _IN_LIST.sub(r"= ANY (ARRAY(SELECT json_array_elements_text(\1::json)))", words)
    words = _LIST.sub(r"json_array_elements(\1::json)", words)
    written = _WRITES.match(words)
    told = written is not None and written[1] in _TOLD and not _USES.match(words)
    return Statement(_numbered(words).encode(), told, "json_array_elements" in words)


def _numbered(words: str) -> str:
    count = 0

    def place(found: re.Match[str]) -> str:
        nonlocal count
        if not found[1]:
            count += 1
        return f"${found[1] or count}"

    return _VALUE.sub(place, words)


def values(of: Statement, bindings: Iterable[Any]) -> list[Any]:
    """Return what is bound, without characters that PostgreSQL's text cannot hold."""
    bound = list(bindings)
    for at, value in enumerate(bound):
        if type(value) is str:
            if "\0" in value:
                bound[at] = value.replace("\0", _REPLACEMENT)
            elif of.lists and _UNSPEAKABLE.search(value):
                bound[at] = json.dumps(_spoken(json.loads(value)), ensure_ascii=False)
    return bound


def _spoken(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\0", _REPLACEMENT)
    if isinstance(value, list):
        return [_spoken(each) for each in value]
    if isinstance(value, dict):
        return {_spoken(name): _spoken(each) for name, each in value.items()}
    return value
