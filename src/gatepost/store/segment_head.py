"""What stands in a segment before each content: a mark, how long everything is, and the envelope.

    mark 8 | version 1 | flags 1 | position 8 | envelope's octets 4 | content's octets 8 |
    content's CRC-32 4 | envelope | CRC-32 of all that 4 | content

The position is that of the last event that its writer had committed and synced before: a database
without it has lost commits. The mark is made from the segment's name, which nobody outside knows: what a stranger writes into a
message is never taken for a head, even behind octets that are destroyed.
"""

import struct
import zlib
from contextlib import suppress
from hashlib import blake2b
from typing import Final

from gatepost.store.envelope import Envelope
from gatepost.store.envelope_octets import VERSION, NoEnvelopeError, decode, encode
from gatepost.wire.values import changed, value

_HEAD: Final = struct.Struct(">8sBBQIQI")
_SUM: Final = struct.Struct(">I")
#: Octets of a head without its envelope.
LEAST: Final = _HEAD.size + _SUM.size
_CERTAIN: Final = 1
_SUFFICES: Final = 2


@value(frozen=True, slots=True)
class Head:
    """A head that was read: its octets, those of the content behind it, and their CRC-32. Without
    envelope where it has none, or none that we know.
    """

    size: int
    length: int
    crc: int
    position: int
    envelope: Envelope | None


def mark_of(segment: str) -> bytes:
    """Return what each head in a segment of that name begins with."""
    return blake2b(segment.encode(), digest_size=8).digest()


def head(
    mark: bytes, envelope: Envelope | None, length: int, crc: int, *, position: int = 0
) -> bytes:
    """Return what stands before a content of so many octets, with that CRC-32."""
    octets = b"" if envelope is None else encode(envelope)
    flags = 0
    if envelope is not None:
        flags = _CERTAIN * envelope.is_certain | _SUFFICES * envelope.suffices
    octets = _HEAD.pack(mark, VERSION, flags, position, len(octets), length, crc) + octets
    return octets + _SUM.pack(zlib.crc32(octets))


def read_head(octets: bytes, at: int) -> Head | None:
    """Return the head that stands there, None if it is none, or its content is cut. Never raises."""
    if at + LEAST > len(octets):
        return None
    _, version, flags, position, envelope_length, length, crc = _HEAD.unpack_from(octets, at)
    size = LEAST + envelope_length
    if at + size + length > len(octets):
        return None
    end = at + size - _SUM.size
    if zlib.crc32(octets[at:end]) != _SUM.unpack_from(octets, end)[0]:
        return None
    envelope = octets[at + _HEAD.size : end]
    known = None
    if version == VERSION and envelope:
        with suppress(NoEnvelopeError):
            known = changed(
                decode(envelope, length, is_certain=bool(flags & _CERTAIN)),
                suffices=bool(flags & _SUFFICES),
            )
    return Head(size, length, crc, position, known)
