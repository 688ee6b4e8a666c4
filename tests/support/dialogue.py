"""Dialogues written as scripts, played to a conversation in memory or to a real server.

A script is lines of `KEY: text`:

    C: sent with CRLF                  S: a reply line that must come (may hold * wildcards)
    R: Python bytes literal, sent raw  TLS: shake hands now (after STARTTLS)
    N: COUNT OCTETS, sent so often     (a long line is a few R and N)
    CLOSED: the server must close      #: a comment; "# role: mx" and the like set the scene

Header keys: role (submission, submissions, mx), mode (memory: only in memory, where the scene
cannot be had on a real server).
"""

import ast
import fnmatch
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

#: What EHLO says of extensions may be left out of a script that is about something else.
MAY_BE = ("250-DSN", "250-MT-PRIORITY", "250-FUTURERELEASE ")
FOLDER = Path(__file__).parents[1] / "dialogues"


class Line(Protocol):
    """One end of a connection, as a script uses it."""

    async def send(self, octets: bytes) -> None: ...

    async def reply_line(self) -> str | None:
        """Return the next line without CRLF, None at the end."""
        ...

    async def start_tls(self) -> None: ...


@dataclass
class Script:
    name: str
    scene: dict[str, str] = field(default_factory=dict)
    steps: list[tuple[int, str, str]] = field(default_factory=list)

    @property
    def role(self) -> str:
        return self.scene.get("role", "submission")


def load(path: Path) -> Script:
    script = Script(path.stem)
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("#"):
            key, colon, value = line[1:].partition(":")
            if colon and not script.steps:
                script.scene[key.strip()] = value.strip()
        elif line.strip():
            key, _, text = line.partition(":")
            script.steps.append((number, key.strip(), text.removeprefix(" ")))
    return script


def scripts() -> list[Script]:
    return [load(path) for path in sorted(FOLDER.glob("*.txt"))]


async def play(script: Script, line: Line) -> list[str]:
    """Play a script; returns all reply lines. An AssertionError names the script's line."""
    heard: list[str] = []
    for number, key, text in script.steps:
        where = f"{script.name}.txt:{number}"
        if key == "C":
            await line.send(text.encode("latin-1") + b"\r\n")
        elif key == "R":
            await line.send(ast.literal_eval(text.strip()))
        elif key == "N":
            count, _, octets = text.partition(" ")
            await line.send(octets.encode("latin-1") * int(count))
        elif key == "TLS":
            await line.start_tls()
        elif key == "CLOSED":
            rest = await line.reply_line()
            assert rest is None, f"{where}: should be closed, but said {rest!r}"
        elif key == "S":
            got = await line.reply_line()
            pattern = text.replace("[", "[[]") + ("" if "*" in text else "*")
            while got and got.startswith(MAY_BE) and not fnmatch.fnmatchcase(got, pattern):
                got = await line.reply_line()
            assert got is not None, f"{where}: closed, should say {text!r}"
            heard.append(got)
            assert fnmatch.fnmatchcase(got, pattern), f"{where}: {text!r} is not {got!r}"
        else:
            raise AssertionError(f"{where}: {key}?")
    return heard


Play = Callable[[Script], Awaitable[list[str]]]
