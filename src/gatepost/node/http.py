"""The HTTP process: one beside the workers, so that no request ever holds up SMTP (decision 3).

It has its own event loop and store; what it accepts the workers deliver. The supervisor holds its
socket for life, so that a request waits while it is born anew.
"""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

import uvicorn
import uvloop

from gatepost.api.app import Api, build_app
from gatepost.api.places import PLACE, Place
from gatepost.api.problems import ProblemError, answer
from gatepost.delivery.routing import build_routing
from gatepost.egress.sources import LOOK_EVERY, Sources
from gatepost.events.record import Recorder
from gatepost.model.ids import WorkerId
from gatepost.model.settings import HttpSettings, Settings
from gatepost.net.accepting import Accepting
from gatepost.net.clock import now
from gatepost.net.counters import Counters
from gatepost.net.resolver import resolver_from
from gatepost.node.bulk import build_bulk
from gatepost.node.child import SERVES
from gatepost.node.heartbeat import Heartbeat
from gatepost.node.home import announcement, is_shared
from gatepost.node.http_crowd import Crowd
from gatepost.node.http_turns import InTurns
from gatepost.node.intake import build_intake
from gatepost.node.outcomes import source_addresses
from gatepost.node.sockets import HTTP_BACKLOG, HTTP_FAREWELL
from gatepost.node.watchdog import Life
from gatepost.operate.hand_in import Intake
from gatepost.store.opening import open_store
from gatepost.store.protocols import Store, StoreUnavailableError

_log = logging.getLogger(__name__)

#: Seconds: how often other processes' commits are looked for (decision 5), and disk is measured.
_LOOK: Final = 0.2
_MEASURE: Final = 2.0
#: Its segment is left when it is of some age: housekeeping is the workers'.
_REST: Final = 30.0
#: Seconds until it is tried again after a fault of ours.
_FAULT_PAUSE: Final = 5.0
#: Seconds that requests under way get when the process stops, and a client for a whole head.
_LAST_REQUESTS: Final = 10
#: Seconds for which a connection that is kept alive may ask once more when the process stops.
_LAST_CALL: Final = 3.0
_HEAD: Final = 15.0
_KEEP_ALIVE: Final = 30
#: Octets of a head that has not ended: each of its fields costs 5 µs, whatever is in it.
_LONGEST_HEAD: Final = 16 * 1024
_CLOSE: Final = (b"connection", b"close")


@dataclass(frozen=True, slots=True)
class HttpPlace:
    """What the supervisor gives the HTTP process."""

    name: WorkerId
    node: str
    pipe: socket.socket
    sock: socket.socket
    counters: Counters
    #: Its own part of them.
    region: int


def serve(settings: Settings, place: HttpPlace) -> int:
    """Be the HTTP process until told to stop; returns the exit status."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, place))
    return 0


async def _serve(settings: Settings, place: HttpPlace) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    life = Life(place.counters.worker(place.region))
    store = await open_store(settings, place.name, clock=now, is_there=True)
    life.heed(store.gets_on)
    try:
        said = announcement(settings, place.node, place.name)
        # It calls nobody, but who hears nothing of addresses takes it that the system chooses.
        sources = Sources([each.source for each in settings.egress], store)
        await sources.look()
        heartbeat = Heartbeat(store, said, shared=is_shared(settings), sources=sources.announced)
        await heartbeat.beat()
        disk = _Disk()
        recorder = Recorder(store)
        bulk = build_bulk(store, build_routing(settings), resolver_from(settings.dns))
        intake = await build_intake(
            settings, store, place.name, recorder=recorder, bulk=bulk, free_space=lambda: disk.free
        )
        await intake.signer.refresh()
        await intake.suppressed.refresh()
        counted = source_addresses(settings)
        api = Api(intake=intake, counters=place.counters, sources=counted)
        server = _Server(build_app(api), settings.http or HttpSettings(), place)
        async with asyncio.TaskGroup() as group:
            background = [
                group.create_task(each)
                for each in (
                    heartbeat.run(),
                    recorder.run(),
                    bulk.run(),
                    intake.allowances.run(),
                    intake.histories.run(),
                    _every(_LOOK, lambda: _look(intake)),
                    _every(_MEASURE, lambda: disk.measure(store)),
                    _every(LOOK_EVERY, sources.look),
                    _every(_REST, store.rest),
                    _until_gone(place.pipe, stop),
                )
            ]
            serving = group.create_task(server.serve(sockets=[]))
            await stop.wait()
            server.should_exit = True
            await serving
            for task in background:
                task.cancel()
        with contextlib.suppress(StoreUnavailableError):
            await heartbeat.leave()
    finally:
        await store.close()


def _configuration(
    app: Callable[..., Awaitable[None]], settings: HttpSettings, protocol: type[InTurns]
) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",  # it warns of each odd request, and strangers send any number
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_keep_alive=_KEEP_ALIVE,
        h11_max_incomplete_event_size=_LONGEST_HEAD,
        timeout_graceful_shutdown=_LAST_REQUESTS,
    )


class _Server(uvicorn.Server):
    """Leaves signals alone: they are the process's own; accepts as the workers do; tells the
    supervisor when it serves.
    """

    def __init__(
        self, app: Callable[..., Awaitable[None]], settings: HttpSettings, place: HttpPlace
    ) -> None:
        self._patient: type[_Patient] = type("Patient", (_Patient,), {"crowd": Crowd(settings)})
        super().__init__(_configuration(app, settings, self._patient))
        self._pipe = place.pipe
        place.sock.setblocking(False)
        self._accepting = Accepting(
            place.sock, self._protocol, backlog=HTTP_BACKLOG, farewell=HTTP_FAREWELL
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept, and say so."""
        await super().startup(sockets)
        await self._accepting.open()
        with contextlib.suppress(OSError):
            self._pipe.send(SERVES)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, and let those end who are there."""
        self._accepting.close()
        self._patient.is_last = True
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        return self._patient(self.config, self.server_state, {})

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Change no handler."""
        yield


class _Patient(InTurns):
    """Gives a client so long for the head of a request, and no longer; one that has begun a request
    when the process stops hears its answer, one that is silent may ask once more within a while.
    """

    crowd: ClassVar[Crowd]
    _late: asyncio.TimerHandle | None = None
    _place: Place | None = None
    #: The process stops: what is asked from now on is the last of its connection.
    is_last: ClassVar[bool] = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first head, unless there is no place."""
        super().connection_made(transport)
        host = self.client[0] if self.client else ""
        self._place = self.crowd.enter(host, self.transport.abort)
        if self._place is None:
            self.transport.abort()
            return
        self.app_state = {PLACE: self._place}
        self._wait_for_head()
        if self.is_last:  # it was let in just before the end
            self.shutdown()

    def take(self, octets: bytes) -> None:
        """Parse octets; while no request is under way, they are a head's."""
        super().take(octets)
        if self._is_under_way():
            self._stop_waiting()
            if self.is_last:
                self._answer_last()
        elif self._late is None:
            self._wait_for_head()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP as a problem, and close; behind an answer that has begun, close."""
        if not (self._is_under_way() and self.cycle.response_started):
            said = answer(ProblemError(400, msg))
            head = [b"HTTP/1.1 400 Bad Request", *map(b": ".join, [*said.raw_headers, _CLOSE])]
            self.transport.write(b"\r\n".join([*head, b"", bytes(said.body)]))
        self.transport.close()

    def shutdown(self) -> None:
        """End behind the answer that is under way, or the one that is asked for soon."""
        if self._is_under_way() and not self.cycle.response_started:
            self._answer_last()
        else:  # an answer that has begun did not say that it is the last
            self.loop.call_later(_LAST_CALL, self._part)

    def _answer_last(self) -> None:
        """Close behind the answer, and say so in it (RFC 9112 §9.6)."""
        self.cycle.keep_alive = False
        scope = self.cycle.scope  # the application may have put other headers there
        scope["headers"] = [*scope["headers"], _CLOSE]  # as if the client had asked for it

    def _part(self) -> None:
        begun, _ = self.conn.trailing_data
        is_busy = begun or self.is_behind or self._is_under_way()
        if not (is_busy or self.transport.is_closing()):
            self.transport.close()

    def _is_under_way(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_waiting()
        if self._place is not None:
            self.crowd.leave(self._place)
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        self._late = self.loop.call_later(_HEAD, self._give_up)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        self._late = None
        if not self._is_under_way():
            self.transport.close()


class _Disk:
    """How many octets may still be written, as of the last look."""

    free = 1 << 62

    async def measure(self, store: Store) -> None:
        self.free = await store.free_space()


async def _look(intake: Intake) -> None:
    """Notice that another process has changed the store (decision 5)."""
    version = await intake.store.data_version()
    await intake.signer.note_version(version)
    await intake.suppressed.note_version(version)
    intake.directory.note_version(version)
    await intake.allowances.note_version(version)


async def _every(seconds: float, act: Callable[[], Awaitable[object]]) -> None:
    while True:
        try:
            await act()
        except StoreUnavailableError as trouble:
            _log.warning("the store is away: %s", trouble)
        except Exception:  # noqa: BLE001 - the top of a task: others go on
            _log.exception("a fault of ours; it is tried again")
            await asyncio.sleep(_FAULT_PAUSE)
        await asyncio.sleep(seconds)


async def _until_gone(pipe: socket.socket, stop: asyncio.Event) -> None:
    """Stop when the supervisor is gone (decision 2); what it tells workers is not for us."""
    pipe.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=pipe)
    try:
        while await reader.read(65536):
            pass
    finally:
        writer.close()
    stop.set()
