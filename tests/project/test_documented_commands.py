"""Every `gatepost …` that the docs tell to type is one that the program takes: verbs, options and arguments."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gatepost.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "tutorial").glob("*.md")),
    *sorted((ROOT / "docs" / "how-to").glob("*.md")),
]
#: What ends a command in a shell.
_END = re.compile(r"\s(?:\||&&|;|#|>>?|<)\s|\s#")
_TYPED = re.compile(r"^(?:\$ )?(?:.*(?:&& |\| |; |\$\())?((?:\S*/)?gatepost (?:-c \S+ )?[a-z].*)$")


def typed(page: Path) -> Iterator[str]:
    """Yield the commands in the blocks of a page."""
    text = page.read_text().replace("\\\n", " ")
    is_fenced = False
    for line in text.splitlines():
        if line.startswith("```"):
            is_fenced = not is_fenced
        elif (is_fenced or line.startswith("    ")) and (found := _TYPED.match(line.strip())):
            yield _END.split(found[1])[0].removesuffix(")")


COMMANDS = [(page.name, line) for page in PAGES for line in typed(page)]


def test_there_are_some() -> None:
    assert len(COMMANDS) > 100


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=[f"{p}: {c}" for p, c in COMMANDS])
def test_a_documented_command_is_one(page: str, line: str) -> None:
    words = shlex.split(line)[1:]
    if words[0] == "-c":
        del words[:2]
    command: click.Command = app
    with click.Context(app, info_name="gatepost") as ctx:
        while isinstance(command, click.Group):
            name = words.pop(0)
            found = command.get_command(ctx, name)
            assert found is not None, name
            command = found
        command.make_context("it", words, parent=ctx)
