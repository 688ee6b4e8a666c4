"""What a next hop cannot take as it is, is made fit for it and signed again, or returned (decision 23).

RFC 6152 §3 (8BITMIME), RFC 3030 §3 (BINARYMIME), RFC 6531 §3.2 (SMTPUTF8).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from gatepost.model.submission import Origin, Submission
from gatepost.returns.outcome import NEEDS_EIGHT_BIT, NEEDS_UTF8, UTF8_HEADER
from gatepost.wire.message.encoded_words import ascii_fields
from gatepost.wire.message.header import Header, scan
from gatepost.wire.message.reencode import Capacity, Unconvertible, reencode
from gatepost.wire.smtp.extensions import Offers
from gatepost.wire.values import value

#: Returns signatures to put before changed content; b"" where none of our keys signs it.
SignAgain = Callable[[Submission, bytes], Awaitable[bytes]]

#: Octets above which reading and writing content anew would hold up others: it goes to a thread.
_LARGE: Final = 256 * 1024
#: One thread for all of it: what takes several times its size in memory comes one after another, and
#: keeps no thread from others. (It starts with the first that needs it, after the fork.)
_ALONE: Final = ThreadPoolExecutor(1, "reencode")
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
    utf8 = submission.utf8 and not offers.utf8
    if utf8 and not submission.reverse_path.isascii():
        return Unfit(NEEDS_UTF8, "the next hop takes no address that is not ASCII (SMTPUTF8)")
    binary = submission.binary and not offers.binary
    eight_bit = submission.eight_bit and not submission.binary and not offers.eight_bit
    if not (utf8 or binary or eight_bit):
        # A chunk must be as long as it says (RFC 3030 §2); of lines the size is a good guess.
        size = sum(map(len, pieces)) if submission.binary else submission.size
        return Fitted(pieces, size, submission.eight_bit, submission.binary, submission.utf8)
    capacity = Capacity.EIGHT_BIT if offers.eight_bit else Capacity.SEVEN_BIT
    if sum(map(len, pieces)) <= _LARGE:
        made = _changed(pieces, submission, capacity, utf8)
    else:
        loop = asyncio.get_running_loop()
        made = await loop.run_in_executor(_ALONE, _changed, pieces, submission, capacity, utf8)
    if isinstance(made, Unconvertible):
        return Unfit(
            UTF8_HEADER if made.in_header else NEEDS_EIGHT_BIT,
            f"the next hop cannot take it as it is, and it cannot be changed: {made.words}",
        )
    signatures = await sign_again(submission, made)
    return Fitted(
        (signatures, made),
        len(signatures) + len(made),
        not made.isascii(),
        binary=submission.binary and not binary,
        utf8=submission.utf8 and not utf8,
    )


def _changed(
    pieces: Sequence[bytes], submission: Submission, capacity: Capacity, in_ascii: bool
) -> bytes | Unconvertible:
    content = b"".join(pieces)
    if submission.origin is not Origin.MX:
        content = _unsigned(content)
    if in_ascii:
        header = scan(content)
        fields = ascii_fields(content, header) if isinstance(header, Header) else None
        if not isinstance(header, Header) or fields is None:
            return Unconvertible("its header names what is not ASCII", in_header=True)
        content = fields + content[header.end :]
    return reencode(content, capacity)


def _unsigned(content: bytes) -> bytes:
    """Return a submission without our signatures, which stand before our Received: they are of the
    content that was. Those below are others', and left for their verifiers to judge.
    """
    header = scan(content)
    if not isinstance(header, Header) or b"received" not in header.names:
        return content
    ours = header.names.index(b"received")
    kept = [
        content[header.starts[i] : header.starts[i + 1]]
        for i in range(ours)
        if header.names[i] != b"dkim-signature"
    ]
    return b"".join((*kept, content[header.starts[ours] :]))
