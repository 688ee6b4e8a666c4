"""`gatepost init`: a first set-up."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from gatepost.cli import usage
from gatepost.cli.context import fail, say

if TYPE_CHECKING:
    from gatepost.operate.init import SetUp

app: Final = usage.Commands()


@app.command()
def init(
    directory: Annotated[
        Path, usage.Argument(metavar="[DIR]", help="Where to; made if need be.")
    ] = Path(),
    hostname: Annotated[
        str | None,
        usage.Option("--hostname", metavar="NAME", help="This server's name; else this machine's."),
    ] = None,
    listen_all: Annotated[
        bool,
        usage.Option(
            "--listen-all",
            help="Ports 587, 465 and 25 on all addresses, instead of 2587, 2465 and 2525 on "
            "loopback.",
        ),
    ] = False,
    capture: Annotated[
        bool,
        usage.Option("--capture", help="Keep all mail for looking at; nothing leaves the machine."),
    ] = False,
) -> None:
    """Write a commented gatepost.toml, a state directory and a self-signed certificate."""
    from gatepost.model.domain_name import parse_full_domain  # noqa: PLC0415
    from gatepost.model.wrong import WrongValueError  # noqa: PLC0415
    from gatepost.operate import init as verb  # noqa: PLC0415

    try:
        name = parse_full_domain(hostname) if hostname is not None else verb.guess_hostname()
        listeners = verb.EVERYWHERE if listen_all else verb.LOOPBACK
        made = verb.init(directory, name, listeners=listeners, capture=capture)
    except WrongValueError as error:
        fail(f"--hostname: {error.wrongs[0].what}", error.wrongs[0].mend)
    except verb.InitError as error:
        fail(error.what, error.mend)
    _print_next_steps(made)


def _print_next_steps(made: "SetUp") -> None:
    say(f"Wrote {made.config} for {made.hostname}.")
    for path in made.kept:
        say(f"Kept {path}, which was there.")
    for address, role in made.listeners:
        say(f"  {role:<12} {address}")
    if made.hostname == "localhost":
        say('\nThis machine knows no full name of its own: mend "hostname" before mail leaves it.')
    option = f"-c {made.config} " if made.config.parent != Path() else ""
    say("\nNext:")
    say(f"  gatepost {option}account add app@example.com --password-stdin")
    say(f"  gatepost {option}check")
    say(f"  gatepost {option}serve")
