"""The examples in the help are what the commands take."""

import shlex

import click
import pytest

from gatepost.cli.app import app
from gatepost.cli.examples import EXAMPLES

LINES = [(name, line) for name, lines in EXAMPLES.items() for line in lines]


@pytest.mark.parametrize(("name", "line"), LINES, ids=[line for _, line in LINES])
def test_an_example_is_understood(name: str, line: str) -> None:
    _, _, typed = line.rpartition("| ")
    words = shlex.split(typed.partition(" < ")[0].partition(" > ")[0])
    assert words[0] == "gatepost"
    command: click.Command = app
    given = words[1:]
    with click.Context(app, info_name="gatepost") as ctx:
        while isinstance(command, click.Group):
            found = command.get_command(ctx, given.pop(0))
            assert found is not None
            command = found
        assert words[1 : len(words) - len(given)] == name.split()
        command.make_context(name, given, parent=ctx)
