"""`gatepost send`: a client for tests and scripts."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from gatepost.cli import usage
from gatepost.cli.context import NO, Json, fail, load_settings, print_json, say
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
    read_token,
    wants_token,
)

if TYPE_CHECKING:
    from gatepost.model.domain_name import HostPort
    from gatepost.model.route import ClientCertificate
    from gatepost.model.secret import Secret
    from gatepost.model.settings import Settings
    from gatepost.operate.send import Login, Sent, TlsChoice

app: Final = usage.Commands()

_TLS: Final = ("auto", "starttls", "implicit", "none")


@app.command()
def send(  # noqa: PLR0913, PLR0917 - its options
    ctx: usage.Context,
    to: Annotated[
        list[str], usage.Option("--to", metavar="ADDRESS", help="Recipient; repeatable.")
    ],
    from_: Annotated[
        str, usage.Option("--from", metavar="ADDRESS", help="Reverse-path; <> for none.")
    ],
    file: Annotated[
        Path | None,
        usage.Argument(
            metavar="[FILE]",
            help="The message; else standard input; else a short test message.",
        ),
    ] = None,
    server: Annotated[
        str | None,
        usage.Option("--server", metavar="HOST:PORT", help="Else the one in gatepost.toml."),
    ] = None,
    user: User = None,
    password_stdin: PasswordStdin = False,
    mechanism: Mechanism = None,
    token_file: Annotated[
        Path | None,
        usage.Option(
            "--token-file", metavar="FILE", help="Log in with the access token in this file."
        ),
    ] = None,
    token_command: Annotated[
        str | None,
        usage.Option(
            "--token-command", metavar="COMMAND", help="Log in with the token that this prints."
        ),
    ] = None,
    certificate: Certificate = None,
    key: Key = None,
    tls: Annotated[
        str,
        usage.Option("--tls", metavar="|".join(_TLS), help="auto: at once on 465, else STARTTLS."),
    ] = "auto",
    insecure: Annotated[
        bool, usage.Option("--insecure", help="Take any certificate. (Loopback always may.)")
    ] = False,
    json: Json = False,
) -> None:
    """Send a message to one server and print what it says; exit status 1 if it refuses."""
    from gatepost.operate.send import Errand, TlsChoice, crlf  # noqa: PLC0415

    if tls not in _TLS:
        fail(f'there is no "--tls {tls}"', f"write one of {', '.join(_TLS)}")
    login = _login(
        user,
        known_mechanism(mechanism),
        read_token(token_file, token_command),
        read_certificate(certificate, key),
        password_stdin=password_stdin,
    )
    if login is not None and tls == "none":
        fail("a login without TLS would show the password", "remove --tls none")
    where, choice = _server(ctx, server, TlsChoice(tls), has_login=login is not None)
    reverse_path = "" if from_ in {"", "<>"} else _address(from_)
    forward_paths = tuple(_address(address) for address in to)
    errand = Errand(
        where,
        reverse_path,
        forward_paths,
        crlf(_content(file, reverse_path, forward_paths)),
        login,
        choice,
        verify=not insecure,
    )
    import asyncio  # noqa: PLC0415

    from gatepost.operate.send import SendFailedError  # noqa: PLC0415
    from gatepost.operate.send import send as send_message  # noqa: PLC0415

    try:
        sent = asyncio.run(send_message(errand))
    except SendFailedError as error:
        fail(str(error), status=NO)
    _print(sent, json=json)
    if not all(answer.accepted for answer in sent.answers):
        raise usage.Exit(NO)


def _print(sent: "Sent", *, json: bool) -> None:
    if json:
        print_json(
            {
                "server": sent.server,
                "tls": sent.tls,
                "recipients": [
                    {"recipient": a.recipient, "accepted": a.accepted, "reply": a.words}
                    for a in sent.answers
                ],
            }
        )
        return
    say(f"{sent.server} ({sent.tls or 'in clear text'})")
    for answer in sent.answers:
        say(f"  {answer.recipient}: {'accepted' if answer.accepted else 'refused'}: {answer.words}")


def _login(
    user: str | None,
    mechanism: str | None,
    token: "Secret | None",
    certificate: "ClientCertificate | None",
    *,
    password_stdin: bool,
) -> "Login | None":
    from gatepost.operate.send import Login  # noqa: PLC0415

    if user is None and certificate is None:
        given = "--password-stdin" if password_stdin else "--mechanism" if mechanism else "a token"
        if password_stdin or mechanism or token:
            fail(f"{given} without --user", "name the account with --user")
        return None
    login = Login(user or "", mechanism=mechanism, certificate=certificate)
    if token is not None:
        return replace(login, token=token)
    if not password_stdin and is_enough(certificate, mechanism):
        return login
    secret = read_password(password_stdin=password_stdin)
    if wants_token(mechanism):
        return replace(login, token=secret)
    return replace(login, password=secret)


def _server(
    ctx: usage.Context, given: str | None, tls: "TlsChoice", *, has_login: bool
) -> "tuple[HostPort, TlsChoice]":
    from gatepost.model.domain_name import parse_host_port  # noqa: PLC0415
    from gatepost.model.wrong import WrongValueError  # noqa: PLC0415

    if given is None:
        return _listener(load_settings(ctx), tls, has_login=has_login)
    try:
        return parse_host_port(given, default_port=587 if has_login else 25), tls
    except WrongValueError as error:
        fail(error.wrongs[0].what, error.wrongs[0].mend)


def _listener(
    settings: "Settings", tls: "TlsChoice", *, has_login: bool
) -> "tuple[HostPort, TlsChoice]":
    from gatepost.model.domain_name import HostPort, parse_host_port  # noqa: PLC0415
    from gatepost.model.settings import Role  # noqa: PLC0415
    from gatepost.operate.send import TlsChoice  # noqa: PLC0415

    wanted = [Role.SUBMISSION, Role.SUBMISSIONS] if has_login else [Role.MX]
    listener = next((x for role in wanted for x in settings.listeners if x.role is role), None)
    if listener is None:
        fail(f"there is no {wanted[0].value} listener in gatepost.toml", "give --server HOST:PORT")
    found = parse_host_port(listener.address)
    anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - told, not bound
    where = HostPort(anywhere.get(found.host, found.host), found.port)
    is_implicit = listener.role is Role.SUBMISSIONS and tls is TlsChoice.AUTO
    return where, TlsChoice.IMPLICIT if is_implicit else tls


def _address(text: str) -> str:
    from gatepost.model.domain_name import parse_domain  # noqa: PLC0415
    from gatepost.model.wrong import WrongValueError  # noqa: PLC0415

    text = text.strip().removeprefix("<").removesuffix(">")
    local_part, at, domain = text.rpartition("@")
    if not domain.isascii() and at:
        try:
            text = f"{local_part}@{parse_domain(domain)}"
        except WrongValueError as error:
            fail(error.wrongs[0].what, error.wrongs[0].mend)
    # What an address may be is the server's to say: a test wants to hear it.
    if not text.isprintable() or set(text) & set("<>"):
        fail(f'"{text}" cannot stand in a command', "write a plain address")
    return text


def _content(file: Path | None, reverse_path: str, forward_paths: tuple[str, ...]) -> bytes:
    from gatepost.net.clock import new_identifier, now  # noqa: PLC0415
    from gatepost.operate.send import sample_message  # noqa: PLC0415

    if file is not None and str(file) != "-":
        try:
            return file.read_bytes()
        except OSError as error:
            fail(f"{file} cannot be read: {error.strerror}", "name a file with a message in it")
    octets = b"" if sys.stdin.isatty() else sys.stdin.buffer.read()
    if octets or file is not None:
        return octets
    return sample_message(reverse_path, forward_paths, now=now(), identifier=new_identifier())
