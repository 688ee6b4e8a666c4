"""One worker: its event loop, what runs on it, its orderly end (design §5).

All workers are equal: each listens on every port, accepts, leases and delivers. What they share
is the store, and a table of counters that may be lost.
"""

import asyncio
import contextlib
import gc
import json
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

import uvloop

from gatepost.egress.sources import LOOK_EVERY, Sources
from gatepost.events.journal import run_journal
from gatepost.identity.certificates import der_of
from gatepost.model.ids import WorkerId
from gatepost.model.settings import ListenerSettings, Settings
from gatepost.net.certificate import CertificateError, parse_certificate
from gatepost.net.clock import now
from gatepost.net.counters import WorkerCounters
from gatepost.net.open_files import allowed, capacity, raise_limit
from gatepost.net.tls import FrontContexts
from gatepost.node.certificate_watch import CertificateWatch
from gatepost.node.child import SERVES
from gatepost.node.clock_watch import ClockWatch
from gatepost.node.heartbeat import Heartbeat
from gatepost.node.home import announcement, is_shared
from gatepost.node.outcomes import OutcomeCount, source_addresses
from gatepost.node.parts import Parts, build_desk, build_door, build_parts
from gatepost.node.watchdog import Life
from gatepost.operate.domain_looks import Watch
from gatepost.reception.listener import Listener
from gatepost.store.opening import open_store
from gatepost.store.protocols import Store, StoreUnavailableError, Transaction

_log = logging.getLogger(__name__)

#: Seconds: how often other processes' commits are looked for (decision 5), the disk is measured,
#: and housekeeping is offered.
_LOOK: Final = 0.2
_MEASURE: Final = 2.0
_TIDY: Final = 30.0
_CLOCK: Final = 1.0
_STRAYS: Final = 30.0
_CERTIFICATES: Final = 15.0
#: Until it is tried again after a fault of ours.
_FAULT_PAUSE: Final = 5.0
#: Seconds between two questions whose turn it is; a domain that was just added waits no longer.
_LOOK_AT_DOMAINS: Final = 15.0
#: Seconds that conversations, then deliveries, get to end when a worker stops.
_LAST_WORDS: Final = 15.0
_LAST_DELIVERIES: Final = 10.0
#: Octets of one message from the supervisor: certificates and keys.
_MESSAGE: Final = 1 << 24


@dataclass(frozen=True, slots=True)
class WorkerPlace:
    """What the supervisor gives a worker: its number and name, its node's name, its sockets and contexts, its end
    of the pipe, its counters, and who died before it.
    """

    index: int
    name: WorkerId
    node: str
    pipe: socket.socket
    listeners: tuple[tuple[ListenerSettings, socket.socket], ...]
    fronts: FrontContexts
    counters: WorkerCounters
    dead: tuple[WorkerId, ...]


def work(settings: Settings, place: WorkerPlace) -> int:
    """Be a worker until told to stop; returns the exit status."""
    gc.collect()
    gc.freeze()  # what was there before is never garbage
    gc.set_threshold(50_000, 20, 20)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(Worker(settings, place).run())
    return 0


class Worker:
    """What runs on one worker's loop, and how it starts and stops."""

    def __init__(self, settings: Settings, place: WorkerPlace) -> None:
        self._settings = settings
        self._place = place
        self._stop = asyncio.Event()
        self._disk = 1 << 62
        self._open_files = raise_limit()
        self._capacity = capacity(self._open_files)

    async def run(self) -> None:
        """Serve until SIGTERM, or until the supervisor is gone."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stop.set)
        settings, place = self._settings, self._place
        life = Life(place.counters)
        store = await open_store(settings, place.name, clock=now, is_there=True)
        life.heed(store.gets_on)
        try:
            if dead := place.dead:
                await store.write(lambda tx: _free(tx, dead))
            said = announcement(settings, place.node, place.name)
            named = [each.source for each in settings.egress]
            sources = Sources(named, store, tells=not place.index)
            await sources.look()
            await sources.refresh()
            heartbeat = Heartbeat(
                store, said, shared=is_shared(settings), sources=sources.announced
            )
            await heartbeat.beat()
            parts = await build_parts(settings, store, place.name, heartbeat, sources)
            await self._serve(parts)
            with contextlib.suppress(StoreUnavailableError):
                await heartbeat.leave()
        finally:
            await store.close()

    async def _serve(self, parts: Parts) -> None:
        place = self._place
        desk = build_desk(
            self._settings,
            parts,
            place.counters,
            free_space=lambda: self._disk,
            stopping=self._stop.is_set,
            capacity=lambda: self._capacity,
        )
        count = OutcomeCount(place.counters, source_addresses(self._settings))
        parts.settler.listen(count.heard)
        # Nothing goes unsigned, and no client is a stranger, because it came early.
        await parts.signer.refresh()
        await self._trust_clients(parts)
        await parts.suppressed.refresh()
        listeners = []
        async with asyncio.TaskGroup() as group:
            background = [
                group.create_task(each, name=name) for name, each in self._background(parts)
            ]
            scheduler = group.create_task(parts.scheduler.run(), name="scheduler")
            for settings, sock in place.listeners:
                door = build_door(self._settings, settings, place.fronts)
                listener = Listener(door, desk)
                await listener.open(sock, parts.deadlines)
                listeners.append(listener)
            with contextlib.suppress(OSError):
                place.pipe.send(SERVES)
            await self._stop.wait()
            await asyncio.gather(*(each.stop(_LAST_WORDS) for each in listeners))
            await parts.scheduler.stop(_LAST_DELIVERIES)
            await scheduler
            for task in background:
                task.cancel()
        parts.authenticator.close()
        parts.call_forward.close()

    # -- background

    def _background(self, parts: Parts) -> list[tuple[str, Coroutine[Any, Any, None]]]:
        settings, store = self._settings, parts.store
        journal = settings.data_dir / "journal"
        retention = settings.retention.events
        return [
            ("heartbeat", parts.heartbeat.run()),
            ("recorder", parts.recorder.run()),
            ("notifier", parts.notifier.run()),
            ("authenticator", parts.authenticator.run()),
            ("allowances", parts.allowances.run()),
            ("bulk", parts.bulk.run()),
            ("histories", parts.histories.run()),
            ("look", self._look(parts)),
            ("measure", self._every(_MEASURE, lambda: self._measure(store))),
            ("tidy", self._every(_TIDY, lambda: store.tidy(now()))),
            *self._for_the_node(parts),
            ("journal", run_journal(store, journal, retention=retention, now=now)),
            ("pipe", self._listen_to_supervisor(store)),
            ("domains", self._look_at_domains(parts.watch)),
            ("sources", self._every(LOOK_EVERY, parts.sources.look)),
        ]

    def _for_the_node(self, parts: Parts) -> list[tuple[str, Coroutine[Any, Any, None]]]:
        """Return what one of its workers does for all."""
        if self._place.index:
            return []
        watch = ClockWatch(self._settings.retry, parts)
        certificates = CertificateWatch(self._place.fronts, self._place.counters, parts)
        return [
            ("clock", self._every(_CLOCK, watch.look)),
            ("strays", self._every(_STRAYS, parts.strays.look)),
            ("certificates", self._every(_CERTIFICATES, certificates.look)),
        ]

    async def _look_at_domains(self, watch: Watch) -> None:
        while watch.every:
            try:
                await watch.look()
            except StoreUnavailableError as trouble:
                _log.warning("the store is away: %s", trouble)
            except Exception:  # noqa: BLE001 - the top of the task, and said there
                # Others write what is read there: a fault of ours with it stops no mail.
                _log.exception("sending domains could not be looked at")
            await asyncio.sleep(_LOOK_AT_DOMAINS)

    async def _look(self, parts: Parts) -> None:
        """Notice within 200 ms that another process has changed the store (decision 5)."""
        while True:
            try:
                version = await parts.store.data_version()
                await parts.signer.note_version(version)
                await parts.suppressed.note_version(version)
                await parts.authenticator.note_version(version)
                await parts.allowances.note_version(version)
                await parts.sources.note_version(version)
                await self._trust_clients(parts)
            except StoreUnavailableError:
                pass  # others tell
            except Exception:  # noqa: BLE001 - the top of a task: what was known before holds on
                _log.exception("what others changed could not be looked at")
                await asyncio.sleep(_FAULT_PAUSE)
            await asyncio.sleep(_LOOK)

    async def _trust_clients(self, parts: Parts) -> None:
        """Trust what is registered now, where a listener asks for client certificates."""
        if any(listener.client_certificates for listener, _ in self._place.listeners):
            registered = await parts.directory.certificates()
            self._place.fronts.trust_clients(map(der_of, registered.values()))

    async def _every(self, seconds: float, act: Callable[[], Awaitable[object]]) -> None:
        while True:
            try:
                await act()
            except StoreUnavailableError as trouble:
                _log.warning("the store is away: %s", trouble)
            except Exception:  # noqa: BLE001 - the top of a task: others go on
                _log.exception("a fault of ours; it is tried again")
                await asyncio.sleep(_FAULT_PAUSE)
            await asyncio.sleep(seconds)

    async def _measure(self, store: Store) -> None:
        self._place.fronts.pass_on()
        self._count_open_files()
        was, self._disk = self._disk, await store.free_space()
        if self._disk == 0 < was:
            _log.error(
                "the disk that holds %s is full up to the reserve: new mail is put off (452)",
                self._settings.data_dir,
            )
        elif was == 0 < self._disk:
            _log.info("the disk that holds %s has room again", self._settings.data_dir)

    def _count_open_files(self) -> None:
        """Take as many connections as the limit of open files allows now."""
        was, self._open_files = self._open_files, allowed()
        if self._open_files == was:
            return
        self._capacity = capacity(self._open_files)
        _log.warning(
            "%d open files are allowed now, %d before: so many connections are taken: %d",
            self._open_files,
            was,
            self._capacity,
        )

    async def _listen_to_supervisor(self, store: Store) -> None:
        """Take new certificates, and what the dead held; stop when the supervisor is gone
        (decision 2).
        """
        self._place.pipe.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=self._place.pipe, limit=_MESSAGE)
        try:
            while line := await reader.readline():
                try:
                    await self._heed(store, json.loads(line))
                except Exception:  # noqa: BLE001 - the top of a task: what was there goes on
                    _log.exception("what the supervisor told could not be taken over")
        finally:
            writer.close()
        if not self._stop.is_set():
            _log.error("the supervisor is gone; stopping")
            self._stop.set()

    async def _heed(self, store: Store, message: dict[str, Any]) -> None:
        if certificates := message.get("certificates"):
            self._take_certificates(certificates)
        if dead := tuple(map(WorkerId, message.get("dead", ()))):
            await self._free_of(store, dead)

    async def _free_of(self, store: Store, dead: tuple[WorkerId, ...]) -> None:
        try:
            await store.write(lambda tx: _free(tx, dead))
        except StoreUnavailableError as trouble:
            _log.warning("the store is away, leases end by themselves: %s", trouble)

    def _take_certificates(self, certificates: list[dict[str, str]]) -> None:
        try:
            self._place.fronts.replace(
                [
                    parse_certificate(c["chain"].encode(), c["key"].encode(), c["file"])
                    for c in certificates
                ]
            )
        except CertificateError as problem:
            _log.error("certificate not taken over: %s", problem)


def _free(transaction: Transaction, workers: tuple[WorkerId, ...]) -> None:
    """Make free what dead workers held."""
    for worker in workers:
        transaction.free_leases(worker)
        transaction.free_quota_leases(worker)
        transaction.leave(worker)
