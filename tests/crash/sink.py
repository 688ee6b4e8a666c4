"""A next hop in a process of its own, which writes down what it takes before it says 250.

    python sink.py PORT JOURNAL [CUT_EVERY DROP_EVERY [HOST]]

PORT 0 takes a free one and prints it. Each copy of a message is one line of JSON in JOURNAL, in
the kernel's hands before the reply, so that neither the relay's end nor our own loses it. Every
CUT_EVERYth message the connection is dropped in its content, every DROP_EVERYth after its final
dot; 0 is never. Not a line of Gatepost is used here.
"""

import asyncio
import itertools
import json
import os
import re
import sys
import time
import zlib
from dataclasses import dataclass, field

SUBMISSION = re.compile(rb"\bid\s+(\S+)")
MARK = re.compile(rb"^X-Mark: (\S+) ([0-9a-f]{8})\r\n", re.MULTILINE)

ABOUT = re.compile(rb"^Original-Envelope-Id: (\S+)\r\n", re.MULTILINE)
FINAL = re.compile(rb"^Final-Recipient: rfc822; ?(\S+)\r\n", re.MULTILINE)


@dataclass
class Journal:
    """The sink's memory."""

    file: int
    cut_every: int
    drop_every: int
    messages: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    sessions: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def write(self, what: str, session: str, **more: object) -> None:
        line = {"what": what, "at": time.monotonic(), "session": session, **more}
        os.write(self.file, json.dumps(line).encode() + b"\n")


class Session:
    """One connection."""

    def __init__(
        self, journal: Journal, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.journal = journal
        self.reader = reader
        self.writer = writer
        self.name = f"{os.getpid()}/{next(journal.sessions)}"
        self.end = "lost"
        self.reverse_path = ""
        self.recipients: list[str] = []

    async def run(self) -> None:
        try:
            self.say("220 sink.test ready")
            while self.end == "lost":
                await self.obey(await self.reader.readuntil(b"\r\n"))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.journal.write("end", self.name, how=self.end)
            self.writer.transport.abort()

    def say(self, *lines: str) -> None:
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode())

    async def obey(self, line: bytes) -> None:
        verb = line[:4].upper()
        if verb == b"EHLO":
            self.say("250-sink.test", "250-PIPELINING", "250-8BITMIME", "250 SIZE 100000000")
        elif verb == b"DATA":
            await self.take()
        elif verb in {b"MAIL", b"RCPT", b"RSET"}:
            self.note_path(verb, line)
            self.say("250 2.0.0 ok")
        elif verb == b"QUIT":
            self.say("221 2.0.0 bye")
            await self.writer.drain()
            self.end = "quit"
        else:
            self.say("250 2.0.0 ok")

    def note_path(self, verb: bytes, line: bytes) -> None:
        path = line.partition(b"<")[2].partition(b">")[0].decode()
        if verb == b"RCPT":
            self.recipients.append(path)
        else:
            self.reverse_path, self.recipients = path, []

    async def take(self) -> None:
        self.say("354 go")
        number = next(self.journal.messages)
        if self.journal.cut_every and number % self.journal.cut_every == 0:
            await self.reader.read(100)
            self.journal.write("cut", self.name)
            self.end = "dropped"
            return
        content = (await self.reader.readuntil(b"\r\n.\r\n"))[:-3].replace(b"\r\n.", b"\r\n")
        drops = self.journal.drop_every and number % self.journal.drop_every == 0
        self.note(content, "dropped" if drops else "kept")
        if drops:
            self.end = "dropped"
        else:
            self.say("250 2.0.0 kept")
            await self.writer.drain()

    def note(self, content: bytes, answer: str) -> None:
        head, _, body = content.partition(b"\r\n\r\n")
        mark = MARK.search(head + b"\r\n")
        submission = SUBMISSION.search(head)
        if not self.reverse_path:
            self.note_report(content, answer)
            return
        self.journal.write(
            "copy",
            self.name,
            id=mark[1].decode() if mark else "",
            submission=submission[1].decode().rstrip(";") if submission else "",
            recipients=self.recipients,
            wall=time.time(),
            answer=answer,
            whole=mark is not None and f"{zlib.crc32(body):08x}".encode() == mark[2],
        )

    def note_report(self, content: bytes, answer: str) -> None:
        """A report (RFC 3464): about which message, and which of its recipients."""
        about = ABOUT.search(content)
        self.journal.write(
            "report",
            self.name,
            id=about[1].decode() if about else "",
            recipients=[found.decode() for found in FINAL.findall(content)],
            answer=answer,
        )


async def main(port: int, path: str, cut_every: int, drop_every: int, host: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    journal = Journal(file, cut_every, drop_every)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await Session(journal, reader, writer).run()

    server = await asyncio.start_server(serve, host, port, limit=2**26, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    often = [*map(int, sys.argv[3:5]), 0, 0]
    where = sys.argv[5] if len(sys.argv) > 5 else "127.0.0.1"
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], often[0], often[1], where))
