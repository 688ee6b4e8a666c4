"""Where a key stands in a TOML text: path -> line (TOML 1.0.0).

tomllib reads values but forgets lines. This scanner is told only texts that tomllib has read, so
it needs to tell strings, comments and brackets apart and nothing else; on any other text it ends
early with what it has found.
"""

import contextlib
import re
from typing import Final

#: ("listeners", 0, "role"): keys, and places in arrays.
Path = tuple[str | int, ...]

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE: Final = re.compile(r"[^,\]}#\n]*")
_STRINGS: Final = (
    re.compile(r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}', re.DOTALL),
    re.compile(r"'''(?:[^']|'{1,2}(?!'))*'{3,5}", re.DOTALL),
    re.compile(r'"(?:[^"\\\n]|\\.)*"'),
    re.compile(r"'[^'\n]*'"),
)
_ESCAPE: Final = re.compile(r'\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([btnfr"\\]))')
_PLAIN_ESCAPES: Final = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r"}


class _LostError(Exception):
    """The text is not TOML here."""


def find_lines(text: str) -> dict[Path, int]:
    """Return the line (from 1) of every table header, key and array element in a TOML text.

    A path that is written several times (a table opened in parts) has its first line.
    """
    scanner = _Scanner(text)
    with contextlib.suppress(_LostError, RecursionError):
        scanner.document()
    return scanner.lines


def line_of(lines: dict[Path, int], path: Path) -> int:
    """Return the line of a path, or of the nearest thing around it; 1 where there is none."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return 1


class _Scanner:
    """Walks over a text once."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._text = text
        self._at = 0
        self._line = 1
        self._counted = 0
        self._arrays: dict[Path, int] = {}

    def document(self) -> None:
        """Take statements up to the end."""
        table: Path = ()
        self._take(_BLANK)
        while self._at < len(self._text):
            if self._text.startswith("[", self._at):
                table = self._header()
            else:
                self._pair(table)
            self._take(_BLANK)

    def _header(self) -> Path:
        is_array = self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        line = self._here()
        keys = self._keys()
        self._at += 2 if is_array else 1
        path: Path = ()
        for key in keys[:-1]:
            path = self._into((*path, key))
        path = (*path, keys[-1])
        if is_array:
            self._note(path, line)
            number = self._arrays.get(path, -1) + 1
            self._arrays[path] = number
            path = (*path, number)
        self._note(path, line)
        return path

    def _into(self, path: Path) -> Path:
        """Return the newest element where `path` is an array of tables."""
        return (*path, self._arrays[path]) if path in self._arrays else path

    def _pair(self, table: Path) -> None:
        line = self._here()
        path = table
        for key in self._keys():
            path = (*path, key)
            self._note(path, line)
        self._expect("=")
        self._take(_SPACE)
        self._value(path)

    def _keys(self) -> list[str]:
        keys = []
        while True:
            self._take(_SPACE)
            keys.append(self._key())
            self._take(_SPACE)
            if not self._text.startswith(".", self._at):
                return keys
            self._at += 1

    def _key(self) -> str:
        quote = self._text[self._at : self._at + 1]
        if quote == '"':
            return _ESCAPE.sub(_unescaped, self._take(_STRINGS[2], required=True)[1:-1])
        if quote == "'":
            return self._take(_STRINGS[3], required=True)[1:-1]
        return self._take(_BARE_KEY, required=True)

    def _value(self, path: Path) -> None:
        opening = self._text[self._at : self._at + 1]
        if opening == "[":
            self._array(path)
        elif opening == "{":
            self._inline_table(path)
        elif opening in {'"', "'"}:
            self._string()
        else:
            self._take(_BARE_VALUE)

    def _string(self) -> None:
        for form in _STRINGS:
            if self._take(form):
                return
        raise _LostError

    def _array(self, path: Path) -> None:
        self._at += 1
        number = 0
        while True:
            self._take(_BLANK)
            if self._closes("]"):
                return
            element = (*path, number)
            self._note(element, self._here())
            self._value(element)
            self._take(_BLANK)
            if not self._text.startswith("]", self._at):
                self._expect(",")
            number += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while True:
            self._take(_BLANK)
            if self._closes("}"):
                return
            self._pair(path)
            self._take(_BLANK)
            if not self._text.startswith("}", self._at):
                self._expect(",")

    def _closes(self, bracket: str) -> bool:
        if not self._text.startswith(bracket, self._at):
            return False
        self._at += 1
        return True

    def _expect(self, sign: str) -> None:
        if not self._closes(sign):
            raise _LostError

    def _take(self, form: re.Pattern[str], *, required: bool = False) -> str:
        found = form.match(self._text, self._at)
        if found is None or (required and not found[0]):
            if required:
                raise _LostError
            return ""
        self._at = found.end()
        return found[0]

    def _here(self) -> int:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def _note(self, path: Path, line: int) -> None:
        self.lines.setdefault(path, line)


def _unescaped(found: re.Match[str]) -> str:
    code = found[1] or found[2]
    if code:
        number = int(code, 16)
        return chr(number) if number <= 0x10FFFF else ""
    return _PLAIN_ESCAPES.get(found[3], found[3])
