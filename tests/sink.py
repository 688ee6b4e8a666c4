"""An SMTP or LMTP server that does as it is told: for tests of our client's side.

Written on asyncio streams, without a line of Gatepost, so that a misunderstanding of ours is not
shared by the other side.
"""

import asyncio
import base64
import ssl
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.support.ports import free_port

#: Instead of a reply: close at once; never answer.
DROP = "DROP"
HANG = "HANG"


@dataclass
class Message:
    """What came in, and over which session (counted from 0)."""

    reverse_path: str
    forward_paths: list[str]
    content: bytes
    session: int
    mail: str
    tls: bool
    user: str | None = None


@dataclass
class Said:
    """What the sink says. `script` has replies for a verb (GREETING, EHLO, STARTTLS, AUTH, MAIL,
    RCPT, DATA, CONTENT, DOT, QUIT …) that are used up one after the other; then it is friendly.
    `refuse` has standing replies for forward-paths.
    """

    script: dict[str, list[str]] = field(default_factory=dict)
    refuse: dict[str, str] = field(default_factory=dict)

    def take(self, verb: str, otherwise: str) -> str:
        waiting = self.script.get(verb)
        return waiting.pop(0) if waiting else otherwise


class Sink:
    """A server on a port that is free on 127.0.0.1, too. Use it as an async context manager."""

    def __init__(
        self,
        script: dict[str, Iterable[str]] | None = None,
        *,
        refuse: dict[str, str] | None = None,
        lmtp: bool = False,
        pipelining: bool = True,
        offers: Iterable[str] = ("8BITMIME", "SIZE 100000000"),
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
        login: tuple[str, str] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.said = Said({k: list(v) for k, v in (script or {}).items()}, refuse or {})
        self.lmtp = lmtp
        self.pipelining = pipelining
        self.offers = tuple(offers)
        self.tls = tls
        self.implicit = implicit
        self.login = login
        self.host = host
        self.port = port
        self.sessions = 0
        #: Replies are held while this is not set.
        self.go = asyncio.Event()
        self.go.set()
        #: As `go`, but only of what is said to a final dot.
        self.go_at_dot = asyncio.Event()
        self.go_at_dot.set()
        self.open_sessions = 0
        self.most_sessions = 0
        self.messages: list[Message] = []
        self.commands: dict[int, list[str]] = defaultdict(list)
        #: From which address each session came.
        self.peers: dict[int, str] = {}
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        context = self.tls if self.implicit else None
        self._server = await asyncio.start_server(
            self._serve, self.host, self.port or free_port(), ssl=context, limit=2**26
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def until(self, holds: Callable[[], bool], timeout: float = 30.0) -> None:
        """Wait for a condition on what was recorded."""
        async with asyncio.timeout(timeout), self._changed:
            await self._changed.wait_for(holds)

    async def until_messages(self, count: int) -> list[Message]:
        await self.until(lambda: len(self.messages) >= count)
        return self.messages

    async def _note(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        number = self.sessions
        self.sessions += 1
        self.open_sessions += 1
        self.most_sessions = max(self.most_sessions, self.open_sessions)
        self.peers[number] = writer.get_extra_info("peername")[0]
        try:
            await self._note()
            await _Session(self, reader, writer, number).run()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        except asyncio.CancelledError:
            return  # the end of the test; streams would report it as a fault
        finally:
            self.open_sessions -= 1
            writer.close()
            self._tasks.discard(task)
            await self._note()


class _Session:
    def __init__(
        self, sink: Sink, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        self.sink = sink
        self.reader = reader
        self.writer = writer
        self.number = number
        self.tls = sink.implicit
        self.user: str | None = None
        self.mail = ""
        self.paths: list[str] = []
        self.chunks = b""

    async def run(self) -> None:
        if not await self.say("GREETING", "220 sink.test ready"):
            return
        while True:
            line = (await self.reader.readuntil(b"\n")).decode().rstrip("\r\n")
            self.sink.commands[self.number].append(line)
            await self.sink._note()
            verb = line.split(" ", 1)[0].upper()
            handler = getattr(self, f"do_{verb.lower()}", None)
            if handler is None:
                going = await self.say(verb, "500 what?")
            else:
                going = await handler(line)
            if not going:
                return

    async def say(self, verb: str, otherwise: str) -> bool:
        return await self.tell(self.sink.said.take(verb, otherwise))

    async def tell(self, reply: str) -> bool:
        if reply == DROP:
            self.writer.transport.abort()
            return False
        if reply == HANG:
            await asyncio.Event().wait()
        await self.sink.go.wait()
        self.writer.write(reply.replace("\n", "\r\n").encode() + b"\r\n")
        await self.writer.drain()
        return not reply.startswith("421")

    async def do_ehlo(self, line: str) -> bool:
        words = ["sink.test", *self.sink.offers]
        if self.sink.pipelining:
            words.append("PIPELINING")
        if self.sink.tls is not None and not self.tls:
            words.append("STARTTLS")
        if self.sink.login is not None and self.tls:
            words.append("AUTH PLAIN LOGIN")
        lines = [f"250-{w}" for w in words[:-1]] + [f"250 {words[-1]}"]
        return await self.say("EHLO", "\n".join(lines))

    do_lhlo = do_ehlo

    async def do_helo(self, line: str) -> bool:
        return await self.say("HELO", "250 sink.test")

    async def do_starttls(self, line: str) -> bool:
        reply = self.sink.said.take("STARTTLS", "220 go")
        if not await self.tell(reply):
            return False
        if reply.startswith("220") and self.sink.tls is not None:
            await self.writer.start_tls(self.sink.tls)
            self.tls = True
        return True

    async def do_auth(self, line: str) -> bool:
        _, mechanism, *rest = line.split(" ")
        if mechanism == "PLAIN" and rest:
            _, user, password = base64.b64decode(rest[0]).decode().split("\0")
        else:
            words = []
            for question in ("Username:", "Password:"):
                await self.tell("334 " + base64.b64encode(question.encode()).decode())
                words.append(base64.b64decode(await self.reader.readuntil(b"\n")).decode())
            user, password = words
        if (user, password) == self.sink.login:
            self.user = user
            return await self.say("AUTH", "235 2.7.0 welcome")
        return await self.say("AUTH", "535 5.7.8 no")

    async def do_rset(self, line: str) -> bool:
        self.mail, self.paths = "", []
        return await self.say("RSET", "250 2.0.0 flushed")

    async def do_mail(self, line: str) -> bool:
        reply = self.sink.said.take("MAIL", "250 2.1.0 ok")
        if reply.startswith("2"):
            self.mail, self.paths = line, []
        return await self.tell(reply)

    async def do_rcpt(self, line: str) -> bool:
        path = line[line.index("<") + 1 : line.rindex(">")]
        otherwise = self.sink.said.refuse.get(path, "250 2.1.5 ok")
        reply = self.sink.said.take("RCPT", otherwise if self.mail else "503 no MAIL")
        if reply.startswith("2"):
            self.paths.append(path)
        return await self.tell(reply)

    async def do_data(self, line: str) -> bool:
        reply = self.sink.said.take("DATA", "354 go" if self.paths else "554 5.5.1 nobody")
        if not await self.tell(reply):
            return False
        if not reply.startswith("354"):
            return True
        if self.sink.said.take("CONTENT", "") == DROP:
            await self.reader.read(1)
            self.writer.transport.abort()
            return False
        content = b"\r\n" + await self._content()
        content = content.replace(b"\r\n.", b"\r\n")[2:]
        return await self._end(content)

    async def do_bdat(self, line: str) -> bool:
        _, size, *last = line.split()
        self.chunks += await self.reader.readexactly(int(size))
        if not last:
            return await self.say("BDAT", "250 2.0.0 chunk")
        content, self.chunks = self.chunks, b""
        return await self._end(content)

    async def _content(self) -> bytes:
        first = await self.reader.readexactly(3)
        if first == b".\r\n":
            return b""
        rest = await self.reader.readuntil(b"\r\n.\r\n")
        return (first + rest)[:-3]

    async def _end(self, content: bytes) -> bool:
        mail, paths = self.mail, self.paths
        self.mail, self.paths = "", []
        replies = [
            self.sink.said.take("DOT", "250 2.0.0 got it")
            for _ in range(len(paths) if self.sink.lmtp else 1)
        ]
        taken = paths
        if self.sink.lmtp:
            taken = [p for p, r in zip(paths, replies, strict=True) if r.startswith("2")]
        elif not replies[0].startswith("2"):
            taken = []
        if taken:
            reverse_path = mail[mail.index("<") + 1 : mail.index(">")]
            self.sink.messages.append(
                Message(reverse_path, taken, content, self.number, mail, self.tls, self.user)
            )
        await self.sink._note()
        await self.sink.go_at_dot.wait()
        for reply in replies:
            if not await self.tell(reply):
                return False
        return True

    async def do_quit(self, line: str) -> bool:
        await self.say("QUIT", "221 2.0.0 bye")
        return False
