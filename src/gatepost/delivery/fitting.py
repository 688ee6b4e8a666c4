"""What a next hop cannot take as it is, is made fit for it and signed again, or returned (decision 23).

RFC 6152 §3 (8BITMIME), RFC 3030 §3 (BINARYMIME), RFC 6531 §3.2 (SMTPUTF8).
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, NamedTuple

from gatepost.model.submission import Origin, Submission
from gatepost.returns.outcome import NEEDS_EIGHT_BIT, NEEDS_UTF8, UTF8_HEADER
from gatepost.wire.dkim.verify import signers
from gatepost.wire.message.addresses import addresses_of
from gatepost.wire.message.encoded_words import ascii_fields
from gatepost.wire.message.header import Header, HeaderFault, is_long, scan, value_of
from gatepost.wire.message.limits import LONG_HEADER
from gatepost.wire.message.reencode import Capacity, Unconvertible, reencode
from gatepost.wire.smtp.extensions import Offers
from gatepost.wire.values import value

#: Returns signatures to put before changed content, by keys of these domains: those that signed it when
#: it was accepted; b"" for none.
SignAgain = Callable[[Collection[str], bytes], Awaitable[bytes]]

#: Octets above which reading and writing content anew would hold up others: it goes to a thread.
_LARGE: Final = 256 * 1024
#: One thread for all of it: what takes several times its size in memory comes one after another, and
#: keeps no thread from others. (It starts with the first that needs it, after the fork.)
_ALONE: Final = ThreadPoolExecutor(1, "reencode")
#: Fields whose addresses were judged when the message was accepted.
_JUDGED: Final = frozenset({b"from", b"sender", b"resent-from", b"resent-sender"})
#: What a maildir takes: lines, of any octets.
OF_MAILDIR: Final = Offers(eight_bit=True, utf8=True)


@value(frozen=True, slots=True)
class Fitted:
    """Content as it goes out to one next hop, and what is to be said of it there."""

    pieces: Sequence[bytes]
    size: int
    eight_bit: bool
    binary: bool
    utf8: bool


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why it cannot go there: an RFC 3463 code, and words."""

    status: str
    words: str


async def fit(
    submission: Submission, pieces: Sequence[bytes], offers: Offers, sign_again: SignAgain
) -> Fitted | Unfit:
    """Return what of a submission can be sent to a server with these offers."""
    utf8, binary, eight_bit = _beyond(submission, offers)
    if utf8 and not submission.reverse_path.isascii():
        return Unfit(NEEDS_UTF8, "the next hop takes no address that is not ASCII (SMTPUTF8)")
    if not (utf8 or binary or eight_bit):
        # A chunk must be as long as it says (RFC 3030 §2); of lines the size is a good guess.
        size = sum(map(len, pieces)) if submission.binary else submission.size
        return Fitted(pieces, size, submission.eight_bit, submission.binary, submission.utf8)
    capacity = Capacity.EIGHT_BIT if offers.eight_bit else Capacity.SEVEN_BIT
    size = sum(map(len, pieces))
    if size <= LONG_HEADER or not (utf8 or size > _LARGE or is_long(pieces)):
        made = _changed(pieces, submission, capacity, utf8)
    else:
        loop = asyncio.get_running_loop()
        made = await loop.run_in_executor(_ALONE, _changed, pieces, submission, capacity, utf8)
    if isinstance(made, Unconvertible):
        return Unfit(
            UTF8_HEADER if made.in_header else NEEDS_EIGHT_BIT,
            f"the next hop cannot take it as it is, and it cannot be changed: {made.words}",
        )
    content = made.content
    signatures = await sign_again(made.signed_by, content)
    return Fitted(
        (signatures, content),
        len(signatures) + len(content),
        not content.isascii(),
        binary=submission.binary and not binary,
        utf8=submission.utf8 and not utf8,
    )


class _Beyond(NamedTuple):
    """What of a message a server does not take."""

    utf8: bool
    binary: bool
    eight_bit: bool


def _beyond(submission: Submission, offers: Offers) -> _Beyond:
    return _Beyond(
        submission.utf8 and not offers.utf8,
        submission.binary and not offers.binary,
        submission.eight_bit and not submission.binary and not offers.eight_bit,
    )


def is_as_it_is(submission: Submission, offers: Offers) -> bool:
    """Tell whether a message can be sent as it is to a server with these offers."""
    return not any(_beyond(submission, offers))


@dataclass(frozen=True, slots=True)
class _Changed:
    """Content without our signatures, and the domains (d=) that these were of."""

    content: bytes
    signed_by: tuple[str, ...]


def _changed(
    pieces: Sequence[bytes], submission: Submission, capacity: Capacity, in_ascii: bool
) -> _Changed | Unconvertible:
    content = b"".join(pieces)
    signed_by: tuple[str, ...] = ()
    if submission.origin is not Origin.MX:
        content, signed_by = _unsigned(content)
    before = scan(content, completed=True)
    if isinstance(before, HeaderFault):
        return Unconvertible(f"its {before.words}", in_header=in_ascii)
    fields = ascii_fields(content, before) if in_ascii else content[: before.end]
    if isinstance(fields, HeaderFault):
        return Unconvertible(f"in its header, {fields.words}", in_header=True)
    written = reencode(fields + content[before.end :] if in_ascii else content, capacity)
    if isinstance(written, Unconvertible):
        return written
    after = scan(written, completed=True)
    if isinstance(after, HeaderFault):
        return Unconvertible(f"its {after.words} then", in_header=True)
    if _named(content, before) != _named(written, after):
        return Unconvertible("it would name another author then", in_header=True)
    return _Changed(written, signed_by)


def _unsigned(content: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return a message of ours without our signatures, which stand before all else (they are of the
    content that was), and the domains that they were of. Those below are others', and left for their
    verifiers to judge.
    """
    header = scan(content, completed=True)
    if isinstance(header, HeaderFault):
        return content, ()
    number = 0
    while header.names[number : number + 1] == (b"dkim-signature",):
        number += 1
    end = header.starts[number]
    signatures = scan(content[:end], completed=True)
    if isinstance(signatures, HeaderFault):
        return content, ()
    return content[end:], signers(content, signatures)


def _named(content: bytes, header: Header) -> list[tuple[bytes, Sequence[str]]]:
    """Return whom the fields name that were judged when the message came; nobody judges them again."""
    named: list[tuple[bytes, Sequence[str]]] = []
    for field in header.fields():
        if field.name in _JUDGED:
            found = addresses_of(value_of(content, field))
            named.append((field.name, () if isinstance(found, HeaderFault) else found))
    return named
