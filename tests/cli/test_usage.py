"""How the parameters of a function become arguments and options."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pytest
from click.testing import CliRunner

from gatepost.cli import usage


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


app = usage.Commands(help="Shown: commands for tests.")
seen: list[object] = []


@app.command()
def paint(
    ctx: usage.Context,
    what: Annotated[list[str], usage.Argument(metavar="WHAT", help="What to paint.")],
    colour: Annotated[Colour, usage.Option("--colour", help="In which.")] = Colour.RED,
    coats: Annotated[int, usage.Option("--coats", min=1, max=3)] = 2,
    over: Annotated[list[str] | None, usage.Option("--over")] = None,
    file: Annotated[Path | None, usage.Option("-f", "--file")] = None,
    wet: Annotated[bool, usage.Option("--wet")] = False,
    shiny: Annotated[bool | None, usage.Option("--shiny/--dull")] = None,
) -> None:
    """Paint things.

    More of it.
    """
    seen.append((ctx.info_name, what, colour, coats, over, file, wet, shiny))


@app.command("list", help="Tell all.")
def list_(folder: Annotated[Path, usage.Argument(help="Where.")] = Path()) -> None:
    seen.append(folder)


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("paint a", ("paint", ["a"], Colour.RED, 2, None, None, False, None)),
        (
            "paint a b --colour blue --coats 3 --over x --over y -f z --wet --dull",
            ("paint", ["a", "b"], Colour.BLUE, 3, ["x", "y"], Path("z"), True, False),
        ),
        ("paint a --shiny", ("paint", ["a"], Colour.RED, 2, None, None, False, True)),
        ("list", Path()),
        ("list there", Path("there")),
    ],
)
def test_what_is_given_arrives_in_its_type(words: str, given: object) -> None:
    seen.clear()
    done = CliRunner().invoke(app.build("thing"), words.split())
    assert (done.exit_code, seen) == (0, [given])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("paint", "Missing argument 'WHAT"),
        ("paint a --coats 4", "4 is not in the range 1<=x<=3"),
        ("paint a --coats x", "not a valid integer"),
        ("paint a --colour green", "'green' is not one of 'red', 'blue'"),
        ("pain a", "No such command 'pain'. Did you mean 'paint'?"),
        ("paint a --what", "No such option"),
    ],
)
def test_what_cannot_be_is_said(words: str, said: str) -> None:
    done = CliRunner().invoke(app.build("thing"), words.split())
    assert done.exit_code == 2
    assert said in done.stderr


def test_the_help_of_a_group_has_the_first_paragraph_of_each_command() -> None:
    done = CliRunner().invoke(app.build("thing"), ["--help"])
    assert done.exit_code == 0
    assert [line.split(None, 1) for line in done.stdout.splitlines()[-2:]] == [
        ["paint", "Paint things."],
        ["list", "Tell all."],
    ]


def test_the_help_of_a_command_names_arguments_options_and_defaults() -> None:
    done = CliRunner().invoke(app.build("thing"), ["paint", "-h"])
    assert "Usage: thing paint [OPTIONS] WHAT" in done.stdout
    assert "What to paint." in done.stdout
    assert "[default: 2; 1<=x<=3]" in done.stdout
    assert "More of it." in done.stdout


def test_a_module_with_one_command_is_that_command() -> None:
    one = usage.Commands()
    one.command()(list_)
    seen.clear()
    assert CliRunner().invoke(one.build("one"), ["here"]).exit_code == 0
    assert seen == [Path("here")]
