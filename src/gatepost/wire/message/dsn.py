"""Reports to a sender: what could not be delivered, or is late (RFC 3464 in RFC 6522).

Words for a person, fields for a program, and the header section of the message that is meant. All
of it ASCII, no line over 998 octets: it passes wherever the message could pass.
"""

import re
import textwrap
from binascii import b2a_qp
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from gatepost.wire.message.identifiers import format_date, message_id
from gatepost.wire.message.limits import RETURNED_HEADER, RETURNED_MESSAGE
from gatepost.wire.message.line_ends import has_long_line
from gatepost.wire.message.reencode import Capacity, is_fit
from gatepost.wire.smtp.notification import decode_xtext

_WIDTH: Final = 72
#: So much of what the other server said is passed on, in characters.
_LONGEST_TEXT: Final = 1000
_STATUS: Final = re.compile(r"[245]\.(?:0|[1-9]\d{0,2})\.(?:0|[1-9]\d{0,2})")
#: RFC 6533 §3: an address in a 7-bit field spells what is not printable ASCII as \x{HEX}.
_NOT_QCHAR: Final = re.compile(r"[^!-*,-<>-\[\]-~]")


class Action(Enum):
    """What became of a recipient (RFC 3464 §2.3.3): refused, given up after trying for long, still
    being tried, in the mailbox, or gone on to a server that will not tell. The first two are both
    "failed" to a program.
    """

    FAILED = "failed"
    EXPIRED = "expired"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"


_SUCCESS: Final = (Action.DELIVERED, Action.RELAYED)
#: RFC 3461 §6.3 (g): where nobody gave a code.
_STATUSES: Final = {
    Action.DELAYED: "4.0.0",
    Action.DELIVERED: "2.0.0",
    Action.RELAYED: "2.0.0",
}


@dataclass(frozen=True, slots=True)
class ReportedRecipient:
    """One recipient's part of a report.

    `status` is an RFC 3463 code or "". `diagnostic` is what the other server said, code and all
    ("550 5.1.1 No such user"), `remote_host` its name; without a remote host `diagnostic` are
    words of our own ("no host of example.net could be reached"). `retry_until` is for DELAYED.
    `original_recipient` is what ORCPT said (RFC 3461 §4.2), "addr-type;xtext" or "".
    """

    forward_path: str
    action: Action
    status: str = ""
    diagnostic: str = ""
    remote_host: str = ""
    last_attempt_at: datetime | None = None
    retry_until: datetime | None = None
    original_recipient: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What a report is made of.

    `to` is the reverse-path of the message that is meant, `identifier` the report's own id,
    `boundary` random text of at most 70 letters and digits, `original` that message's content
    (or as much of its beginning as is at hand), `arrived_at` when we took it. `envelope_id` is
    what ENVID said (xtext), `hold` as in RFC 4865 §5.1.2, "" for none. `whole`: the message comes
    back with its body, if it failed and is not too large (RFC 3461 §4.3).
    """

    hostname: str
    to: str
    identifier: str
    at: datetime
    boundary: str
    recipients: Sequence[ReportedRecipient]
    original: bytes
    arrived_at: datetime | None = None
    envelope_id: str = ""
    hold: str = ""
    whole: bool = False


def compose(report: Report) -> bytes:
    """Return the report as content, with CRLF line ends; its envelope has the null reverse-path
    (RFC 3464 §2).

    Raises:
        ValueError: there is no recipient to report.

    """
    if not report.recipients:
        msg = "a report without recipients"
        raise ValueError(msg)
    mark = f"--{report.boundary}\r\n".encode("ascii")
    return b"".join(
        (
            _header(report),
            b"This is a report in several parts (MIME).\r\n\r\n",
            mark,
            b"Content-Type: text/plain; charset=us-ascii\r\n\r\n",
            _for_people(report),
            b"\r\n",
            mark,
            b"Content-Type: message/delivery-status\r\n\r\n",
            _for_programs(report),
            b"\r\n",
            mark,
            _whole(report.original) if _comes_back_whole(report) else _returned(report.original),
            f"\r\n--{report.boundary}--\r\n".encode("ascii"),
        )
    )


def _header(report: Report) -> bytes:
    subject = "Your message could not be delivered"
    if _is_all(report, Action.DELAYED):
        subject = "Your message is delayed"
    elif _is_all(report, *_SUCCESS):
        subject = "Your message was delivered"
    return _lines(
        (
            f"From: Mail Delivery System <MAILER-DAEMON@{report.hostname}>",
            f"To: <{_seven_bit(report.to)}>",
            f"Subject: {subject}",
            f"Date: {format_date(report.at)}",
            f"Message-ID: {message_id(report.identifier, report.hostname)}",
            "Auto-Submitted: auto-replied",
            "MIME-Version: 1.0",
            "Content-Type: multipart/report; report-type=delivery-status;",
            f'\tboundary="{report.boundary}"',
            "",
        )
    )


def _for_people(report: Report) -> bytes:
    taken = f", taken on {format_date(report.arrived_at)}," if report.arrived_at else ""
    if _is_all(report, *_SUCCESS):
        first = f"Your message{taken} has reached the recipients below. You asked to be told."
    elif _is_all(report, Action.DELAYED):
        first = f"Your message{taken} has not been delivered yet. It is still being tried, and "
        first += "you need not send it again."
    else:
        first = f"Your message{taken} could not be delivered to everybody. Nothing more will be "
        first += "tried for the recipients below."
    lines = [f"This is the mail relay {report.hostname}.", "", *textwrap.wrap(first, _WIDTH), ""]
    for recipient in report.recipients:
        lines += _about(recipient)
    attached = "Your message" if _comes_back_whole(report) else "The header of your message"
    lines.append(f"{attached} is attached.")
    return _lines(lines)


def _about(recipient: ReportedRecipient) -> list[str]:
    """Return what a person should know of one recipient, and should do."""
    lines = [f"<{_seven_bit(recipient.forward_path)}>"]
    said = _printable(recipient.diagnostic)
    if recipient.remote_host and said:
        lines += _indented(f"The server {_printable(recipient.remote_host)} said: {said}")
    elif said:
        lines += _indented(f"The reason: {said}")
    if recipient.action is Action.DELAYED and recipient.retry_until:
        lines += _indented(f"It will be tried until {format_date(recipient.retry_until)}.")
    elif recipient.action is Action.EXPIRED:
        lines += _indented("The time for trying is over.")
    elif recipient.action is Action.DELIVERED:
        return [*lines, *_indented("It is in the mailbox."), ""]
    elif recipient.action is Action.RELAYED:
        words = "That server took it, and does not tell what becomes of it there."
        return [*lines, *_indented(words), ""]
    return [*lines, *_indented(_advice(recipient)), ""]


def _advice(recipient: ReportedRecipient) -> str:
    """Return what to do, by the class of the status (RFC 3463 §3)."""
    if recipient.action is Action.DELAYED:
        return "You need not do anything now."
    if recipient.status.startswith(("5.1.", "5.4.4")):
        return "Check the address for a slip of the pen, or ask the recipient for the right one."
    if recipient.status.endswith(".2.2"):
        return "The mailbox is full: tell the recipient by another way, then send it again."
    if recipient.status.endswith((".2.3", ".3.4")):
        return "The message is too large: send it in parts, or as a link."
    if recipient.status.startswith("5.7."):
        return "The other side does not want this message: ask its postmaster, or your operator."
    if recipient.action is Action.EXPIRED:
        return "Send it again later, or ask the recipient whether mail reaches them."
    return "If the reason does not tell you more, show this report to your operator."


def _for_programs(report: Report) -> bytes:
    fields = []
    if report.envelope_id:
        text = _printable(decode_xtext(report.envelope_id))
        fields.append(f"Original-Envelope-Id: {text}")
    fields.append(f"Reporting-MTA: dns; {report.hostname}")
    if report.arrived_at:
        fields.append(f"Arrival-Date: {format_date(report.arrived_at)}")
    if report.hold:
        fields.append(f"Future-Release-Request: {report.hold}")
    for recipient in report.recipients:
        fields += ("", *_recipient_fields(recipient))
    return _lines(fields)


def _recipient_fields(recipient: ReportedRecipient) -> list[str]:
    """Return the per-recipient fields (RFC 3464 §2.3)."""
    delayed = recipient.action is Action.DELAYED
    status = recipient.status
    if not _STATUS.fullmatch(status):
        status = _STATUSES.get(recipient.action, "5.0.0")
    action = Action.FAILED if recipient.action is Action.EXPIRED else recipient.action
    fields = []
    if recipient.original_recipient:
        kind, _, address = recipient.original_recipient.partition(";")
        fields.append(f"Original-Recipient: {kind}; {_printable(decode_xtext(address))}")
    fields += (
        f"Final-Recipient: {_typed(recipient.forward_path)}",
        f"Action: {action.value}",
        f"Status: {status}",
    )
    if recipient.remote_host:
        fields.append(f"Remote-MTA: dns; {_printable(recipient.remote_host)}")
    said = _printable(recipient.diagnostic)
    if said and recipient.remote_host:
        fields += _folded(f"Diagnostic-Code: smtp; {said}")
    if recipient.last_attempt_at:
        fields.append(f"Last-Attempt-Date: {format_date(recipient.last_attempt_at)}")
    if delayed and recipient.retry_until:
        fields.append(f"Will-Retry-Until: {format_date(recipient.retry_until)}")
    return fields


def _returned(original: bytes) -> bytes:
    """Return the third part: the header section of the message that is meant (RFC 6522 §4)."""
    if original.startswith(b"\r\n"):
        section = b""
    else:
        section = original[: RETURNED_HEADER + 4].partition(b"\r\n\r\n")[0]
        if len(section) > RETURNED_HEADER:
            section = section[: section.rfind(b"\r\n", 0, RETURNED_HEADER) + 2]
        lines = section.rstrip(b"\r\n").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        section = lines.replace(b"\n", b"\r\n") + b"\r\n"
    # Not message/global-headers: many a reader takes what is encoded in a message/* for text.
    part = b"Content-Type: text/rfc822-headers\r\n"
    if not section.isascii() or has_long_line(section) or b"\0" in section:
        section = b2a_qp(section, istext=True, quotetabs=False)
        part += b"Content-Transfer-Encoding: quoted-printable\r\n"
    return part + b"\r\n" + section


def _comes_back_whole(report: Report) -> bool:
    """Tell whether the message itself goes into the report: asked for, failed, and it fits. Binary
    content does not: a report goes out by DATA, where a bare line end could end it.
    """
    if not report.whole or _is_all(report, Action.DELAYED, *_SUCCESS):
        return False
    original = report.original
    return len(original) <= RETURNED_MESSAGE and is_fit(original, Capacity.EIGHT_BIT)


def _whole(original: bytes) -> bytes:
    """Return the third part: the message that is meant (RFC 6522 §3, RFC 2046 §5.2.1)."""
    is_utf8 = _is_utf8(original.partition(b"\r\n\r\n")[0])
    part = b"Content-Type: " + (b"message/global" if is_utf8 else b"message/rfc822") + b"\r\n"
    if not original.isascii():
        part += b"Content-Transfer-Encoding: 8bit\r\n"
    return part + b"\r\n" + original


def _is_utf8(section: bytes) -> bool:
    """Tell whether a header section is of an internationalised message (RFC 6532 §3.7): beyond
    ASCII, in UTF-8.
    """
    if section.isascii():
        return False
    try:
        section.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_all(report: Report, *actions: Action) -> bool:
    return all(recipient.action in actions for recipient in report.recipients)


def _typed(address: str) -> str:
    """Return an address with its type (RFC 3464 §2.3.2, RFC 6533 §3)."""
    kind = "rfc822" if address.isascii() else "utf-8"
    return f"{kind}; {_seven_bit(address)}"


def _seven_bit(address: str) -> str:
    if address.isascii() and address.isprintable():
        return address
    return _NOT_QCHAR.sub(lambda found: rf"\x{{{ord(found[0]):02X}}}", address)


def _printable(text: str) -> str:
    """Return another server's words in one line of printable ASCII."""
    joined = " ".join(text[:_LONGEST_TEXT].split())
    return "".join(c if " " <= c <= "~" else "?" for c in joined)


def _folded(field: str) -> list[str]:
    """Return a field folded at spaces; a word of more than a line's length is broken."""
    return textwrap.wrap(field, _WIDTH + 4, subsequent_indent=" ", break_on_hyphens=False)


def _indented(text: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False
    )


def _lines(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode("ascii", "replace")
