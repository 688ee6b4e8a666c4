"""What a message lacks is put before it, what must not leave is cut out (RFC 6409 §8).

Nothing is parsed into a tree and nothing is written anew: what goes out is a prefix of ours, then
the content as it came, less the fields that were cut. Clean content is not even copied.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import field, replace
from threading import Lock
from typing import Final

from gatepost.model.settings import SubmissionSettings
from gatepost.reception.handling import LANE_FIELD, SEND_AT_FIELD
from gatepost.reception.instructions import JUDGE_FIELD, KEY_FIELD, STREAM_FIELD
from gatepost.wire.dkim.verify import signers
from gatepost.wire.message.addresses import authors_of
from gatepost.wire.message.authentication_results import forged_fields
from gatepost.wire.message.encoded_words import ascii_fields
from gatepost.wire.message.header import (
    Field,
    Flaw,
    Header,
    HeaderFault,
    repeated,
    scan,
    spell,
    unfold,
    value_of,
)
from gatepost.wire.message.identifiers import format_date, message_id
from gatepost.wire.message.limits import ADDRESS_FIELD
from gatepost.wire.message.line_ends import (
    has_clean_line_ends,
    has_long_line,
    with_clean_line_ends,
)
from gatepost.wire.message.reencode import Capacity, Unconvertible, is_fit, reencode
from gatepost.wire.message.trace import Hop, is_looping, received_field
from gatepost.wire.smtp.replies import BAD_CONTENT, HEADER_NOT_ASCII, MAIL_LOOP, Reply
from gatepost.wire.values import value

_CRLF: Final = b"\r\n"
_MESSAGE_ID: Final = re.compile(rb"<[!-;=?-~]{1,900}>")
#: Fields that name recipients who shall stay unknown (RFC 5322 §3.6.3, §3.6.6).
_BLIND: Final = frozenset({b"bcc", b"resent-bcc"})
#: Fields that name who put a message into the mail once more (RFC 5322 §3.6.6).
_RESENDERS: Final = frozenset({b"resent-from", b"resent-sender"})
#: Fields by which a client tells us how to handle the message.
_INSTRUCTIONS: Final = frozenset({KEY_FIELD, JUDGE_FIELD, LANE_FIELD, SEND_AT_FIELD, STREAM_FIELD})
#: Fields that say how one unsubscribes (RFC 2369 §3.2, RFC 8058 §3.1).
_UNSUBSCRIBE: Final = frozenset({b"list-unsubscribe", b"list-unsubscribe-post"})
#: Fields that we write where they are missing or empty; Sender only where there are several authors.
_ADDED: Final = (b"date", b"message-id")
_NEVER_EMPTY: Final = frozenset({*_ADDED, b"sender"})
_TOO_LONG: Final = HeaderFault(Flaw.LONG_ADDRESSES)
_DEFAULT: Final = SubmissionSettings()
#: Octets above which messages, which are read in threads then, are written anew one after another:
#: each takes several times its size.
_LARGE: Final = 1024 * 1024
_ONE_AT_A_TIME: Final = Lock()


@value(frozen=True, slots=True)
class Facts:
    """What is known besides the content: the hop for Received, whether it is a submission (then
    the message is completed; mail from servers is not), and the reverse-path ("" for the null).
    `binary` and `utf8` are what MAIL said (BODY=BINARYMIME, SMTPUTF8).
    """

    hop: Hop
    is_submission: bool
    reverse_path: str
    binary: bool = False
    utf8: bool = False
    rules: SubmissionSettings = _DEFAULT


@value(frozen=True, slots=True)
class Completed:
    """A message fit to be stored.

    What goes out is `prefix` and then `pieces`. `message_id` has its angle brackets, "" where
    there is none. `from_addresses` and `sender_addresses` are the header's (From and Sender) as
    written, `resender_addresses` those of all Resent-From and Resent-Sender (RFC 5322 §3.6.6); they are
    read for submissions only. `eight_bit`: an octet above 127 is in it; `utf8_header`: in
    its header section. `binary`: not lines of text. `instructions` are the bodies of our own fields,
    by name in lower case: they were cut out. `signed_by` are the domains (d=) of DKIM signatures that a
    submission brought, whether they hold or not. `unsubscribes`: it says itself how one unsubscribes.
    """

    prefix: bytes
    pieces: tuple[bytes, ...]
    message_id: str
    from_addresses: tuple[str, ...]
    sender_addresses: tuple[str, ...]
    eight_bit: bool
    instructions: Mapping[bytes, bytes] = field(default_factory=dict)
    signed_by: tuple[str, ...] = ()
    utf8_header: bool = False
    binary: bool = False
    unsubscribes: bool = False
    resender_addresses: tuple[str, ...] = ()

    @property
    def octets(self) -> tuple[bytes, ...]:
        """Return all pieces in order, the prefix first."""
        return (self.prefix, *self.pieces)

    @property
    def size(self) -> int:
        """Return the length of all pieces together."""
        return len(self.prefix) + sum(map(len, self.pieces))


def complete(content: bytes, facts: Facts) -> Completed | Reply:
    """Return the message as it will be stored, or the reply that refuses it.

    `content` is what came before the final dot, dots unstuffed. Submissions get a Date and a
    Message-ID where they have none, lose Bcc, and have bare line ends made CRLF; the reverse-path
    becomes the From of one without any header, and the Sender of one with several authors and none
    (RFC 5322 §3.6.2; RFC 6409 §8.1). Mail from servers is refused for bare line
    ends (decision 24), over-long lines and malformed header sections, else left as it is.
    Binary content is left as it is behind its header section (RFC 3030 §3).
    """
    lines = content if facts.binary else _as_lines(content, facts)
    if isinstance(lines, Reply):
        return lines
    content = lines
    header = scan(content)
    if isinstance(header, HeaderFault):
        return BAD_CONTENT.about(header.words)
    if is_looping(header):
        return MAIL_LOOP
    if not content.isascii() and not content[: header.end].isascii():
        return _complete_utf8(content, header, facts)
    return _completed(content, header, facts)


def _complete_utf8(content: bytes, header: Header, facts: Facts) -> Completed | Reply:
    """Complete a message whose header section is not ASCII: without SMTPUTF8 it becomes so, that
    any next hop can take it (RFC 6531 §3.2).
    """
    if facts.utf8 or not facts.is_submission:
        completed = _completed(content, header, facts)
        return completed if isinstance(completed, Reply) else replace(completed, utf8_header=True)
    fields = ascii_fields(content, header)
    if isinstance(fields, HeaderFault):
        completed = _completed(content, header, facts)
        if isinstance(completed, Reply):
            return completed
        is_short = fields.flaw is Flaw.NOT_ASCII
        return HEADER_NOT_ASCII if is_short else BAD_CONTENT.about(fields.words)
    content = fields + content[header.end :]
    written = scan(content)
    if isinstance(written, HeaderFault):
        return BAD_CONTENT.about(written.words)
    return _completed(content, written, facts)


def _completed(content: bytes, header: Header, facts: Facts) -> Completed | Reply:
    if facts.is_submission:
        completed = _complete_submission(content, header, facts)
    else:
        completed = _pass_on(content, header, facts)
    if isinstance(completed, HeaderFault):
        return BAD_CONTENT.about(completed.words)
    if facts.binary and not is_fit(content, Capacity.EIGHT_BIT):
        return replace(completed, binary=True)
    return completed


def _as_lines(content: bytes, facts: Facts) -> bytes | Reply:
    """Return content as lines of at most 998 octets, or the reply that refuses it."""
    if b"\0" in content:  # no message holds one any more: RFC 5322 §4
        return BAD_CONTENT.about("content holds a NUL")
    if not has_clean_line_ends(content):
        if not facts.is_submission or facts.rules.bare_line_ends == "refuse":
            return BAD_CONTENT.about("content holds a bare CR or LF; lines end with CRLF")
        content = with_clean_line_ends(content)
    if not facts.is_submission or not has_long_line(content):
        return content
    if facts.rules.long_lines == "refuse":
        return BAD_CONTENT.about(Flaw.LONG_LINE.value)
    if facts.rules.long_lines == "pass":
        return content
    with _ONE_AT_A_TIME if len(content) > _LARGE else nullcontext():
        made = reencode(content, Capacity.EIGHT_BIT)
    if isinstance(made, Unconvertible):
        return BAD_CONTENT.about(f"{Flaw.LONG_LINE.value}, and {made.words}")
    return made


def _pass_on(content: bytes, header: Header, facts: Facts) -> Completed | HeaderFault:
    """Judge mail from another server; it is not for us to complete it (RFC 5321 §6.4)."""
    if not facts.binary and has_long_line(content):
        return HeaderFault(Flaw.LONG_LINE)
    if header.names.count(b"from") > 1:  # one author for DMARC, another for the reader
        return HeaderFault(Flaw.REPEATED, "From")
    message_id_ = _message_id_of(content, header)
    prefix = received_field(facts.hop)
    return Completed(prefix, (content,), message_id_, (), (), not content.isascii())


def _complete_submission(content: bytes, header: Header, facts: Facts) -> Completed | HeaderFault:
    if fault := repeated(header):
        return fault
    authors = _authors(content, header, facts)
    if isinstance(authors, HeaderFault):
        return authors
    senders = _listed(content, header, b"sender")
    if isinstance(senders, HeaderFault):
        return senders
    resenders = _resenders(content, header)
    if isinstance(resenders, HeaderFault):
        return resenders
    instructions = _instructions(content, header)
    if isinstance(instructions, HeaderFault):
        return instructions
    cut = _to_cut(content, header, facts.hop.hostname)
    if not senders and b"sender" in header.names and not any(f.name == b"sender" for f in cut):
        return HeaderFault(Flaw.NO_ADDRESS, "Sender")
    added, own_id = _additions(header, cut, facts)
    if len(authors) > 1 and not senders and facts.reverse_path:
        senders = (facts.reverse_path,)
        added += f"Sender: <{facts.reverse_path}>\r\n".encode()
    prefix = received_field(facts.hop) + added
    if not content:
        prefix += _CRLF  # nothing came, not even the line that ends a header section
    pieces = tuple(without(content, cut)) if cut else (content,)
    message_id_ = own_id or _message_id_of(content, header)
    utf8 = not added.isascii()
    return Completed(
        prefix, pieces, message_id_, authors, senders, utf8 or not content.isascii(), instructions,
        signers(content, header), utf8, unsubscribes=not _UNSUBSCRIBE.isdisjoint(header.names),
        resender_addresses=resenders,
    )  # fmt: skip


def _to_cut(content: bytes, header: Header, hostname: str) -> list[Field]:
    """Return the fields that must not go out: Bcc, our own, Authentication-Results in our name, and
    a Date, Message-ID or Sender with nothing in it.
    """
    starts = header.starts
    cut = [
        header.field(i)
        for i, name in enumerate(header.names)
        if name in _BLIND
        or name in _INSTRUCTIONS
        or (name in _NEVER_EMPTY and content[starts[i] + len(name) + 1 : starts[i + 1]].isspace())
    ]
    if forged := forged_fields(content, header, hostname):
        cut = sorted((*cut, *forged), key=lambda field: field.start)
    return cut


def _instructions(content: bytes, header: Header) -> Mapping[bytes, bytes] | HeaderFault:
    """Return the bodies of our own fields, one of each at most."""
    if _INSTRUCTIONS.isdisjoint(header.names):
        return {}
    found: dict[bytes, bytes] = {}
    for i, name in enumerate(header.names):
        if name in _INSTRUCTIONS:
            if name in found:
                return HeaderFault(Flaw.REPEATED, spell(name))
            found[name] = unfold(value_of(content, header.field(i)))
    return found


def _additions(header: Header, cut: Sequence[Field], facts: Facts) -> tuple[bytes, str]:
    """Return the fields to add as octets, and the Message-ID among them ("" for none)."""
    gone = {field.name for field in cut}
    lacking = [name for name in _ADDED if name not in header.names or name in gone]
    fields, own_id = [], ""
    if not header.names:
        fields.append(f"From: <{facts.reverse_path}>\r\n")
    if b"date" in lacking:
        fields.append(f"Date: {format_date(facts.hop.at)}\r\n")
    if b"message-id" in lacking:
        own_id = message_id(facts.hop.identifier, facts.hop.hostname)
        fields.append(f"Message-ID: {own_id}\r\n")
    return "".join(fields).encode(), own_id


def _authors(content: bytes, header: Header, facts: Facts) -> tuple[str, ...] | HeaderFault:
    """Return the addresses of From; there must be one, for somebody must have written it. A
    message without any header is the reverse-path's.
    """
    if not header.names and facts.reverse_path:
        return (facts.reverse_path,)
    if b"from" not in header.names:
        return HeaderFault(Flaw.MISSING, "From")
    return _listed(content, header, b"from") or HeaderFault(Flaw.NO_ADDRESS, "From")


def _resenders(content: bytes, header: Header) -> tuple[str, ...] | HeaderFault:
    """Return the addresses in all fields that say who resent it: there is a set for each time."""
    if _RESENDERS.isdisjoint(header.names):
        return ()
    resenders: list[str] = []
    left = ADDRESS_FIELD
    for one in header.fields():
        if one.name in _RESENDERS:
            left -= one.end - one.start
            found = authors_of(value_of(content, one)) if left >= 0 else _TOO_LONG
            if isinstance(found, HeaderFault):
                return HeaderFault(found.flaw, spell(one.name))
            resenders += found
    return tuple(resenders)


def _listed(content: bytes, header: Header, name: bytes) -> tuple[str, ...] | HeaderFault:
    """Return the addresses in the only field of this name; () where there is none."""
    if name not in header.names:
        return ()
    found = authors_of(value_of(content, header.field(header.names.index(name))))
    return HeaderFault(found.flaw, spell(name)) if isinstance(found, HeaderFault) else found


def _message_id_of(content: bytes, header: Header) -> str:
    if b"message-id" not in header.names:
        return ""
    index = header.names.index(b"message-id")
    found = _MESSAGE_ID.search(content, header.starts[index], header.starts[index + 1])
    return found[0].decode("ascii") if found else ""


def without(content: bytes, cut: Iterable[Field]) -> Iterable[bytes]:
    """Yield what is left of `content` when the fields in `cut` are taken out."""
    position = 0
    for one in cut:
        if one.start > position:
            yield content[position : one.start]
        position = one.end
    if position < len(content):
        yield content[position:]
