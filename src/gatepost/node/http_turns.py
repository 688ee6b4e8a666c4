"""A connection's requests are parsed in turns with all others': so many lines at a time.

A read is 256 kB at most: as chunks of one octet each, or as fields of a head, it takes the parser 1.4 s. A
hundred connections of a stranger's that all had that ready would have stopped everybody for minutes.
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol

#: Lines that are parsed in one turn, some 3 ms of them; and octets, where lines are long.
_LINES: Final = 100
_OCTETS: Final = 16 * 1024


class InTurns(H11Protocol):
    """Parses what has come a stretch at a time, and reads no more before it has parsed that."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with nothing."""
        super().connection_made(cast("asyncio.Transport", transport))
        self.flow = _Flow(self.transport, self._go_on)
        self._unparsed = bytearray()
        self._turn: asyncio.Handle | None = None

    @property
    def is_behind(self) -> bool:
        """Tell whether something has come that is not parsed yet."""
        return bool(self._unparsed)

    def data_received(self, data: bytes) -> None:
        """Take octets."""
        self._unparsed += data
        if self._turn is None:
            self._take_turn()

    def take(self, octets: bytes) -> None:
        """Parse a stretch of them."""
        super().data_received(octets)

    def connection_lost(self, exc: Exception | None) -> None:
        """Parse no more."""
        self._unparsed.clear()
        super().connection_lost(exc)

    def _go_on(self) -> None:
        if self._turn is None:
            self._turn = self.loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._turn = None
        if self.transport.is_closing():
            return
        if self._unparsed and not self.flow.read_paused:
            end = stretch_of(self._unparsed)
            octets = bytes(self._unparsed[:end])
            del self._unparsed[:end]
            self.take(octets)
        if self._unparsed:
            self.transport.pause_reading()
        if self.flow.read_paused or self.transport.is_closing():
            return
        if self._unparsed:
            self._go_on()
        else:
            self.transport.resume_reading()


class _Flow(FlowControl):
    """Goes on with what has come before more is read."""

    def __init__(self, transport: asyncio.Transport, go_on: Callable[[], None]) -> None:
        super().__init__(transport)
        self._go_on = go_on

    def resume_reading(self) -> None:
        """Go on where it was paused."""
        if self.read_paused:
            self.read_paused = False
            self._go_on()


def stretch_of(octets: bytes | bytearray) -> int:
    """Return how many of these octets are parsed in one turn: at least one where there is one."""
    most = min(len(octets), _OCTETS)
    end = 0
    for _ in range(_LINES):
        found = octets.find(b"\n", end, most)
        if found < 0:
            return most
        end = found + 1
    return end
