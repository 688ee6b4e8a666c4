"""From settings to a running node: everything that can be wrong is said before a port opens."""

import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

from gatepost.model.ids import WorkerId
from gatepost.model.settings import Settings
from gatepost.net import channel_binding
from gatepost.net.address import parse_socket_address
from gatepost.net.certificate import Certificate, CertificateError, read_certificates
from gatepost.net.clock import now
from gatepost.net.counters import Counters
from gatepost.net.tls import FrontContexts
from gatepost.node.descriptors import capacity, raise_limit
from gatepost.node.home import node_name
from gatepost.node.logs import set_up_logs
from gatepost.node.prepare import prepare_store, unreadable_secret
from gatepost.node.privileges import become, worker_identity
from gatepost.node.sockets import OpenListener, close_listeners, open_http, open_listeners
from gatepost.node.sole_server import sole_server
from gatepost.node.supervisor import Child, Supervisor, hold_signals
from gatepost.node.worker import WorkerPlace, work

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Node:
    """What the supervisor's callbacks share. Replaced settings reach workers born later."""

    #: The node's name at the start: it stays in the workers' names when a reload changes it.
    name: str
    settings: Settings
    reload_settings: Callable[[], Settings | None]
    certificates: tuple[Certificate, ...]
    fronts: FrontContexts
    listeners: list[OpenListener]
    counters: Counters
    dead: list[str]
    stamps: tuple[tuple[str, int], ...]
    #: The HTTP process comes behind the workers; None: there is none.
    http: socket.socket | None
    workers: int

    def named(self, index: int) -> str:
        """Return what the log calls a process."""
        return f"worker {index}" if index < self.workers else "the HTTP process"

    def work(self, me: Child) -> int:
        """Be a worker: in the child."""
        mine = []
        for listener in self.listeners:
            for number, sock in enumerate(listener.sockets):
                if number == me.index:
                    mine.append((listener.settings, sock))
                else:
                    sock.close()
        if identity := worker_identity(self.settings.data_dir):
            become(identity)
        if me.index == self.workers and self.http is not None:
            return self.serve_http(me, self.http)
        if self.http is not None:
            self.http.close()
        place = WorkerPlace(
            index=me.index,
            name=worker_id(self.name, me),
            node=self.name,
            pipe=me.pipe,
            listeners=tuple(mine),
            fronts=self.fronts,
            counters=self.counters.worker(me.region),
            dead=self._dead_before(me),
        )
        return work(self.settings, place)

    def _dead_before(self, me: Child) -> tuple[WorkerId, ...]:
        """Return whose leases a newborn frees: who died under us, and, for the first of its index,
        all of that index before us. (We are the only server of this name.)
        """
        dead = tuple(WorkerId(name) for name in self.dead)
        is_first = me.birth == me.index + 1
        return (*dead, WorkerId(f"{self.name}/{me.index}/")) if is_first else dead

    def serve_http(self, me: Child, sock: socket.socket) -> int:
        """Be the HTTP process. Its framework is imported by it alone, which takes half a second."""
        from gatepost.node.http import HttpPlace, serve  # noqa: PLC0415

        place = HttpPlace(worker_id(self.name, me), self.name, me.pipe, sock, self.counters)
        return serve(self.settings, place)

    def bury(self, child: Child) -> None:
        """Give back what a dead worker counted; its successor frees its leases."""
        self.counters.clear(child.region)
        self.dead.append(worker_id(self.name, child))
        del self.dead[:-64]

    def reload(self) -> bool:
        """Read the file again at SIGHUP; True when workers must be born anew for it."""
        self.stamps = ()  # and the certificates, whatever their files look like
        fresh = self.reload_settings()
        if fresh is None:
            return False
        if words := unreadable_secret(fresh, worker_identity(self.settings.data_dir)):
            _log.error("configuration not taken over, the former one stays: %s", words)
            return False
        if fresh == self.settings:
            return False
        fixed = ("listeners", "node", "data_dir", "store", "workers", "http")
        if late := [key for key in fixed if getattr(fresh, key) != getattr(self.settings, key)]:
            _log.warning("changes to %s need a restart; the rest is taken over", ", ".join(late))
        kept = {key: getattr(self.settings, key) for key in fixed}
        self.settings = fresh.model_copy(update=kept)
        _log.info("configuration reloaded: workers take it over one by one")
        return True

    def watch(self) -> dict[str, object] | None:
        """Look whether a certificate file has changed; what to tell the workers then."""
        stamps = _stamps(self.settings)
        if stamps == self.stamps:
            return None
        self.stamps = stamps
        try:
            fresh = read_certificates(self.settings.tls)
            self.fronts.replace(fresh)
        except CertificateError as problem:
            _log.error("certificate not taken over, the former one stays: %s", problem)
            return None
        if fresh == self.certificates:
            return None
        self.certificates = fresh
        _log.info("certificates reloaded")
        return {
            "certificates": [
                {"chain": c.chain.decode(), "key": c.key.decode(), "file": c.file} for c in fresh
            ]
        }


def worker_id(node: str, child: Child) -> WorkerId:
    """Name a worker: node/index/pid.birth/, so that no name comes again, nor begins another."""
    return WorkerId(f"{node}/{child.index}/{child.pid}.{child.birth}/")


def run(settings: Settings, reload_settings: Callable[[], Settings | None]) -> int:
    """Serve until told to stop; returns the exit status.

    Args:
        settings: what to serve.
        reload_settings: reads the file again at SIGHUP; None when it is faulty (and was said).

    Raises:
        CannotServeError: before anything was opened or changed.
        CertificateError, PortUnavailableError, NewerDatabaseError: likewise.

    """
    set_up_logs(settings.log.format)
    hold_signals()
    workers = settings.workers or os.cpu_count() or 1
    stamps = _stamps(settings)  # before they are read: what changes from now on is noticed
    certificates = read_certificates(settings.tls)
    for certificate in certificates:
        if warning := certificate.warning(now()):
            _log.warning("%s", warning)
    if not channel_binding.is_sound():  # asked before the fork: the workers know it, too
        _log.warning("no channel binding with this Python: SCRAM-SHA-256-PLUS is not offered")
    fronts = FrontContexts(certificates)
    for listener in settings.listeners:
        fronts.front_context(listener)
    _allow_connections(settings.limits.connections, workers)
    lock = sole_server(settings.data_dir)
    listeners = open_listeners(settings.listeners, workers)
    http = None
    try:
        http = open_http(settings.http) if settings.http else None
        processes = workers + (http is not None)
        prepare_store(settings)
        node = _Node(
            name=node_name(settings),
            settings=settings,
            reload_settings=reload_settings,
            certificates=certificates,
            fronts=fronts,
            listeners=listeners,
            # twice: a retiring worker and its successor
            counters=Counters.create(2 * processes),
            dead=[],
            stamps=stamps,
            http=http,
            workers=workers,
        )
        for listener in settings.listeners:
            _log.info("%s on %s", listener.role.value, listener.address)
        if settings.http:
            _tell_http(settings.http.address)
        supervisor = Supervisor(
            processes,
            node.work,
            on_death=node.bury,
            on_reload=node.reload,
            on_stop=lambda: _close(listeners, http),
            watch=node.watch,
            named=node.named,
        )
        return supervisor.run()
    finally:
        _close(listeners, http)
        os.close(lock)


def _tell_http(address: str) -> None:
    _log.info("HTTP on %s", address)
    if not ip_address(parse_socket_address(address).host).is_loopback:
        _log.warning(
            "HTTP on %s is open to others and speaks no TLS: "
            "let it listen on 127.0.0.1, behind a web server",
            address,
        )


def _close(listeners: list[OpenListener], http: socket.socket | None) -> None:
    close_listeners(listeners)
    if http is not None:
        http.close()


def _allow_connections(wanted: int, workers: int) -> None:
    """Get the open files that connections need, or say that there are too few."""
    open_files = raise_limit()
    possible = workers * capacity(open_files)
    if wanted > possible:
        _log.warning(
            "[limits] connections is %d, %d open files per process allow %d; "
            "raise the limit (LimitNOFILE= in systemd)",
            wanted,
            open_files,
            possible,
        )


def _stamps(settings: Settings) -> tuple[tuple[str, int], ...]:
    """Return what shows that a certificate file was changed: path, time, inode."""
    stamps = []
    for pair in (settings.tls, *settings.tls.more):
        for path in (pair.certificate, pair.private_key):
            try:
                status = path.stat()
            except OSError:
                continue
            stamps.append((f"{path}:{status.st_ino}", status.st_mtime_ns))
    return tuple(stamps)
