"""The content of one transaction while it comes, within the memory that a worker has for it."""

from typing import Final

from gatepost.reception.memory import Memory, Taker

#: So many pieces become one: chunks of one octet (RFC 3030) would cost fifty in memory.
_MOST_PIECES: Final = 1024


class Holding:
    """`pieces` of content in order, `size` octets together. The taker is whose part of the memory
    they are; between the first piece and `let_go` it is the same.
    """

    __slots__ = ("_joined", "_memory", "pieces", "size")

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.pieces: list[bytes] = []
        self.size = 0
        self._joined = 0

    def keep(self, octets: bytes, taker: Taker) -> bool:
        """Keep a piece; False: there is no memory for it, and nothing is held any more (decision 8)."""
        if self._memory.left(taker) < len(octets):
            self.let_go(taker)
            return False
        pieces = self.pieces
        pieces.append(octets)
        self.size += len(octets)
        self._memory.take(len(octets), taker)
        if len(pieces) - self._joined >= _MOST_PIECES:
            pieces[self._joined :] = [b"".join(pieces[self._joined :])]
            self._joined = len(pieces)
        return True

    def let_go(self, taker: Taker) -> None:
        """Hold nothing."""
        if self.size:
            self._memory.give(self.size, taker)
        self.pieces, self.size, self._joined = [], 0, 0
