"""One question to the DNS, over UDP and TCP, to several resolvers; no cache (RFC 1035).

The only module that knows dnspython, and only its message layer. Importing it takes some 0.2 s,
which is why `resolver` does so when a Resolver is made and not before.
"""

import asyncio
import secrets
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from gatepost.net.address import SocketAddress

#: What fits unfragmented everywhere; longer answers come by TCP.
_UDP_PAYLOAD: Final = 1232
#: Octets of an answer that are read: the longest real ones have half of that, and reading the 64
#: KiB that there could be would hold up all others for 0.1 s.
_LONGEST_REPLY: Final = 16 * 1024
_LENGTH: Final = struct.Struct("!H")


class DnsExchangeError(Exception):
    """Nobody could tell; worth asking again later. `reason` is short and safe to show."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _OtherQuestionError(dns.exception.DNSException):
    """The answer to another question."""


class _LongReplyError(dns.exception.DNSException):
    """The answer is longer than 16 KiB."""


@dataclass(frozen=True, slots=True)
class DnsAnswer:
    """What is known about one name and type.

    `name` is the canonical name at the end of a chain of aliases, lower case, without the final
    dot; `exists` is False for NXDOMAIN; `texts` are the records in presentation form; `seconds` how
    long all that is good for; `authenticated` the AD bit. `unfinished`: the resolver followed
    aliases up to `name` and said nothing about that.
    """

    name: str
    exists: bool
    texts: tuple[str, ...]
    seconds: int
    authenticated: bool
    unfinished: bool = False


class DnsExchange:
    """Asks resolvers, the one that last answered first."""

    def __init__(
        self, servers: Sequence[SocketAddress], *, patience: float = 2.0, rounds: int = 2
    ) -> None:
        """Take the resolvers' addresses, and how many seconds each gets, how often."""
        if not servers:
            raise ValueError("at least one resolver")
        self._servers = list(servers)
        self._patience = patience
        self._rounds = rounds

    async def ask(self, name: str, kind: str) -> DnsAnswer:
        """Ask for records of type `kind` ("MX", "A" …) of an absolute `name` in A-labels.

        Raises:
            DnsExchangeError: no resolver answered, or none could.

        """
        reasons: list[str] = []
        waiting = list(self._servers)
        for _ in range(self._rounds):
            for server in list(waiting):
                try:
                    reply = await self._ask_one(server, name, kind)
                except TimeoutError:
                    reasons.append(f"no answer from {server}")
                except (OSError, EOFError) as problem:
                    words = getattr(problem, "strerror", None) or str(problem)
                    reasons.append(f"{words.lower()} from {server}")
                    waiting.remove(server)
                except dns.exception.DNSException as problem:
                    reasons.append(f"unusable answer from {server}: {problem}")
                    waiting.remove(server)
                else:
                    if reply.rcode() in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
                        self._prefer(server)
                        return _answer(reply)
                    reasons.append(f"{dns.rcode.to_text(reply.rcode())} from {server}")
                    waiting.remove(server)
        raise DnsExchangeError(", ".join(dict.fromkeys(reasons)))

    def _prefer(self, server: SocketAddress) -> None:
        # A dead first resolver shall cost its patience once, not with every question.
        if self._servers[0] != server:
            self._servers.remove(server)
            self._servers.insert(0, server)

    async def _ask_one(
        self, server: SocketAddress, name: str, kind: str
    ) -> dns.message.QueryMessage:
        query = _query(name, kind)
        async with asyncio.timeout(self._patience):
            reply = await _by_udp(server, query)
        if reply is not None and reply.rcode() == dns.rcode.FORMERR:
            query = _query(name, kind, edns=False)
            async with asyncio.timeout(self._patience):
                reply = await _by_udp(server, query)
        if reply is None:
            async with asyncio.timeout(self._patience):
                reply = await _by_tcp(server, query)
        return reply


def _query(name: str, kind: str, *, edns: bool = True) -> dns.message.QueryMessage:
    return dns.message.make_query(
        f"{name}.",
        kind,
        use_edns=0 if edns else False,
        payload=_UDP_PAYLOAD if edns else None,
        id=secrets.randbelow(65536),
        # AD in a question asks a validating resolver to say in the answer what it found.
        flags=dns.flags.RD | dns.flags.AD,
    )


class _Question(asyncio.DatagramProtocol):
    """Waits for the one datagram that answers; `answer` is None when it was cut short (TC)."""

    def __init__(self, query: dns.message.QueryMessage, loop: asyncio.AbstractEventLoop) -> None:
        self._query = query
        self._head = _LENGTH.pack(query.id)
        self.answer: asyncio.Future[dns.message.QueryMessage | None] = loop.create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - asyncio's
        """Take the answer; what is not one is somebody's guess and is not worth an error."""
        if self.answer.done() or len(data) < 12 or data[:2] != self._head:
            return
        try:
            reply = _read(data, self._query)
        except dns.exception.DNSException:
            if data[2] & 0x82 == 0x82:  # QR and TC: cut in the middle of a record
                self.answer.set_result(None)
            return
        self.answer.set_result(None if reply.flags & dns.flags.TC else reply)

    def error_received(self, exc: Exception) -> None:
        """Hear from ICMP that nobody listens there."""
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _by_udp(
    server: SocketAddress, query: dns.message.QueryMessage
) -> dns.message.QueryMessage | None:
    loop = asyncio.get_running_loop()
    # A connected socket of its own for each question: a random port, and only this server's
    # datagrams.
    transport, question = await loop.create_datagram_endpoint(
        lambda: _Question(query, loop), remote_addr=(server.host, server.port)
    )
    try:
        transport.sendto(query.to_wire())
        return await question.answer
    finally:
        transport.close()


async def _by_tcp(
    server: SocketAddress, query: dns.message.QueryMessage
) -> dns.message.QueryMessage:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        octets = query.to_wire()
        writer.write(_LENGTH.pack(len(octets)) + octets)
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > _LONGEST_REPLY:
            raise _LongReplyError
        return _read(await reader.readexactly(length), query)
    finally:
        writer.close()


def _read(octets: bytes, query: dns.message.QueryMessage) -> dns.message.QueryMessage:
    reply = dns.message.from_wire(octets, ignore_trailing=True)
    if not query.is_response(reply):
        raise _OtherQuestionError
    return cast("dns.message.QueryMessage", reply)


def _answer(reply: dns.message.QueryMessage) -> DnsAnswer:
    try:
        chain = reply.resolve_chaining()
    except dns.exception.DNSException as problem:
        raise DnsExchangeError(f"unusable answer: {type(problem).__name__}") from None
    texts = tuple(record.to_text() for record in chain.answer) if chain.answer else ()
    exists = reply.rcode() != dns.rcode.NXDOMAIN
    proven = any(rrset.rdtype == dns.rdatatype.SOA for rrset in reply.authority)
    return DnsAnswer(
        name=chain.canonical_name.to_text(omit_final_dot=True).lower(),
        exists=exists,
        texts=texts,
        seconds=chain.minimum_ttl,
        authenticated=bool(reply.flags & dns.flags.AD),
        unfinished=exists and not texts and bool(chain.cnames) and not proven,
    )
