"""Names of things: 128 bits in UUIDv7 form (RFC 9562 §5.7), written as 32 hexadecimal digits.

Time-ordered, so that a table keyed by them grows at its end, and unique over nodes.
"""

from typing import NewType

SubmissionId = NewType("SubmissionId", str)
DeliveryId = NewType("DeliveryId", str)
CredentialId = NewType("CredentialId", str)

#: The authcid, SASLprep'd and case-folded (decision 15).
AccountName = NewType("AccountName", str)

#: "node/boot/worker": who holds a lease (decision 10).
WorkerId = NewType("WorkerId", str)


def identifier(milliseconds: int, counter: int, random: int) -> str:
    """Return one identifier.

    Args:
        milliseconds: since the Unix epoch, 48 bits.
        counter: 12 bits, rising within one millisecond.
        random: 62 bits, of more the lowest.

    """
    number = (milliseconds & 0xFFFFFFFFFFFF) << 80 | 0x7000 << 64 | (counter & 0xFFF) << 64
    number |= 0b10 << 62 | (random & 0x3FFFFFFFFFFFFFFF)
    return f"{number:032x}"


def time_of(name: str) -> int:
    """Return the milliseconds since the Unix epoch that an identifier carries."""
    return int(name[:12], 16)
