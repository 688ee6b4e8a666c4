"""What may follow the path in MAIL and RCPT (RFC 5321 §4.1.1.11): a table of keywords.

One reader for each: it takes the command as read so far and the octets behind "=" (b"" where there
is none), and returns the command with what they say, None where they say nothing sensible (501).
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from gatepost.wire.smtp import replies
from gatepost.wire.smtp.commands import Mail, Rcpt
from gatepost.wire.smtp.extensions import DSN, FUTURERELEASE, MT_PRIORITY
from gatepost.wire.smtp.future_release import parse_hold_for, parse_hold_until
from gatepost.wire.smtp.notification import parse_envid, parse_notify, parse_orcpt, parse_ret
from gatepost.wire.smtp.replies import Reply
from gatepost.wire.values import changed

_PRIORITY: Final = re.compile(rb"-?[1-9]|0")

C = TypeVar("C", Mail, Rcpt)


@dataclass(frozen=True, slots=True)
class Parameter(Generic[C]):
    """How a parameter is read, and the EHLO keyword of the extension that it belongs to: "" for
    one that every listener offers.
    """

    read: Callable[[C, bytes], C | None]
    extension: str = ""


def read_parameters(
    command: C,
    parameters: Sequence[bytes],
    table: Mapping[bytes, Parameter[C]],
    offered: Collection[str],
) -> C | Reply:
    """Return the command with what its parameters say, or the reply that refuses one of them.

    A keyword twice or a bad value is 501; one that is unknown, or of an extension that is not
    `offered` here, 555.
    """
    seen: set[bytes] = set()
    for parameter in parameters:
        keyword, _, value = parameter.partition(b"=")
        keyword = keyword.upper()
        known = table.get(keyword)
        if known is None or (known.extension and known.extension not in offered):
            return replies.UNKNOWN_PARAMETER.about(keyword.decode("ascii", "replace"))
        if keyword in seen:
            return replies.BAD_ARGUMENT
        seen.add(keyword)
        read = known.read(command, value)
        if read is None:
            return replies.BAD_ARGUMENT
        command = read
    return command


def _size(mail: Mail, value: bytes) -> Mail | None:
    """RFC 1870 §3."""
    return changed(mail, size=int(value)) if value.isdigit() and len(value) <= 20 else None


def _body(mail: Mail, value: bytes) -> Mail | None:
    """RFC 6152 §3, RFC 3030 §3."""
    word = value.upper()
    if word == b"7BIT":
        return mail
    if word == b"BINARYMIME":
        return changed(mail, eight_bit=True, binary=True)
    return changed(mail, eight_bit=True) if word == b"8BITMIME" else None


def _utf8(mail: Mail, value: bytes) -> Mail | None:
    """RFC 6531 §3.4: it takes no value."""
    return None if value else changed(mail, utf8=True)


def _auth(mail: Mail, value: bytes) -> Mail | None:
    """RFC 4954 §5: nobody is trusted, so it counts as <>."""
    return mail if value else None


def _ret(mail: Mail, value: bytes) -> Mail | None:
    """RFC 3461 §4.3."""
    ret = parse_ret(value)
    return None if ret is None else changed(mail, ret=ret)


def _envid(mail: Mail, value: bytes) -> Mail | None:
    """RFC 3461 §4.4."""
    envid = parse_envid(value)
    return None if envid is None else changed(mail, envid=envid)


def _hold_for(mail: Mail, value: bytes) -> Mail | None:
    """RFC 4865 §3; one hold-param at most (§4.2)."""
    hold = parse_hold_for(value)
    return None if hold is None or mail.hold is not None else changed(mail, hold=hold)


def _hold_until(mail: Mail, value: bytes) -> Mail | None:
    """RFC 4865 §3; one hold-param at most (§4.2)."""
    hold = parse_hold_until(value)
    return None if hold is None or mail.hold is not None else changed(mail, hold=hold)


def _priority(mail: Mail, value: bytes) -> Mail | None:
    """RFC 6710 §7."""
    return changed(mail, priority=int(value)) if _PRIORITY.fullmatch(value) else None


def _notify(rcpt: Rcpt, value: bytes) -> Rcpt | None:
    """RFC 3461 §4.1."""
    notify = parse_notify(value)
    return None if notify is None else changed(rcpt, wishes=changed(rcpt.wishes, notify=notify))


def _orcpt(rcpt: Rcpt, value: bytes) -> Rcpt | None:
    """RFC 3461 §4.2."""
    orcpt = parse_orcpt(value)
    return None if orcpt is None else changed(rcpt, wishes=changed(rcpt.wishes, orcpt=orcpt))


OF_MAIL: Final[Mapping[bytes, Parameter[Mail]]] = {
    b"SIZE": Parameter(_size),
    b"BODY": Parameter(_body),
    b"AUTH": Parameter(_auth),
    b"SMTPUTF8": Parameter(_utf8),
    b"RET": Parameter(_ret, DSN),
    b"ENVID": Parameter(_envid, DSN),
    b"HOLDFOR": Parameter(_hold_for, FUTURERELEASE),
    b"HOLDUNTIL": Parameter(_hold_until, FUTURERELEASE),
    b"MT-PRIORITY": Parameter(_priority, MT_PRIORITY),
}
OF_RCPT: Final[Mapping[bytes, Parameter[Rcpt]]] = {
    b"NOTIFY": Parameter(_notify, DSN),
    b"ORCPT": Parameter(_orcpt, DSN),
}
