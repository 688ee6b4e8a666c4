"""The content of one transaction while it comes, and its recipients, within the memory that a worker has for
them.
"""

from typing import Final

from gatepost.reception.memory import Memory, Taker

#: So many pieces become one: chunks of one octet (RFC 3030) would cost fifty in memory.
_MOST_PIECES: Final = 1024
#: Memory for recipients is taken for so many at once, so that most messages take none; octets for each, as
#: Python has them (measured: 290 with a name of 64).
_RECIPIENTS: Final = 50
_OF_RECIPIENT: Final = 512


class Holding:
    """`pieces` of content in order, `size` octets together. `taker`: whose part of the memory
    they are; set it only while nothing is held.
    """

    __slots__ = ("_joined", "_memory", "_recipients", "pieces", "size", "taker")

    def __init__(self, memory: Memory, taker: Taker) -> None:
        self._memory = memory
        self.taker = taker
        self.pieces: list[bytes] = []
        self.size = 0
        self._joined = 0
        self._recipients = _RECIPIENTS

    def left(self) -> int:
        """Return how many octets there is memory for."""
        return self._memory.left(self.taker)

    def keep(self, octets: bytes) -> bool:
        """Keep a piece; False: there is no memory for it, and nothing is held any more (decision 8)."""
        if self._memory.left(self.taker) < len(octets):
            self.let_go()
            return False
        pieces = self.pieces
        pieces.append(octets)
        self.size += len(octets)
        self._memory.take(len(octets), self.taker)
        if len(pieces) - self._joined >= _MOST_PIECES:
            pieces[self._joined :] = [b"".join(pieces[self._joined :])]
            self._joined = len(pieces)
        return True

    def has_room_for_one_more(self, recipients: int) -> bool:
        """Tell whether there is memory for one more recipient than these, which is taken then. A stranger on
        each of 2000 connections would else have us keep two million names.
        """
        if recipients < self._recipients:
            return True
        octets = _RECIPIENTS * _OF_RECIPIENT
        if self._memory.left(self.taker) < octets:
            return False
        self._memory.take(octets, self.taker)
        self._recipients += _RECIPIENTS
        return True

    @property
    def is_empty(self) -> bool:
        """Tell whether no memory is taken."""
        return not self.size and self._recipients == _RECIPIENTS

    def let_go(self) -> None:
        """Hold nothing."""
        octets = self.size + (self._recipients - _RECIPIENTS) * _OF_RECIPIENT
        if octets:
            self._memory.give(octets, self.taker)
        self.pieces, self.size, self._joined = [], 0, 0
        self._recipients = _RECIPIENTS
