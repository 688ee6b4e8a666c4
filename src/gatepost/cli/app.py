"""`gatepost`: the commands, each loaded when it is called (`--help` stays under 150 ms)."""

from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click

from gatepost import __version__
from gatepost.cli import usage
from gatepost.cli.context import Invocation

#: Each command's module has its commands as `app`.
_COMMANDS: Final = {
    "init": "Write a commented gatepost.toml, a state directory and a certificate.",
    "check": "Validate the configuration; prove that no path relays without login.",
    "serve": "Run. SIGTERM drains, SIGHUP reloads configuration and certificates.",
    "restart": "Replace the running server by the program on the disk; nobody is refused.",
    "account": "Who may send: add, list, show, usage, password, app-password, unlock …",
    "domain": "Whose mail is signed: add, list, show, check, rotate-key, remove.",
    "queue": "What waits: list, count, show, hold, release, retry, cancel, verify.",
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


#: Shells that can be told how to complete a command line.
_SHELLS: Final = ("bash", "zsh", "fish")


def _load(name: str) -> click.Command:
    commands: usage.Commands = import_module(f"gatepost.cli.{name.replace('-', '_')}").app
    return commands.build(name)


def _print_version(ctx: usage.Context, parameter: click.Parameter, asked: bool) -> None:  # noqa: ARG001 - click's order
    if asked:
        usage.echo(f"gatepost {__version__}")
        ctx.exit()


def _print_completion(ctx: usage.Context, parameter: click.Parameter, shell: str | None) -> None:  # noqa: ARG001 - click's order
    if shell is None:
        return
    from click.shell_completion import get_completion_class  # noqa: PLC0415

    kind = get_completion_class(shell)
    if kind is not None:
        usage.echo(kind(app, {}, "gatepost", "_GATEPOST_COMPLETE").source())
    ctx.exit()


def _begin(config: Path | None, **asked: Any) -> None:  # noqa: ANN401, ARG001 - --debug is read by __main__, which sees what a command raises
    click.get_current_context().obj = Invocation(config)


app: Final = usage.Group(
    "gatepost",
    "Gatepost: an authenticated outbound mail relay.",
    _COMMANDS,
    _load,
    callback=_begin,
    params=[
        click.Option(
            ["-c", "--config"],
            metavar="FILE",
            type=click.Path(path_type=Path),
            help="Configuration; else $GATEPOST_CONFIG, ./gatepost.toml, "
            "/etc/gatepost/gatepost.toml.",
        ),
        click.Option(["--debug"], is_flag=True, help="Show a traceback when the fault is ours."),
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_version,
            help="Print it and end.",
        ),
        click.Option(
            ["--show-completion"],
            metavar="SHELL",
            type=click.Choice(_SHELLS),
            is_eager=True,
            expose_value=False,
            callback=_print_completion,
            help="Print what makes bash, zsh or fish complete commands and options.",
        ),
    ],
    epilog="Exit status: 0 fine, 1 the answer is no, 2 wrong usage or configuration.",
)
