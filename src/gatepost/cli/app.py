"""`gatepost`: the commands, each loaded when it is called (`--help` stays under 150 ms)."""

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import typer.core
import typer.main

from gatepost import __version__
from gatepost.cli.context import Invocation

#: Each command's module has a Typer app called `app`.
_COMMANDS: Final = {
    "init": "Write a commented gatepost.toml, a state directory and a certificate.",
    "check": "Validate the configuration; prove that no path relays without login.",
    "serve": "Run. SIGTERM drains, SIGHUP reloads configuration and certificates.",
    "restart": "Replace the running server by the program on the disk; nobody is refused.",
    "account": "Who may send: add, list, show, password, app-password, certificate, unlock …",
    "domain": "Whose mail is signed: add, list, show, check, rotate-key, remove.",
    "queue": "What waits: list, show, hold, release, retry, cancel, verify.",
    "store": "The database when it is damaged: repair.",
    "egress": "Source addresses that mail leaves from: list, pause, resume.",
    "suppression": "Whom no mail is sent to any more: add, remove, list, import, rule.",
    "api-key": "Keys of programs that use the HTTP API: add, list, revoke.",
    "node": "The nodes that share a store: list.",
    "judge": "Tell what would become of a message, without queueing it.",
    "trace": "Tell what became of a message.",
    "bulk": "How near each domain is to being a bulk sender at large providers.",
    "probe": "Play a client against any server and explain what is in the way.",
    "explain": "Tell why a login was refused, from the tag in the 535 reply.",
    "send": "Send a message: a client for tests and scripts.",
}


class LazyGroup(typer.core.TyperGroup):
    """Knows its commands by name and loads only the one that is called."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002 - click's own types
        """Return the commands in the order of first use."""
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401, ARG002
        """Import one command; None for a name that there is not."""
        if cmd_name not in _COMMANDS:
            return None
        command = typer.main.get_command(
            import_module(f"gatepost.cli.{cmd_name.replace('-', '_')}").app
        )
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002
        """Write the commands into the help, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


app = typer.Typer(
    name="gatepost",
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Rich's help takes half a second to import; tables load Rich when they need it.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 fine, 1 the answer is no, 2 wrong usage or configuration.",
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"gatepost {__version__}")
        raise typer.Exit


@app.callback()
def main(
    ctx: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            "-c",
            "--config",
            metavar="FILE",
            help="Configuration; else $GATEPOST_CONFIG, ./gatepost.toml, "
            "/etc/gatepost/gatepost.toml.",
        ),
    ] = None,
    debug: Annotated[  # noqa: ARG001 - read by __main__, which sees what a command raises
        bool, typer.Option("--debug", help="Show a traceback when the fault is ours.")
    ] = False,
    version: Annotated[  # noqa: ARG001
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it and end."),
    ] = False,
) -> None:
    """Gatepost: an authenticated outbound mail relay."""
    ctx.obj = Invocation(config)
