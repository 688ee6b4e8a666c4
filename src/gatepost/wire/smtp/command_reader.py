"""A command line -> the command, or the reply that says what is wrong with it (RFC 5321 §4.1.1)."""

import re
from base64 import b64decode
from binascii import Error as NotBase64Error
from collections.abc import Callable, Collection, Mapping
from typing import Final

from gatepost.wire.smtp import limits, replies
from gatepost.wire.smtp.commands import (
    Auth,
    Bdat,
    Command,
    Data,
    Ehlo,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    Vrfy,
)
from gatepost.wire.smtp.grammar import Mailbox, is_domain, literal_address, parse_path
from gatepost.wire.smtp.parameters import OF_MAIL, OF_RCPT, read_parameters
from gatepost.wire.smtp.replies import Reply

#: Known to the RFCs and not offered here: 502, where an unknown word is 500. RFC 6409 §7 forbids
#: ETRN and ATRN on submission.
_NOT_OFFERED: Final = frozenset({b"EXPN", b"ETRN", b"ATRN", b"TURN", b"SEND", b"SOML", b"SAML"})

#: As numbers: to look for octets Python first tries whether they are one, at many times the cost.
_NUL: Final = 0
_LF: Final = 10
_CR: Final = 13

_PATH: Final = re.compile(
    rb"(?:FROM|TO):[ \t]*<((?:\"(?:[^\"\\]|\\.)*\"|[^<>\"])*)>(?:[ \t]+(.*))?", re.IGNORECASE
)
_CHUNK: Final = re.compile(rb"[ \t]*([0-9]{1,18})([ \t]+LAST)?", re.IGNORECASE)
_MECHANISM: Final = re.compile(rb"[A-Za-z0-9_-]{1,20}")  # RFC 4422 §3.1
_CLIENT_NAME: Final = re.compile(r"[!-~]{1,255}")


def read_line(line: bytes, offered: Collection[str] = ()) -> Command | Reply:
    """Read one line as it came, without its CRLF; as `parse_command`, and what is too long or holds
    a bare CR, LF or NUL is refused.
    """
    if len(line) > limits.COMMAND_LINE and (refusal := too_long(line)):
        return refusal
    if _LF in line or _CR in line or _NUL in line:
        return replies.BARE_LINE_ENDING_COMMAND
    return parse_command(line, offered)


def parse_command(line: bytes, offered: Collection[str] = ()) -> Command | Reply:
    """Read one command line without its CRLF; a Reply says what is wrong with it.

    `offered` are the EHLO keywords of the extensions that this listener offers besides those that
    every one does: parameters of the others are unknown here (RFC 5321 §4.1.1.11).
    """
    verb, _, argument = line.rstrip(b" \t").partition(b" ")
    verb = verb.upper()
    if verb == b"MAIL":
        return _read_mail(argument, offered)
    if verb == b"RCPT":
        return _read_rcpt(argument, offered)
    reader = _READERS.get(verb)
    if reader is not None:
        return reader(argument)
    return replies.NOT_OFFERED if verb in _NOT_OFFERED else replies.UNKNOWN_COMMAND


def _read_mail(argument: bytes, offered: Collection[str]) -> Mail | Reply:
    found = _PATH.fullmatch(argument) if argument[:5].upper() == b"FROM:" else None
    if found is None:
        return replies.BAD_ARGUMENT
    path, tail = found.groups()
    mailbox = None
    if path and (mailbox := _mailbox(path)) is None:
        return replies.BAD_SENDER_SYNTAX
    if mailbox is not None and not mailbox.domain:
        return replies.BAD_SENDER_SYNTAX
    mail = read_parameters(Mail(mailbox), (tail or b"").split(), OF_MAIL, offered)
    if isinstance(mail, Mail) and not (mail.utf8 or path.isascii()):
        return replies.SENDER_NOT_ASCII
    return mail


def _read_rcpt(argument: bytes, offered: Collection[str]) -> Rcpt | Reply:
    found = _PATH.fullmatch(argument) if argument[:3].upper() == b"TO:" else None
    if found is None:
        return replies.BAD_ARGUMENT
    path, tail = found.groups()
    mailbox = _mailbox(path)
    if mailbox is None:
        return replies.BAD_RECIPIENT_SYNTAX
    rcpt = Rcpt(mailbox)
    return read_parameters(rcpt, tail.split(), OF_RCPT, offered) if tail else rcpt


def _mailbox(path: bytes) -> Mailbox | None:
    try:
        return parse_path(path.decode())
    except UnicodeDecodeError:
        return None


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
    if len(rest) > 1 or not _MECHANISM.fullmatch(mechanism):
        return replies.BAD_ARGUMENT
    return Auth(mechanism.decode("ascii").upper(), rest[0] if rest else None)


def _read_bdat(argument: bytes) -> Command | Reply:
    found = _CHUNK.fullmatch(argument)
    return Bdat(int(found[1]), found[2] is not None) if found else replies.BAD_ARGUMENT


def _bare(command: Command) -> Callable[[bytes], Command | Reply]:
    return lambda argument: replies.BAD_ARGUMENT if argument else command


def _any(command: Command) -> Callable[[bytes], Command | Reply]:
    return lambda _: command


def decode_response(line: bytes) -> bytes | None:
    """Decode one base64 line; "=" is the empty string (RFC 4954 §4); None when it is not base64."""
    if line == b"=":
        return b""
    try:
        return b64decode(line, validate=True)
    except NotBase64Error:
        return None


def too_long(line: bytes) -> Reply | None:
    """Judge a line above 510 octets by its verb: AUTH, MAIL and RCPT may be longer."""
    verb = line[:5].upper()
    if verb == b"AUTH ":
        return replies.AUTH_LINE_TOO_LONG if len(line) > limits.AUTH_LINE else None
    if verb == b"MAIL " and len(line) <= limits.MAIL_LINE:
        return None
    if verb == b"RCPT " and len(line) <= limits.RCPT_LINE:
        return None
    return replies.LINE_TOO_LONG


def is_plausible_name(client_name: str) -> bool:
    """Tell whether an EHLO argument is a domain or an address literal (RFC 5321 §4.1.1.1)."""
    return is_domain(client_name) or literal_address(client_name) is not None


_READERS: Final[Mapping[bytes, Callable[[bytes], Command | Reply]]] = {
    b"DATA": _bare(Data()),
    b"BDAT": _read_bdat,
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
