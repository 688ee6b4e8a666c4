"""One frozen dataclass per command, and the function that reads one (RFC 5321 §4.1.1)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from gatepost.wire.smtp import replies
from gatepost.wire.smtp.grammar import Mailbox, is_domain, literal_address, parse_path
from gatepost.wire.smtp.replies import Reply


@dataclass(frozen=True, slots=True)
class Ehlo:
    """EHLO or HELO (`extended` False) with the client's name."""

    client_name: str
    extended: bool


@dataclass(frozen=True, slots=True)
class Mail:
    """MAIL FROM:<reverse-path>. `reverse_path` is None for <>; `size` is what SIZE= announced,
    0 for nothing; `eight_bit` is BODY=8BITMIME (RFC 6152).
    """

    reverse_path: Mailbox | None
    size: int = 0
    eight_bit: bool = False


@dataclass(frozen=True, slots=True)
class Rcpt:
    """RCPT TO:<forward-path>."""

    forward_path: Mailbox


@dataclass(frozen=True, slots=True)
class Data:
    """DATA."""


@dataclass(frozen=True, slots=True)
class Rset:
    """RSET."""


@dataclass(frozen=True, slots=True)
class Noop:
    """NOOP, with or without a string."""


@dataclass(frozen=True, slots=True)
class Quit:
    """QUIT."""


@dataclass(frozen=True, slots=True)
class Vrfy:
    """VRFY."""


@dataclass(frozen=True, slots=True)
class Help:
    """HELP."""


@dataclass(frozen=True, slots=True)
class StartTls:
    """STARTTLS (RFC 3207)."""


@dataclass(frozen=True, slots=True)
class Auth:
    """AUTH mechanism [initial-response] (RFC 4954 §4). `initial` is still base64; None: absent."""

    mechanism: str
    initial: bytes | None

    def __repr__(self) -> str:
        return f"Auth(mechanism={self.mechanism!r})"


Command = Ehlo | Mail | Rcpt | Data | Rset | Noop | Quit | Vrfy | Help | StartTls | Auth

#: Known to the RFCs and not offered here: 502, where an unknown word is 500. RFC 6409 §7 forbids
#: ETRN and ATRN on submission.
_NOT_OFFERED: Final = frozenset(
    {b"EXPN", b"ETRN", b"ATRN", b"TURN", b"SEND", b"SOML", b"SAML", b"BDAT"}
)

_PATH: Final = re.compile(
    rb"(?:FROM|TO):[ \t]*<((?:\"(?:[^\"\\]|\\.)*\"|[^<>\"])*)>(?:[ \t]+(.*))?", re.IGNORECASE
)
_CLIENT_NAME: Final = re.compile(r"[!-~]{1,255}")


def parse_command(line: bytes) -> Command | Reply:
    """Read one command line without its CRLF; a Reply says what is wrong with it."""
    verb, _, argument = line.rstrip(b" \t").partition(b" ")
    verb = verb.upper()
    reader = _READERS.get(verb)
    if reader is not None:
        return reader(argument)
    return replies.NOT_OFFERED if verb in _NOT_OFFERED else replies.UNKNOWN_COMMAND


def _read_mail(argument: bytes) -> Command | Reply:
    found = _PATH.fullmatch(argument) if argument[:5].upper() == b"FROM:" else None
    if found is None:
        return replies.BAD_ARGUMENT
    path, tail = found.groups()
    mailbox = None
    if path and (mailbox := _mailbox(path)) is None:
        return replies.BAD_SENDER_SYNTAX
    if mailbox is not None and not mailbox.domain:
        return replies.BAD_SENDER_SYNTAX
    return _mail_parameters(mailbox, tail.split()) if tail else Mail(mailbox)


def _mail_parameters(mailbox: Mailbox | None, parameters: list[bytes]) -> Command | Reply:
    size, eight_bit, seen = 0, False, set[bytes]()
    for parameter in parameters:
        keyword, _, value = parameter.partition(b"=")
        keyword = keyword.upper()
        if keyword in seen:
            return replies.BAD_ARGUMENT
        seen.add(keyword)
        if keyword == b"SIZE" and value.isdigit() and len(value) <= 20:  # RFC 1870 §3
            size = int(value)
        elif keyword == b"BODY" and value.upper() in {b"7BIT", b"8BITMIME"}:  # RFC 6152 §3
            eight_bit = value.upper() == b"8BITMIME"
        elif keyword == b"AUTH" and value:  # RFC 4954 §5: nobody is trusted, so it counts as <>
            continue
        elif keyword in {b"SIZE", b"BODY", b"AUTH"}:
            return replies.BAD_ARGUMENT
        else:
            return _unknown_parameter(keyword)
    return Mail(mailbox, size, eight_bit)


def _read_rcpt(argument: bytes) -> Command | Reply:
    found = _PATH.fullmatch(argument) if argument[:3].upper() == b"TO:" else None
    if found is None:
        return replies.BAD_ARGUMENT
    path, tail = found.groups()
    mailbox = _mailbox(path)
    if mailbox is None:
        return replies.BAD_RECIPIENT_SYNTAX
    if tail:
        return _unknown_parameter(tail.split()[0].partition(b"=")[0])
    return Rcpt(mailbox)


def _mailbox(path: bytes) -> Mailbox | None:
    return parse_path(path.decode("ascii")) if path.isascii() else None


def _unknown_parameter(keyword: bytes) -> Reply:
    return replies.UNKNOWN_PARAMETER.about(keyword.decode("ascii", "replace"))


def _hello(extended: bool) -> Callable[[bytes], Command | Reply]:
    def read(argument: bytes) -> Command | Reply:
        name = argument.strip().decode("ascii", "replace")
        # Many clients name themselves badly (RFC 5321 §4.1.4 forbids refusing for that).
        if not _CLIENT_NAME.fullmatch(name):
            return replies.BAD_ARGUMENT
        return Ehlo(name, extended)

    return read


def _read_auth(argument: bytes) -> Command | Reply:
    mechanism, *rest = argument.split(b" ")
    if len(rest) > 1 or not re.fullmatch(rb"[A-Za-z0-9_-]{1,20}", mechanism):  # RFC 4422 §3.1
        return replies.BAD_ARGUMENT
    return Auth(mechanism.decode("ascii").upper(), rest[0] if rest else None)


def _bare(command: Command) -> Callable[[bytes], Command | Reply]:
    return lambda argument: replies.BAD_ARGUMENT if argument else command


def _any(command: Command) -> Callable[[bytes], Command | Reply]:
    return lambda _: command


def is_plausible_name(client_name: str) -> bool:
    """Tell whether an EHLO argument is a domain or an address literal (RFC 5321 §4.1.1.1)."""
    return is_domain(client_name) or literal_address(client_name) is not None


_READERS: Final[Mapping[bytes, Callable[[bytes], Command | Reply]]] = {
    b"MAIL": _read_mail,
    b"RCPT": _read_rcpt,
    b"DATA": _bare(Data()),
    b"EHLO": _hello(extended=True),
    b"HELO": _hello(extended=False),
    b"RSET": _bare(Rset()),
    b"NOOP": _any(Noop()),
    b"QUIT": _bare(Quit()),
    b"VRFY": _any(Vrfy()),
    b"HELP": _any(Help()),
    b"STARTTLS": _bare(StartTls()),
    b"AUTH": _read_auth,
}
