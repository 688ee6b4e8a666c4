"""Outgoing content: its transparency (RFC 5321 §4.5.2), or a chunk that needs none (RFC 3030 §2).

One `replace` a piece; a piece that needs nothing is handed on as it is, without a copy.
"""

from gatepost.wire.smtp.framing import first_dot

_LINE_START = b"\r\n"


class DotStuffer:
    """Makes content fit for DATA, piece by piece, however it is cut."""

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        #: The last two octets that went by; content begins at a line start.
        self._tail = _LINE_START

    def stuff(self, octets: bytes) -> bytes:
        """Return one piece with its leading dots doubled."""
        if not octets:
            return octets
        tail = self._tail
        self._tail = octets[-2:] if len(octets) > 1 else tail[-1:] + octets
        if first_dot(octets) >= 0:
            octets = octets.replace(b"\r\n.", b"\r\n..")
        if octets[:1] == b"." and tail == _LINE_START:
            return b"." + octets
        if octets[:2] == b"\n." and tail[-1:] == b"\r":
            return b"\n." + octets[1:]
        return octets

    def end(self) -> bytes:
        """Return the end of content, with a CRLF before it where content lacks its last."""
        return b".\r\n" if self._tail == _LINE_START else b"\r\n.\r\n"


class OneChunk:
    """All content in one chunk of BDAT, as it is; it must be as long as was announced."""

    __slots__ = ("_left",)

    def __init__(self, size: int) -> None:
        self._left = size

    def stuff(self, octets: bytes) -> bytes:
        """Return one piece, counted."""
        self._left -= len(octets)
        return octets

    def end(self) -> bytes:
        """Return nothing: the last octet is the end.

        Raises:
            ValueError: it was not as long as announced.

        """
        if self._left:
            msg = f"a chunk is {-self._left} octets too long"
            raise ValueError(msg)
        return b""
