"""`gatepost probe`: why can't I log in, or send, at this server?"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gatepost.cli.context import NO, Json, fail, print_json

if TYPE_CHECKING:
    from gatepost.model.secret import Secret
    from gatepost.operate.probe import Inquiry, Probed
    from gatepost.operate.probe_login import Login

app: Final = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def probe(  # noqa: PLR0913, PLR0917 - its options
    where: Annotated[
        str,
        typer.Argument(metavar="HOST[:PORT]", help="Without a port: 587, 465 and 25 at once."),
    ],
    user: Annotated[
        str | None, typer.Option("--user", metavar="NAME", help="Log in with this name.")
    ] = None,
    password_stdin: Annotated[
        bool,
        typer.Option(
            "--password-stdin",
            help="The first line of standard input is the password, or the access token for "
            "XOAUTH2 and OAUTHBEARER.",
        ),
    ] = False,
    mechanism: Annotated[
        str | None,
        typer.Option(
            "--mechanism", metavar="M", help="Log in by this one, not by the strongest in common."
        ),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="ADDRESS", help="Rehearse MAIL with this; <> for none."),
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="ADDRESS", help="Rehearse RCPT with this.")
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option("--ca", metavar="FILE", help="Trust these authorities (PEM) instead."),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Log in although the certificate is not good.")
    ] = False,
    timeout: Annotated[
        int, typer.Option("--timeout", min=1, max=600, metavar="SECONDS", help="For all of it.")
    ] = 60,
    json: Json = False,
) -> None:
    """Play a client against any mail server, and explain what is in the way, with its mend.

    From DNS to a login and a rehearsal of MAIL and RCPT; no message is ever sent. Exit status 1
    when a problem was found. Secrets are neither sent in clear nor shown.
    """
    from gatepost.operate.probe import Inquiry  # noqa: PLC0415
    from gatepost.operate.probe_json import probed_json  # noqa: PLC0415
    from gatepost.operate.probe_talk import Patience  # noqa: PLC0415

    if user is None and (password_stdin or mechanism or insecure):
        option = "--password-stdin" if password_stdin else "--mechanism" if mechanism else ""
        fail(f"{option or '--insecure'} without --user", "name the account with --user")
    host, port = _where(where)
    if ca is not None:
        _check_authorities(ca)
    inquiry = Inquiry(
        host,
        port,
        _login(user, mechanism, password_stdin=password_stdin, insecure=insecure),
        None if from_ is None else _path(from_),
        None if to is None else _path(to) or None,
        ca,
        Patience(total=float(timeout)),
    )
    probed = _probe(inquiry)
    if json:
        print_json(probed_json(probed))
    else:
        from gatepost.cli.probe_timeline import print_probed  # noqa: PLC0415

        print_probed(probed, colour=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))
    if not probed.is_well:
        raise typer.Exit(NO)


def _probe(inquiry: "Inquiry") -> "Probed":
    import asyncio  # noqa: PLC0415

    from gatepost.net.clock import now  # noqa: PLC0415
    from gatepost.net.resolver import Resolver  # noqa: PLC0415
    from gatepost.operate.probe import probe as probe_host  # noqa: PLC0415

    async def go() -> "Probed":
        resolver = Resolver()
        try:
            return await probe_host(inquiry, now=now(), resolver=resolver)
        finally:
            await resolver.close()

    return asyncio.run(go())


def _where(text: str) -> tuple[str, int | None]:
    from gatepost.model.domain_name import parse_host_port  # noqa: PLC0415
    from gatepost.model.wrong import WrongValueError  # noqa: PLC0415

    try:
        found = parse_host_port(text, default_port=0)
    except WrongValueError as error:
        fail(error.wrongs[0].what, error.wrongs[0].mend)
    if found.port == 0 and text.rstrip().endswith(":0"):
        fail(f'"{text}" has no port that one can call', "write a number from 1 to 65535, or none")
    return found.host, found.port or None


def _login(
    user: str | None, mechanism: str | None, *, password_stdin: bool, insecure: bool
) -> "Login | None":
    if user is None:
        return None
    from gatepost.operate.probe_login import Login  # noqa: PLC0415
    from gatepost.wire.sasl.mechanisms import CLIENTS  # noqa: PLC0415

    if mechanism is not None and mechanism.upper() not in CLIENTS:
        fail(f'there is no mechanism "{mechanism}"', f"known are {', '.join(CLIENTS)}")
    name = mechanism.upper() if mechanism else None
    return Login(user, _password(password_stdin=password_stdin), name, insecure)


def _password(*, password_stdin: bool) -> "Secret":
    from gatepost.model.secret import Secret  # noqa: PLC0415

    if password_stdin:
        try:
            line = sys.stdin.buffer.readline().decode("utf-8")
        except UnicodeDecodeError:
            fail("the password is not UTF-8", "set the terminal to UTF-8")
        password = line.removesuffix("\n").removesuffix("\r")
    elif sys.stdin.isatty():
        password = str(typer.prompt("Password", hide_input=True, err=True))
    else:
        fail("there is no password", "add --password-stdin and give it on standard input")
    if not password or "\0" in password:
        fail("the password is empty", "give it as the first line of standard input")
    return Secret(password)


def _path(text: str) -> str:
    path = text.strip().removeprefix("<").removesuffix(">")
    if not (path.isascii() and path.isprintable()) or set(path) & set("<> "):
        fail(f'"{text}" cannot stand in a command', "write a plain address")
    return path


def _check_authorities(file: Path) -> None:
    import ssl  # noqa: PLC0415

    from gatepost.net.tls import Verification, client_context  # noqa: PLC0415

    try:
        client_context(Verification.REQUIRED, file)
    except ssl.SSLError:
        fail(f"{file} holds no certificate", "name a PEM file with certificates")
    except OSError as error:
        fail(f"{file} cannot be used: {error.strerror}", "name a PEM file with certificates")
