"""`gatepost probe`: why can't I log in, or send, at this server?"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from gatepost.cli import usage
from gatepost.cli.context import NO, Json, fail, print_json
from gatepost.cli.login_options import (
    Certificate,
    Key,
    Mechanism,
    PasswordStdin,
    User,
    is_enough,
    known_mechanism,
    read_certificate,
    read_password,
)

if TYPE_CHECKING:
    from gatepost.model.route import ClientCertificate
    from gatepost.operate.probe import Inquiry, Probed
    from gatepost.operate.probe_login import Login

app: Final = usage.Commands()


@app.command()
def probe(  # noqa: PLR0913, PLR0917 - its options
    where: Annotated[
        str,
        usage.Argument(metavar="HOST[:PORT]", help="Without a port: 587, 465 and 25 at once."),
    ],
    user: User = None,
    password_stdin: PasswordStdin = False,
    mechanism: Mechanism = None,
    certificate: Certificate = None,
    key: Key = None,
    from_: Annotated[
        str | None,
        usage.Option("--from", metavar="ADDRESS", help="Rehearse MAIL with this; <> for none."),
    ] = None,
    to: Annotated[
        str | None, usage.Option("--to", metavar="ADDRESS", help="Rehearse RCPT with this.")
    ] = None,
    ca: Annotated[
        Path | None,
        usage.Option("--ca", metavar="FILE", help="Trust these authorities (PEM) instead."),
    ] = None,
    insecure: Annotated[
        bool, usage.Option("--insecure", help="Log in although the certificate is not good.")
    ] = False,
    timeout: Annotated[
        int, usage.Option("--timeout", min=1, max=600, metavar="SECONDS", help="For all of it.")
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

    if user is None and (password_stdin or mechanism or insecure or certificate or key):
        option = "--password-stdin" if password_stdin else "--mechanism" if mechanism else ""
        option = option or ("--certificate" if certificate or key else "")
        fail(f"{option or '--insecure'} without --user", "name the account with --user")
    host, port = _where(where)
    if ca is not None:
        _check_authorities(ca)
    login = _login(
        user,
        known_mechanism(mechanism),
        read_certificate(certificate, key),
        password_stdin=password_stdin,
        insecure=insecure,
    )
    inquiry = Inquiry(
        host,
        port,
        login,
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
        raise usage.Exit(NO)


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
    user: str | None,
    mechanism: str | None,
    certificate: "ClientCertificate | None",
    *,
    password_stdin: bool,
    insecure: bool,
) -> "Login | None":
    if user is None:
        return None
    from gatepost.model.secret import Secret  # noqa: PLC0415
    from gatepost.operate.probe_login import Login  # noqa: PLC0415

    if not password_stdin and is_enough(certificate, mechanism):
        return Login(user, Secret(""), mechanism, insecure, certificate)
    password = read_password(password_stdin=password_stdin)
    return Login(user, password, mechanism, insecure, certificate)


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
