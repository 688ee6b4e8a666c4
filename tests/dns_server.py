"""A small real DNS server for tests: UDP and TCP on loopback, answers from a table.

    async with DnsServer() as dns:
        dns.add("example.com", "MX", "10 mx1.example.com.")
        dns.add("mx1.example.com", "A", "127.0.0.1")
        resolver = Resolver([dns.address])

What is not in the table is NXDOMAIN; a name with records of other types only is an empty answer.
Both carry an SOA. Aliases (CNAME) are followed, as a recursive resolver does.
"""

import asyncio
import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from gatepost.net.address import SocketAddress

DEFAULT_TTL = 300


@dataclass
class Behaviour:
    """How the server answers, for one name or for all. Tests change it as they go."""

    rcode: str | None = None  # "SERVFAIL", "REFUSED", "FORMERR" …
    truncate: bool = False  # by UDP: an empty answer with TC, so that the client comes by TCP
    cut: bool = False  # by UDP: TC, and the octets end in the middle of a record
    silent: bool = False
    silent_udp: bool = False
    delay: float = 0.0  # seconds
    garbage: bool = False  # first some datagrams that are no answer to the question
    no_edns: bool = False  # FORMERR to questions with EDNS
    first_alias_only: bool = False  # a CNAME is not followed


@dataclass
class DnsServer:
    """One server; `queries` counts (name, type), `by_tcp` those that came by TCP."""

    authenticated: bool = False
    behaviour: Behaviour = field(default_factory=Behaviour)
    queries: Counter[tuple[str, str]] = field(default_factory=Counter)
    by_tcp: int = 0
    with_edns: int = 0
    negative_ttl: int = 60

    def __post_init__(self) -> None:
        self.address = SocketAddress("127.0.0.1", 0)
        self._records: dict[tuple[str, str], dns.rrset.RRset] = {}
        self._special: dict[str, Behaviour] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # -- the table

    def add(self, name: str, kind: str, *texts: str, ttl: int = DEFAULT_TTL) -> None:
        """Put records in presentation form, instead of what was there of that name and type."""
        owner = f"{name.lower().rstrip('.')}."
        self._records[(owner, kind)] = dns.rrset.from_text(owner, ttl, "IN", kind, *texts)

    def remove(self, name: str, kind: str | None = None) -> None:
        """Take a name's records away, all of them or those of one type."""
        owner = f"{name.lower().rstrip('.')}."
        for key in [k for k in self._records if k[0] == owner and kind in {None, k[1]}]:
            del self._records[key]

    def for_name(self, name: str) -> Behaviour:
        """Return the behaviour for one name, to be changed."""
        return self._special.setdefault(f"{name.lower().rstrip('.')}.", Behaviour())

    def for_kind(self, kind: str) -> Behaviour:
        """Return the behaviour for one record type, to be changed."""
        return self._special.setdefault(kind, Behaviour())

    @property
    def count(self) -> int:
        """How many queries came."""
        return self.queries.total()

    # -- life

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        # The two ports must be the same number: try until a pair is free.
        for _ in range(50):
            transport, _protocol = await loop.create_datagram_endpoint(
                lambda: _Udp(self), local_addr=("127.0.0.1", 0)
            )
            port = transport.get_extra_info("sockname")[1]
            try:
                self._server = await asyncio.start_server(self._tcp, "127.0.0.1", port)
            except OSError:
                transport.close()
                continue
            self._transport = transport
            self.address = SocketAddress("127.0.0.1", port)
            return self
        raise RuntimeError("no port that is free for UDP and TCP")

    async def __aexit__(self, *_: object) -> None:
        if self._transport is not None:
            self._transport.close()
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- answers

    async def answer(self, octets: bytes, *, tcp: bool) -> list[bytes]:
        query = dns.message.from_wire(octets)
        question = query.question[0]
        owner = question.name.to_text().lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.queries[(owner.rstrip("."), kind)] += 1
        self.by_tcp += tcp
        self.with_edns += query.edns >= 0
        how = self._special.get(owner) or self._special.get(kind) or self.behaviour
        if how.delay:
            await asyncio.sleep(how.delay)
        if how.silent or (how.silent_udp and not tcp):
            return []
        reply = self._reply(query, owner, kind, how)
        if how.cut and not tcp:
            reply.flags |= dns.flags.TC
            return [reply.to_wire(max_size=65535)[:-3]]
        found = [reply.to_wire(max_size=65535)]
        room = query.payload if query.edns >= 0 else 512
        if not tcp and (how.truncate or len(found[0]) > room):
            reply.answer.clear()
            reply.flags |= dns.flags.TC
            found = [reply.to_wire()]
        return [*self._noise(query), *found] if how.garbage and not tcp else found

    def _reply(
        self, query: dns.message.Message, owner: str, kind: str, how: Behaviour
    ) -> dns.message.Message:
        reply = dns.message.make_response(query, recursion_available=True)
        rcode = "FORMERR" if how.no_edns and query.edns >= 0 else how.rcode
        if rcode is not None:
            reply.set_rcode(dns.rcode.from_text(rcode))
            return reply
        if self.authenticated:
            reply.flags |= dns.flags.AD
        for _ in range(16):
            records = self._records.get((owner, kind))
            if records is not None:
                reply.answer.append(records)
                return reply
            alias = self._records.get((owner, "CNAME"))
            if alias is None:
                break
            reply.answer.append(alias)
            if how.first_alias_only:
                return reply
            owner = alias[0].target.to_text().lower()
        if not any(name == owner for name, _ in self._records):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        soa = f"ns.test. hostmaster.test. 1 3600 600 86400 {self.negative_ttl}"
        reply.authority.append(dns.rrset.from_text(".", 86400, "IN", "SOA", soa))
        return reply

    def _noise(self, query: dns.message.Message) -> list[bytes]:
        other = dns.message.make_query("elsewhere.test.", "A", id=query.id)
        guess = dns.message.make_response(other)
        wrong_id = dns.message.make_response(query)
        wrong_id.id = query.id ^ 1
        return [b"", b"\0", struct.pack("!H", query.id) + b"\xff" * 30, guess.to_wire(),
                wrong_id.to_wire(), query.to_wire()]  # fmt: skip

    async def _tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                for reply in await self.answer(await reader.readexactly(length), tcp=True):
                    writer.write(struct.pack("!H", len(reply)) + reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self.server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(data, addr))
        self.server._tasks.add(task)
        task.add_done_callback(self.server._tasks.discard)

    async def _answer(self, data: bytes, addr: tuple[str, int]) -> None:
        for reply in await self.server.answer(data, tcp=False):
            self.transport.sendto(reply, addr)
