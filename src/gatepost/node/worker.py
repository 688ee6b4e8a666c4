"""One worker: its event loop, its parts put together, its orderly end (design §5).

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

from gatepost.delivery.routing import build_routing
from gatepost.delivery.scheduler import Scheduler
from gatepost.events.journal import run_journal
from gatepost.events.record import Recorder
from gatepost.identity.authenticate import Authenticator, build_authenticator
from gatepost.identity.directory import Directory
from gatepost.identity.guessing import GuessingBook
from gatepost.model.ids import WorkerId
from gatepost.model.settings import ListenerSettings, Role, Settings
from gatepost.net.certificate import CertificateError, parse_certificate
from gatepost.net.clock import now
from gatepost.net.counters import WorkerCounters
from gatepost.net.tls import FrontContexts
from gatepost.net.transport import Deadlines
from gatepost.operate.accounts import flag_exposed
from gatepost.reception.accept import Acceptance, HandOver
from gatepost.reception.desk import Desk, Door, Memory
from gatepost.reception.listener import Listener
from gatepost.reception.relay import local_domains
from gatepost.store.protocols import Store, StoreUnavailableError
from gatepost.store.sqlite import open_sqlite
from gatepost.wire.smtp.extensions import Profile

_log = logging.getLogger(__name__)

#: Seconds: how often other processes' commits are looked for (decision 5), the disk is measured,
#: and housekeeping is offered.
_LOOK: Final = 0.2
_MEASURE: Final = 2.0
_TIDY: Final = 30.0
#: Octets of content under way that a worker holds at most, or four messages of full size.
_CONTENT_MEMORY: Final = 256 * 2**20
#: Seconds that conversations, then deliveries, get to end when a worker stops.
_LAST_WORDS: Final = 15.0
_LAST_DELIVERIES: Final = 10.0


@dataclass(frozen=True, slots=True)
class WorkerPlace:
    """What the supervisor gives a worker: its number and name, its sockets and contexts, its end
    of the pipe, its counters, and who died before it.
    """

    index: int
    name: WorkerId
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
    """The parts of one worker, and how they start and stop."""

    def __init__(self, settings: Settings, place: WorkerPlace) -> None:
        self._settings = settings
        self._place = place
        self._deadlines = Deadlines()
        self._stop = asyncio.Event()
        self._disk = 1 << 62

    async def run(self) -> None:
        """Serve until SIGTERM, or until the supervisor is gone."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop.set)
        settings, place = self._settings, self._place
        store = await open_sqlite(settings.data_dir, place.name, settings.retention)
        try:
            await self._serve(store)
        finally:
            await store.close()

    async def _serve(self, store: Store) -> None:
        place = self._place
        dead = place.dead
        if dead:
            await store.write(lambda tx: sum(tx.free_leases(name) for name in dead))
        directory = Directory(store)
        authenticator = build_authenticator(directory)
        recorder = Recorder(store)
        scheduler = self._scheduler(store)
        desk = self._desk(store, directory, authenticator, recorder, scheduler)
        listeners = self._listeners(desk)
        async with asyncio.TaskGroup() as group:
            background = [
                group.create_task(each, name=name)
                for name, each in self._background(store, directory, recorder, scheduler)
            ]
            for listener, sock in listeners:
                await listener.open(sock, self._deadlines)
            await self._stop.wait()
            await self._wind_down(listeners, scheduler)
            for task in background:
                task.cancel()
        authenticator.close()

    async def _wind_down(
        self, listeners: list[tuple[Listener, socket.socket]], scheduler: Scheduler
    ) -> None:
        """Accept no more, end transactions, hand back what was not delivered."""
        await asyncio.gather(*(listener.stop(_LAST_WORDS) for listener, _ in listeners))
        await scheduler.stop(_LAST_DELIVERIES)

    # -- parts

    def _scheduler(self, store: Store) -> Scheduler:
        raise NotImplementedError

    def _desk(
        self,
        store: Store,
        directory: Directory,
        authenticator: Authenticator,
        recorder: Recorder,
        scheduler: Scheduler,
    ) -> Desk:
        settings = self._settings
        limits = settings.limits
        return Desk(
            local=local_domains(settings.local_domains),
            limits=limits,
            acceptance=Acceptance(
                store=store,
                hostname=settings.hostname,
                message_size=limits.message_size,
                give_up=settings.retry.give_up,
                hand_over=HandOver(scheduler.lease, scheduler.take),
                placement=build_routing(settings).placement,
            ),
            authenticator=authenticator,
            directory=directory,
            guessing=GuessingBook(limits.authentication_failures),
            mechanisms=frozenset(settings.auth.mechanisms),
            note_exposed=self._note_exposed(store, directory),
            recorder=recorder,
            counters=self._place.counters,
            memory=Memory(max(_CONTENT_MEMORY, 4 * limits.message_size)),
            free_space=lambda: self._disk,
            stopping=self._stop.is_set,
        )

    def _listeners(self, desk: Desk) -> list[tuple[Listener, socket.socket]]:
        return [
            (Listener(self._door(settings), desk), sock)
            for settings, sock in self._place.listeners
        ]

    def _door(self, listener: ListenerSettings) -> Door:
        settings = self._settings
        profile = Profile(
            hostname=settings.hostname,
            message_size=settings.limits.message_size,
            mechanisms=() if listener.role is Role.MX else settings.auth.mechanisms,
        )
        return Door(listener.role, profile, self._place.fronts.front_context(listener))

    def _note_exposed(self, store: Store, directory: Directory) -> Callable[[str], Awaitable[None]]:
        async def note(name: str) -> None:
            with contextlib.suppress(StoreUnavailableError):
                await flag_exposed(store, directory, name)

        return note

    # -- background

    def _background(
        self, store: Store, directory: Directory, recorder: Recorder, scheduler: Scheduler
    ) -> list[tuple[str, Coroutine[Any, Any, None]]]:
        settings = self._settings
        journal = settings.data_dir / "journal"
        return [
            ("recorder", recorder.run()),
            ("scheduler", scheduler.run()),
            ("look", self._look(store, directory, scheduler)),
            ("measure", self._every(_MEASURE, lambda: self._measure(store))),
            ("tidy", self._every(_TIDY, lambda: store.tidy(now()))),
            ("journal", run_journal(store, journal, settings.retention.events)),
            ("pipe", self._listen_to_supervisor()),
        ]

    async def _look(self, store: Store, directory: Directory, scheduler: Scheduler) -> None:
        """Notice within 200 ms that another process has changed the store (decision 5)."""
        seen = None
        while True:
            with contextlib.suppress(StoreUnavailableError):
                version = await store.data_version()
                directory.note_version(version)
                if version != seen:
                    seen = version
                    scheduler.wake()
            await asyncio.sleep(_LOOK)

    async def _every(self, seconds: float, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await act()
            except StoreUnavailableError as trouble:
                _log.warning("the store is away: %s", trouble)
            await asyncio.sleep(seconds)

    async def _measure(self, store: Store) -> None:
        self._disk = await store.free_space()

    async def _listen_to_supervisor(self) -> None:
        """Take new certificates; stop when the supervisor is gone (decision 2)."""
        self._place.pipe.setblocking(False)
        reader, _ = await asyncio.open_connection(sock=self._place.pipe, limit=1 << 24)
        while line := await reader.readline():
            self._take_certificates(json.loads(line))
        if not self._stop.is_set():
            _log.error("the supervisor is gone; stopping")
            self._stop.set()

    def _take_certificates(self, message: dict[str, list[dict[str, str]]]) -> None:
        try:
            self._place.fronts.replace(
                [
                    parse_certificate(c["chain"].encode(), c["key"].encode(), c["file"])
                    for c in message["certificates"]
                ]
            )
        except CertificateError as problem:
            _log.error("certificate not taken over: %s", problem)
