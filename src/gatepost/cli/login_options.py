"""What `send` and `probe` log in with: from the terminal, standard input, files or a command."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from gatepost.cli import usage
from gatepost.cli.context import NO, fail

if TYPE_CHECKING:
    from gatepost.model.route import ClientCertificate
    from gatepost.model.secret import Secret

User = Annotated[str | None, usage.Option("--user", metavar="NAME", help="Log in as this account.")]
PasswordStdin = Annotated[
    bool,
    usage.Option(
        "--password-stdin",
        help="The first line of standard input is the password, or the access token for "
        "XOAUTH2 and OAUTHBEARER.",
    ),
]
Mechanism = Annotated[
    str | None,
    usage.Option(
        "--mechanism", metavar="M", help="Log in by this one, not by the strongest in common."
    ),
]
Certificate = Annotated[
    Path | None,
    usage.Option(
        "--certificate", metavar="FILE", help="Show this certificate (PEM), for EXTERNAL."
    ),
]
Key = Annotated[
    Path | None, usage.Option("--key", metavar="FILE", help="Its key, where it is apart.")
]


def is_enough(certificate: "ClientCertificate | None", mechanism: str | None) -> bool:
    """Tell whether one logs in by a certificate, so that nobody is asked for a password."""
    return certificate is not None and mechanism in {None, "EXTERNAL"}


def known_mechanism(name: str | None) -> str | None:
    """Return a mechanism's name in upper case."""
    if name is None:
        return None
    from gatepost.wire.sasl.mechanisms import CLIENTS  # noqa: PLC0415

    if name.upper() not in CLIENTS:
        fail(f'there is no mechanism "{name}"', f"known are {', '.join(CLIENTS)}")
    return name.upper()


def wants_token(mechanism: str | None) -> bool:
    """Tell whether a mechanism's secret is an access token."""
    return mechanism in {"XOAUTH2", "OAUTHBEARER"}


def read_password(*, password_stdin: bool) -> "Secret":
    """Return the first line of standard input, or what is typed in."""
    from gatepost.model.secret import Secret  # noqa: PLC0415

    if sys.stdin.isatty():
        password = str(usage.prompt("Password", hide_input=True, err=True))
    elif password_stdin:
        try:
            line = sys.stdin.buffer.readline().decode("utf-8")
        except UnicodeDecodeError:
            fail("the password is not UTF-8", "set the terminal to UTF-8")
        password = line.removesuffix("\n").removesuffix("\r")
    else:
        fail("there is no password", "add --password-stdin and give it on standard input")
    if not password or "\0" in password:
        fail("the password is empty", "give it as the first line of standard input")
    return Secret(password)


def read_token(file: Path | None, command: str | None) -> "Secret | None":
    """Return the access token in a file, or that a command prints; None where neither is named."""
    if file is None and command is None:
        return None
    import asyncio  # noqa: PLC0415

    from gatepost.delivery.tokens import TokenFailedError, read_token, run_command  # noqa: PLC0415
    from gatepost.model.secret import Secret  # noqa: PLC0415
    from gatepost.net.clock import now  # noqa: PLC0415

    if file is not None and command is not None:
        fail("--token-file and --token-command exclude each other", "remove one")
    try:
        printed = _octets(file) if file is not None else asyncio.run(run_command(command or ""))
        return Secret(read_token(printed, now()).text)
    except TokenFailedError as failure:
        where = f"{file} holds no token" if file is not None else str(failure)
        fail(where, "a token is one word, or JSON with access_token", status=NO)


def read_certificate(certificate: Path | None, key: Path | None) -> "ClientCertificate | None":
    """Return the certificate to show, from PEM files; None where none is named."""
    if certificate is None and key is None:
        return None
    from gatepost.model.route import ClientCertificate  # noqa: PLC0415
    from gatepost.model.secret import Secret  # noqa: PLC0415
    from gatepost.net.certificate import CertificateInvalidError  # noqa: PLC0415
    from gatepost.net.tls import Verification, client_context  # noqa: PLC0415

    if certificate is None:
        fail("--key without --certificate", "name both")
    chain = _octets(certificate).decode("utf-8", "replace")
    secret = _octets(key).decode("utf-8", "replace") if key is not None else ""
    shown = ClientCertificate(chain, Secret(secret))
    try:
        client_context(Verification.OPPORTUNISTIC, shown=shown)
    except CertificateInvalidError as error:
        fail(f"{certificate} cannot be used: {error.problem}", error.mend)
    return shown


def _octets(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}", "name a file that you may read")
