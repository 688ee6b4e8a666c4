"""Stands before a PostgreSQL and cuts the connection of whoever commits, at the worst moment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto


class Cut(Enum):
    """Before the server has heard COMMIT, or between its answer and who waits for it."""

    BEFORE = auto()
    AFTER = auto()


#: The message by which a server says that it has committed.
_COMMITTED = b"C\x00\x00\x00\x0bCOMMIT\x00"


class CuttingProxy:
    """Passes everything on until it is armed; cuts one commit then."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._armed: Cut | None = None
        self.cuts = 0
        #: Whether new connections are let in.
        self.is_open = True
        self.port = 0

    def arm(self, cut: Cut) -> None:
        self._armed = cut

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.is_open:
            writer.close()
            return
        back, forth = await asyncio.open_connection(self._host, self._port)
        with suppress(OSError):
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, forth, Cut.BEFORE, b"COMMIT", (writer, forth)))
                group.create_task(self._pass(back, writer, Cut.AFTER, _COMMITTED, (writer, forth)))

    async def _pass(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        cut: Cut,
        sign: bytes,
        both: tuple[asyncio.StreamWriter, ...],
    ) -> None:
        while octets := await source.read(1 << 16):
            if self._armed is cut and sign in octets:
                self._armed = None
                self.cuts += 1
                break
            target.write(octets)
            await target.drain()
        for each in both:
            each.close()


@asynccontextmanager
async def cutting_proxy(host: str, port: int) -> AsyncIterator[CuttingProxy]:
    """Serve one on a free port of loopback."""
    proxy = CuttingProxy(host, port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
