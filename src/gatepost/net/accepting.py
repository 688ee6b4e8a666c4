"""Accepting from a listening socket, also while nothing more can be opened (EMFILE, ENFILE, ENOBUFS).

The loop's own server would ask again and again then, on a whole processor. Here it rests until something can
be opened: who waits is told to come again, with the descriptor that resting has freed.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Final

_log = logging.getLogger(__name__)

#: Seconds between two looks whether accepting works.
_LOOK: Final = 0.5
#: So many descriptors must be there before everybody is let in again.
_ROOM: Final = 16
#: Nobody is turned away faster than so many at a time: the loop has other things to do.
_AT_ONCE: Final = 200


class Accepting:
    """A listening socket whose connections the loop accepts. Owns the socket."""

    def __init__(
        self,
        sock: socket.socket,
        protocol: Callable[[], asyncio.BaseProtocol],
        *,
        backlog: int,
        farewell: bytes,
    ) -> None:
        """`farewell` is what a connection hears that is not let in, as long as it rests."""
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._protocol = protocol
        self._backlog = backlog
        self._farewell = farewell
        self._server: asyncio.Server | None = None
        self._watch: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin. Raises OSError."""
        await self._accept()
        self._watch = self._loop.create_task(self._keep_watch(), name="accepting")

    def close(self) -> None:
        """Close our copies of the socket; who came in before stays."""
        if self._watch is not None:
            self._watch.cancel()
        self._rest()
        self._sock.close()

    async def _accept(self) -> None:
        server_sock = self._sock.dup()
        try:
            self._server = await self._loop.create_server(
                self._protocol, sock=server_sock, backlog=self._backlog
            )
        except BaseException:
            server_sock.close()
            raise

    def _rest(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _keep_watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            try:
                if self._server is None:
                    await self._try_again()
                else:
                    await self._take_one()
            except OSError as trouble:
                if self._server is not None:
                    _log.error(
                        "nobody can be let in: %s; who comes is told to try again (421)",
                        (trouble.strerror or str(trouble)).lower(),
                    )
                self._rest()
            except Exception:  # noqa: BLE001 - the top of the task: nobody would be let in again
                _log.exception("a look at who waits to be let in failed")

    async def _take_one(self) -> None:
        """Accept as the loop's server does, which does not say when it cannot. Raises OSError."""
        try:
            taken, _ = self._sock.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        try:
            await self._loop.connect_accepted_socket(self._protocol, taken)
        except OSError:
            taken.close()

    async def _try_again(self) -> None:
        """Let people in where there is room again. Raises OSError."""
        if not has_room():
            turn_away(self._sock, self._farewell)
            return
        await self._take_one()
        await self._accept()
        _log.info("everybody is let in again")


def has_room() -> bool:
    """Tell whether a few sockets could be opened."""
    with contextlib.ExitStack() as stack:
        try:
            for _ in range(_ROOM):
                stack.enter_context(socket.socket(socket.AF_UNIX))
        except OSError:
            return False
    return True


def turn_away(sock: socket.socket, words: bytes) -> None:
    """Accept who waits at a socket that does not block, say this, and close.

    Raises:
        OSError: not even that is possible.

    """
    for _ in range(_AT_ONCE):
        try:
            taken, _ = sock.accept()
        except BlockingIOError:
            return
        except ConnectionAbortedError:
            continue
        with taken, contextlib.suppress(OSError):
            taken.setblocking(False)
            if words:
                taken.send(words)
            taken.shutdown(socket.SHUT_WR)
            taken.recv(65536)  # what is left unread would turn the end into a reset
