"""An SMTP server that does as chance will have it: for tests of what our client believes.

Written on asyncio streams, without a line of Gatepost. It knows for whom it has said "yes" to a final dot,
after the dot; nobody else may be held for delivered.
"""

import asyncio
import re
from random import Random
from types import TracebackType
from typing import Final, Self

CODES: Final = [
    "099", "150", "2", "25", "220", "221", "235", "250", "250250", "252", "334", "354", "421", "450", "452",
    "535", "550", "552", "554", "600",
]  # fmt: skip
STATUSES: Final = ["", " 2.0.0", " 5.1.1", " 4.7.1", " 5.999.999", " 9.9.9", "-", " \x1b[2J\x00"]
TEXTS: Final = ["", " text", " \u202e", " 2.1.5 " + "A" * 600]
ENDS: Final = ["\r\n", "\n", "\r\r\n"]
LINE: Final = re.compile(rb"2\d\d[ \r\n-]")


class _HungUpError(Exception):
    pass


class HostileServer:
    """On a port of one loopback address. After so many sessions it is as friendly as can be.

    `yes`: for whom a final dot was answered 2yz, after it came. `sessions`: how many there were.
    """

    def __init__(self, host: str, port: int, seed: int, hostile: int) -> None:
        self.host = host
        self.port = port
        self.hostile = hostile
        self.sessions = 0
        self.yes: set[str] = set()
        self._chance = Random(seed)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.sessions += 1
        try:
            await _Session(self, self._chance, reader, writer).run()
        except (_HungUpError, ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()


class _Session:
    def __init__(
        self,
        server: HostileServer,
        chance: Random,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.server = server
        self.chance = chance
        self.reader = reader
        self.writer = writer
        self.is_friendly = server.sessions > server.hostile
        self.paths: list[str] = []
        self.is_early = False

    async def run(self) -> None:
        await self.say("220 hostile.example\r\n")
        while True:
            line = (await self.reader.readuntil(b"\n")).decode()
            verb = line[:4].upper()
            if verb == "RCPT":
                self.paths.append(line[line.index("<") + 1 : line.index(">")])
            if verb in {"MAIL", "RSET", "EHLO"}:
                self.paths = []
            if verb == "QUIT":
                return
            if verb != "DATA":
                await self.say(self.hello() if verb == "EHLO" else "250 ok\r\n")
            elif await self.goes_on():
                await self.content()

    def hello(self) -> str:
        words = [
            "PIPELINING",
            "8BITMIME",
            "SMTPUTF8",
            "SIZE 0",
            "SIZE x",
            "LIMITS RCPTMAX=1",
            "DSN",
        ]
        if not self.is_friendly:
            words = self.chance.sample(words, self.chance.randrange(len(words)))
        lines = ["hostile.example", *words]
        return "".join(f"250-{w}\r\n" for w in lines[:-1]) + f"250 {lines[-1]}\r\n"

    async def goes_on(self) -> bool:
        self.is_early = not self.is_friendly and self.chance.random() < 0.2
        if self.is_early:  # a "yes" before the dot, behind which comes a "no"
            await self.send(b"354 go\r\n250 2.0.0 taken\r\n")
            return True
        return (await self.say("354 go\r\n")).startswith(b"354")

    async def content(self) -> None:
        while await self.reader.readuntil(b"\n") != b".\r\n":
            pass
        if self.is_early:
            await self.send(b"550 5.7.1 not this\r\n")
            return
        said = self.made("250 2.0.0 taken\r\n")
        if LINE.match(said):
            self.server.yes.update(self.paths)
        await self.send(said)

    async def say(self, normal: str) -> bytes:
        said = self.made(normal)
        await self.send(said)
        return said

    async def send(self, said: bytes) -> None:
        if self.is_friendly or self.chance.random() < 0.8:
            self.writer.write(said)
        else:
            for at in range(0, len(said), size := max(1, len(said) // 7)):
                self.writer.write(said[at : at + size])
                await asyncio.sleep(0)
        await self.writer.drain()
        if not said.endswith(b"\n") and said:
            raise _HungUpError

    def made(self, normal: str) -> bytes:
        """Return what is said instead of what would be right."""
        chance = self.chance
        if self.is_friendly or chance.random() < 0.75:
            return normal.encode()
        match chance.randrange(10):
            case 0:
                return (normal * 2).encode()
            case 1:
                return b"250-" + b"x" * 5000 + b"\r\n"
            case 2:
                return b"".join(b"250-line %d\r\n" % n for n in range(6000)) + b"250 end\r\n"
            case 3:
                return b"250-a\r\n550 b\r\n"
            case 4:
                return b""  # silence
            case 5:
                return normal.rstrip("\r\n").encode()  # and then nobody is there
            case 6:
                raise _HungUpError
            case 7:
                return b"421 4.3.2 bye\r\n"
            case _:
                parts = (CODES, STATUSES, TEXTS, ENDS)
                return "".join(chance.choice(part) for part in parts).encode()
