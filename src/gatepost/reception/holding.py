"""The content of one transaction while it comes, within the memory that a worker has for it."""

from typing import Final

from gatepost.reception.memory import Memory, Taker

#: So many pieces become one: chunks of one octet (RFC 3030) would cost fifty in memory.
_MOST_PIECES: Final = 1024


class Holding:
    """`pieces` of content in order, `size` octets together. `taker`: whose part of the memory
    they are; set it only while nothing is held.
    """

    __slots__ = ("_joined", "_memory", "pieces", "size", "taker")

    def __init__(self, memory: Memory, taker: Taker) -> None:
        self._memory = memory
        self.taker = taker
        self.pieces: list[bytes] = []
        self.size = 0
        self._joined = 0

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

    def let_go(self) -> None:
        """Hold nothing."""
        if self.size:
            self._memory.give(self.size, self.taker)
        self.pieces, self.size, self._joined = [], 0, 0
