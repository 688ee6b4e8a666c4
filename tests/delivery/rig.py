"""Rooms 5 to 8 on loopback: a DNS server, sinks, a store in memory, and times that tests set."""

import asyncio
import ssl
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType, TracebackType
from typing import Any, Self

from gatepost.delivery.bounds import PATIENCE, Bounds
from gatepost.delivery.deliver import DeliverySetup, set_up_delivery
from gatepost.delivery.lookup import Ourselves
from gatepost.delivery.routing import Routing
from gatepost.delivery.scheduler import Scheduler
from gatepost.egress.sources import Sources
from gatepost.model.delivery import Delivery, DeliveryState
from gatepost.model.event import Event, EventKind
from gatepost.model.ids import DeliveryId, SubmissionId, WorkerId
from gatepost.model.lane import Lane
from gatepost.model.route import ClientCertificate, Via
from gatepost.model.settings import RetrySettings
from gatepost.model.source import Source
from gatepost.model.submission import Submission
from gatepost.net.address import SocketAddress
from gatepost.net.clock import new_identifier, now
from gatepost.net.deadlines import Deadlines
from gatepost.net.resolver import Resolver
from gatepost.net.tls import Verification, client_context
from gatepost.reception.accept import Acceptance
from gatepost.reception.returned import accept_return
from gatepost.returns.notify import Notifier, NotOwedError, ReturnMessage, StrikeOut
from gatepost.returns.settle import Settler
from gatepost.wire.smtp.client_events import Phase
from gatepost.wire.smtp.notification import NO_WISHES, RecipientWishes
from tests.dns_server import DnsServer
from tests.memory_store import MemoryStore

CONTENT = b"From: a@x.example\r\nSubject: hi\r\n\r\n.a line that begins with a dot\r\nbye\r\n"
#: Short enough for a test, long enough for a slow machine.
QUICK = RetrySettings(first=timedelta(milliseconds=50), longest=timedelta(seconds=1))


def routing(
    local: dict[str, Via] | None = None,
    routes: Sequence[tuple[str, Via]] = (),
    *,
    postmaster: str | None = None,
    directory: str = "/nowhere",
) -> Routing:
    return Routing(local or {}, tuple(routes), postmaster, directory)


@dataclass
class Rig:
    """`async with Rig() as rig`. `mx_port` is the port of every MX host."""

    mx_port: int = 25
    routes: Routing = field(default_factory=routing)
    retry: RetrySettings = QUICK
    bounds: Bounds = field(default_factory=lambda: Bounds(look=0.02, dial=5.0))
    authorities: ssl.SSLContext | None = None
    listeners: tuple[SocketAddress, ...] = ()
    patience: dict[Phase, float] = field(default_factory=dict)
    store: Any = field(default_factory=MemoryStore)
    #: What is called from, and which addresses the machine lacks.
    egress: tuple[Source, ...] = ()
    absent: set[str] = field(default_factory=set)
    #: Whether no neighbour can hold this worker for lost.
    heard: bool = True
    #: Whether who held a lease that has ended would have said what came of it.
    takes_over: bool = True
    #: Whether the time of day leapt a moment ago.
    leapt: bool = False
    #: Whether reports go on their way; else they are only kept.
    accepts_returns: bool = False

    async def __aenter__(self) -> Self:
        self.dns = await DnsServer().__aenter__()
        self.resolver = Resolver([self.dns.address], patience=3.0)
        self.settler = Settler(self.store, self.retry, now=now, spread=lambda: 0.5)
        self.files = ThreadPoolExecutor(2)
        self.returns: list[ReturnMessage] = []
        self.told: list[Event] = []
        self.returned = asyncio.Event()
        self.notifier = Notifier(self.store, "relay.test", self._accept_return, now=now)
        self.settler.listen(self.notifier.heard)
        bounds = replace(self.bounds, patience={**PATIENCE, **self.patience})
        self.sources = Sources(
            self.egress, self.store, has=lambda address: address not in self.absent
        )
        setup = DeliverySetup(
            store=self.store,
            worker=WorkerId("node/boot/0"),
            routing=self.routes,
            resolver=self.resolver,
            ourselves=Ourselves.listening_on("relay.test", self.listeners),
            settler=self.settler,
            deadlines=Deadlines(0.05),
            contexts=self._context,
            files=self.files,
            sign_again=self._sign_again,
            bounds=bounds,
            mx_port=self.mx_port,
            sources=self.sources,
            tell=self.told.append,
            is_heard=lambda: self.heard,
            leapt_within=lambda _: self.leapt,
            may_take_over=lambda: self.takes_over,
        )
        self.opportunistic = client_context(Verification.OPPORTUNISTIC)
        self.scheduler: Scheduler = set_up_delivery(setup, asyncio.get_running_loop().time)
        self.tasks = [
            asyncio.create_task(self.scheduler.run()),
            asyncio.create_task(self.notifier.run()),
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.scheduler.stop(1.0)
        for task in self.tasks:
            task.cancel()
        results = await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.resolver.close()
        self.files.shutdown()
        await self.dns.__aexit__(None, None, None)
        for result in results:
            assert result is None or isinstance(result, asyncio.CancelledError), result

    def _context(self, verified: bool, shown: ClientCertificate | None) -> ssl.SSLContext:
        if shown is not None:
            return client_context(Verification.OPPORTUNISTIC, shown=shown)
        if verified:
            assert self.authorities is not None
            return self.authorities
        return self.opportunistic

    async def _sign_again(self, domains: Collection[str], content: bytes) -> bytes:
        return b"DKIM-Signature: again\r\n"

    async def _accept_return(self, message: ReturnMessage, strike_out: StrikeOut) -> bool:
        if self.accepts_returns:
            to = Acceptance(self.store, "relay.test", 2**20, timedelta(days=5), self.scheduler)
            return await accept_return(message, strike_out, to)
        if not await self.store.write(strike_out):
            raise NotOwedError
        self.returns.append(message)
        self.returned.set()
        return True

    def mx(self, domain: str, *hosts: tuple[int, str, str]) -> None:
        """Publish (preference, name, address) for a domain."""
        self.dns.add(domain, "MX", *(f"{p} {name}." for p, name, _ in hosts))
        for _, name, address in hosts:
            self.dns.add(name, "A", address)

    async def submit(
        self,
        *forward_paths: str,
        reverse_path: str = "a@x.example",
        content: bytes = CONTENT,
        give_up: timedelta = timedelta(days=5),
        age: timedelta = timedelta(0),
        hand_over: bool = True,
        needs: Mapping[str, bool] = MappingProxyType({}),
        lane: Lane = Lane.TRANSACTIONAL,
        wishes: RecipientWishes = NO_WISHES,
        pool: str = "",
        **more: Any,
    ) -> list[DeliveryId]:
        """Accept one message, and hand it over; return its deliveries' ids."""
        at = now() - age
        submission = Submission(
            id=SubmissionId(new_identifier()),
            reverse_path=reverse_path,
            size=len(content),
            received_at=at,
            **needs,
            **more,
        )
        deliveries = [
            Delivery(
                id=DeliveryId(new_identifier()),
                submission_id=submission.id,
                forward_path=path,
                destination=path.rpartition("@")[2] if "@" in path else "",
                next_attempt_at=at,
                expires_at=at + give_up,
                lane=lane,
                wishes=wishes,
                pool=pool,
            )
            for path in forward_paths
        ]
        lease = None
        if hand_over:
            whose, count = more.get("account") or "", len(deliveries)
            lease = self.scheduler.lease(lane, deliveries[0].destination, {pool}, whose, count)
        leased = await self.store.write(
            lambda t: t.add_deliveries(submission, deliveries, lease), (submission.id, [content])
        )
        if leased:
            self.scheduler.take(leased, (content,))
        elif isinstance(self.store, MemoryStore):
            self.store.version += 1
        else:
            self.scheduler.look()  # a write of this very process changes no data_version
        return [d.id for d in deliveries]

    def row(self, identifier: DeliveryId) -> Delivery:
        return self.store.tables.delivery_rows[identifier]

    async def until_state(
        self, identifiers: Sequence[DeliveryId], *states: DeliveryState
    ) -> list[Delivery]:
        """Wait until all have come to one of these states (none: to any end)."""

        def there() -> bool:
            rows = [self.row(i) for i in identifiers]
            return all(r.state in states if states else r.state.is_final for r in rows)

        await self.store.until(there)
        return [self.row(i) for i in identifiers]

    async def until_attempted(self, identifier: DeliveryId) -> None:
        """Wait until an attempt has been counted."""
        await self.store.until(lambda: self.row(identifier).attempts > 0)

    async def until_event(self, kind: EventKind, count: int = 1) -> Event:
        await self.store.until(lambda: self.store.kinds().count(kind) >= count)
        return next(e for e in self.store.tables.event_rows if e.kind is kind)


def one_mx(rig: Rig, address: str = "127.0.0.1") -> None:
    rig.mx("y.example", (10, "mx.y.example", address))
