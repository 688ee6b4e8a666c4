"""What an evaluation asks of the DNS, and what it is told.

SPF and DMARC are generators: they yield questions, are sent answers and return a verdict. Whoever
drives them has the world: a resolver, a table of a test, what was remembered.
"""

from collections.abc import Generator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

V = TypeVar("V")


class RecordType(StrEnum):
    """Types of records that are asked for."""

    A = "A"
    AAAA = "AAAA"
    MX = "MX"
    PTR = "PTR"
    TXT = "TXT"


@dataclass(frozen=True, slots=True)
class Question:
    """A name, in A-labels without a dot at its end, and a type of records."""

    name: str
    kind: RecordType


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found.

    `texts` are: of TXT each record's strings joined; of A and AAAA addresses; of MX the hosts in
    order of their preference; of PTR names. `failed`: nobody could tell (RFC 7208 §4.4: a time-out,
    or an RCODE other than 0 and 3). `exists` is False for NXDOMAIN.
    """

    texts: tuple[str, ...] = ()
    exists: bool = True
    failed: bool = False


#: An evaluation that ends with a verdict of type V.
Asking = Generator[Question, Answer, V]
