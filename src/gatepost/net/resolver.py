"""What the DNS says, remembered for as long as it says so.

Answers and their absence are cached for their time to live, failures for a moment, all of it
bounded; a question that is already on its way is not asked again.
"""

import asyncio
import ipaddress
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gatepost.model.settings import DnsSettings
from gatepost.net.address import SocketAddress, parse_socket_address
from gatepost.net.dns_shares import Share, Slots
from gatepost.wire.records.mx import MxAnswer, mx_answer, parse_mx
from gatepost.wire.records.txt import parse_txt

if TYPE_CHECKING:
    from gatepost.net.dns_exchange import DnsAnswer

_MOST_ENTRIES: Final = 10_000
#: Octets of an answer that is kept, with what each record of it takes besides: strangers choose
#: what is asked, and the answers.
_LARGEST_ENTRY: Final = 16 * 1024
_OVERHEAD: Final = 60
_LONGEST: Final = 86_400.0  # seconds that an answer is believed at most
_LONGEST_NEGATIVE: Final = 10_800.0
_FAILURE: Final = 2.0  # seconds in which a failure is not tried again
_LATELY: Final = 3600.0  # seconds in which a name that failed has little room
_MOST_ALIASES: Final = 8
#: What one name may make us try. Others use 10 to 50 hosts.
_MOST_EXCHANGERS: Final = 50
_MOST_ADDRESSES: Final = 20
_NAME: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")


class NoSuchDomainError(Exception):
    """The name does not exist (NXDOMAIN), or cannot."""

    def __init__(self, domain: str) -> None:
        super().__init__(f"{domain} does not exist")
        self.domain = domain


class DnsTemporaryError(Exception):
    """Nobody could tell; worth asking again later. `reason` is short and safe to show."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Remembered:
    """An answer, or the reason why there was none, and until when that is believed."""

    until: float
    answer: "DnsAnswer | None"
    failure: str = ""


class Resolver:
    """Answers for one event loop. Made in the worker, or before the fork to share the import."""

    def __init__(
        self,
        servers: Sequence[SocketAddress] = (),
        *,
        hosts_file: Path = Path("/etc/hosts"),
        patience: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take resolvers by IP address (none: those of /etc/resolv.conf).

        `patience` is what each gets for an answer, in seconds, twice at most.

        Raises:
            ValueError: a resolver is given by name.

        """
        # Here, for its price: see there.
        from gatepost.net.dns_exchange import DnsExchange, DnsExchangeError  # noqa: PLC0415

        for server in servers:
            ipaddress.ip_address(server.host)
        self._exchange = DnsExchange(list(servers) or system_resolvers(), patience=patience)
        self._failure = DnsExchangeError
        self._hosts = _read_hosts(hosts_file)
        self._clock = clock
        self._cache: OrderedDict[tuple[str, str], _Remembered] = OrderedDict()
        self._flights: dict[tuple[Share, str, str], asyncio.Task[DnsAnswer]] = {}
        #: Those of them that have their turn: whoever asks the same waits for them.
        self._asking: dict[tuple[str, str], asyncio.Task[DnsAnswer]] = {}
        self._slots = Slots()
        #: Until when a name counts as one that failed lately, the oldest first.
        self._failed: OrderedDict[str, float] = OrderedDict()

    async def mx(self, domain: str, share: Share | None = None) -> MxAnswer:
        """Return who takes a domain's mail (A-labels; RFC 5321 §5.1, RFC 7505). With a share the
        question waits for room in it.

        Aliases are followed. A domain without MX records stands for itself (`implicit`); whether
        it has an address is another question.

        Raises:
            NoSuchDomainError: there is no such domain.
            DnsTemporaryError: nobody could tell.

        """
        if _literal(domain):
            return mx_answer(domain, ())
        name = _absolute(domain)
        found = await self._follow(name, "MX", share)
        records = [parse_mx(text) for text in found.texts]
        answer = mx_answer(name, records, authenticated=found.authenticated)
        return replace(answer, records=answer.records[:_MOST_EXCHANGERS])

    async def addresses(self, host: str, share: Share | None = None) -> tuple[str, ...]:
        """Return the IP addresses of a host; () when it exists and has none. With a share the
        questions wait for room in it.

        IPv4 first: a mail host whose IPv6 address has no name is refused by large providers, and
        that is the more frequent misfortune. An address literal, with or without brackets, is its
        own answer; the system's hosts file goes before the DNS.

        Raises:
            NoSuchDomainError: there is no such host.
            DnsTemporaryError: nobody could tell.

        """
        if literal := _literal(host):
            return (literal,)
        name = _absolute(host)
        if known := self._known(name):
            return known
        four, six = await asyncio.gather(
            self._follow(name, "A", share),
            self._follow(name, "AAAA", share),
            return_exceptions=True,
        )
        found = [a.texts for a in (four, six) if not isinstance(a, BaseException)]
        addresses = tuple(address for texts in found for address in texts)
        if not addresses:
            # Half an answer is used; but "none" needs both.
            for problem in sorted(
                (p for p in (four, six) if isinstance(p, BaseException)),
                key=lambda p: isinstance(p, NoSuchDomainError),
            ):
                raise problem
        return addresses[:_MOST_ADDRESSES]

    async def texts(self, name: str) -> tuple[str, ...]:
        """Return the TXT records of a name, each with its strings joined; () when it exists and
        has none.

        Raises:
            NoSuchDomainError: there is no such name.
            DnsTemporaryError: nobody could tell.

        """
        return tuple(map(parse_txt, await self.records(name, "TXT")))

    async def records(self, name: str, kind: str, share: Share | None = None) -> tuple[str, ...]:
        """Return a name's records of one type in presentation form; () when it exists and has
        none. The system's hosts file does not count here. With a share the question waits for room
        in it.

        Raises:
            NoSuchDomainError: there is no such name.
            DnsTemporaryError: nobody could tell.

        """
        return (await self._follow(_absolute(name), kind, share)).texts

    async def close(self) -> None:
        """Give up questions on their way."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def forget(self) -> None:
        """Empty the cache."""
        self._cache.clear()

    def _known(self, name: str) -> tuple[str, ...]:
        if known := self._hosts.get(name):
            return known
        # Whatever the DNS may say, this one never leaves the machine.
        return ("127.0.0.1", "::1") if name == "localhost" else ()

    async def _follow(self, name: str, kind: str, share: Share | None = None) -> "DnsAnswer":
        """Return records of a name that exists, at the end of its aliases."""
        asked, authenticated = name, True
        for _ in range(_MOST_ALIASES):
            answer = await self._look_up(asked, kind, share)
            if not answer.exists:
                raise NoSuchDomainError(name)
            authenticated = authenticated and answer.authenticated
            if not answer.unfinished:
                return replace(answer, authenticated=authenticated)
            asked = answer.name
        raise DnsTemporaryError(f"too many aliases behind {name}")

    async def _look_up(self, name: str, kind: str, share: Share | None) -> "DnsAnswer":
        key = (name, kind)
        if (kept := self._kept(key)) is not None:
            return kept
        share = self._slots.own if share is None else share
        # Nobody waits for another's turn, but for an answer that is on its way.
        number = (share, name, kind)
        flight = self._asking.get(key) or self._flights.get(number)
        if flight is None:
            flight = asyncio.get_running_loop().create_task(self._ask_within(share, key))
            self._flights[number] = flight
            flight.add_done_callback(lambda task: self._landed(number, task))
        # Whoever gives up waiting does not spoil it for the others.
        return await asyncio.shield(flight)

    def _kept(self, key: tuple[str, str]) -> "DnsAnswer | None":
        """Return what is remembered; raise DnsTemporaryError where that is a failure."""
        kept = self._cache.get(key)
        if kept is None:
            return None
        if kept.until <= self._clock():
            del self._cache[key]
            return None
        self._cache.move_to_end(key)
        if kept.answer is None:
            raise DnsTemporaryError(kept.failure)
        return kept.answer

    async def _ask_within(self, share: Share, key: tuple[str, str]) -> "DnsAnswer":
        """Ask when there is room in a share, which is held until an answer has come or nobody waits
        for one any more: who hangs up early gets no more than others.
        """
        party = share  # held on to: it keeps what it has of names that failed
        if self._failed.get(key[0], 0.0) > self._clock() and party.waiting is None:
            share = self._slots.for_failed(party)
        if not await self._slots.enter(share):
            raise DnsTemporaryError("too many questions for one network")
        try:
            if (kept := self._kept(key)) is not None:
                return kept  # somebody else has asked meanwhile
            if (flight := self._asking.get(key)) is not None:
                return await asyncio.shield(flight)
            task = asyncio.current_task()
            if task is not None:
                self._asking[key] = task
            try:
                return await self._ask(key)
            finally:
                self._asking.pop(key, None)
        finally:
            self._slots.leave(share)

    async def _ask(self, key: tuple[str, str]) -> "DnsAnswer":
        try:
            answer = await self._exchange.ask(*key)
        except self._failure as problem:
            self._remember(key, _Remembered(self._clock() + _FAILURE, None, problem.reason))
            self._failed[key[0]] = self._clock() + _LATELY
            self._failed.move_to_end(key[0])
            if len(self._failed) > _MOST_ENTRIES:
                self._failed.popitem(last=False)
            raise DnsTemporaryError(problem.reason) from None
        self._failed.pop(key[0], None)
        longest = _LONGEST if answer.texts else _LONGEST_NEGATIVE
        seconds = min(float(answer.seconds), longest)
        if seconds > 0 and sum(len(text) + _OVERHEAD for text in answer.texts) <= _LARGEST_ENTRY:
            self._remember(key, _Remembered(self._clock() + seconds, answer))
        return answer

    def _remember(self, key: tuple[str, str], what: _Remembered) -> None:
        self._cache[key] = what
        while len(self._cache) > _MOST_ENTRIES:
            self._cache.popitem(last=False)

    def _landed(self, number: tuple[Share, str, str], task: "asyncio.Task[DnsAnswer]") -> None:
        self._flights.pop(number, None)
        if not task.cancelled():
            task.exception()  # seen, even where nobody waits any more


def resolver_from(settings: DnsSettings) -> Resolver:
    """Return a Resolver for the [dns] section.

    Raises:
        ValueError: an entry is not "IP:PORT".

    """
    return Resolver([parse_socket_address(text) for text in settings.resolvers])


def system_resolvers(file: Path = Path("/etc/resolv.conf")) -> list[SocketAddress]:
    """Return the resolvers that the system uses; the one on loopback where it names none."""
    try:
        lines = file.read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    found = []
    for line in lines:
        match line.split():
            case ["nameserver", address, *_]:
                host = address.partition("%")[0]
                if _literal(host):
                    found.append(SocketAddress(host, 53))
    return found or [SocketAddress("127.0.0.1", 53)]


def _read_hosts(file: Path) -> Mapping[str, tuple[str, ...]]:
    try:
        lines = file.read_text("utf-8", "replace").splitlines()
    except OSError:
        return {}
    hosts: dict[str, list[str]] = {}
    for line in lines:
        match line.partition("#")[0].split():
            case [address, *names] if _literal(address):
                for name in names:
                    hosts.setdefault(name.lower(), []).append(address)
    return {
        name: tuple(sorted(dict.fromkeys(addresses), key=lambda a: ":" in a))
        for name, addresses in hosts.items()
    }


def _literal(host: str) -> str:
    """Return the address that "192.0.2.1", "[192.0.2.1]" or "[IPv6:::1]" names; "" for a name."""
    inside = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if inside[:5].lower() == "ipv6:":
        inside = inside[5:]
    try:
        return str(ipaddress.ip_address(inside))
    except ValueError:
        return ""


def _absolute(name: str) -> str:
    absolute = name.lower().removesuffix(".")
    if _NAME.fullmatch(absolute) is None:
        raise NoSuchDomainError(name)
    return absolute
