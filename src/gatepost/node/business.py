"""What the processes of a node are there for: `Business` of the supervisor, with its settings."""

import errno
import logging
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from gatepost.model.ids import WorkerId
from gatepost.model.settings import ListenerSettings, Settings
from gatepost.net.certificate import Certificate, CertificateError, read_certificates
from gatepost.net.clock import now
from gatepost.net.counters import Counters
from gatepost.net.tls import FrontContexts
from gatepost.node.child import Child
from gatepost.node.handover import Former, Inheritance, Successor
from gatepost.node.notify import notify
from gatepost.node.prepare import unreadable_secret, unusable_key
from gatepost.node.privileges import become, worker_identity
from gatepost.node.secret_files import contents_of
from gatepost.node.sockets import OpenListener, close, close_doors, dismiss
from gatepost.node.sole_server import write_serving
from gatepost.node.worker import WorkerPlace, work
from gatepost.operate.serving import Serving

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Node:
    """What the supervisor's callbacks share. Replaced settings reach workers born later."""

    #: The node's name at the start: it stays in the workers' names when a reload changes it.
    name: str
    settings: Settings
    reload_settings: Callable[[], Settings | None]
    certificates: tuple[Certificate, ...]
    fronts: FrontContexts
    listeners: list[OpenListener]
    counters: Counters
    #: Workers that died, the last ones.
    dead: list[str]
    stamps: tuple[tuple[str, int], ...]
    #: The HTTP process comes behind the workers; None: there is none.
    http: socket.socket | None
    workers: int
    #: The lock on the state directory, and what we took over with it.
    lock: int
    inherited: Inheritance
    serving: Serving = field(default_factory=lambda: Serving(os.getpid()))
    _has_successor: bool = False
    _is_successor: bool = field(init=False)
    #: What the lock says is what is so.
    _is_said: bool = True
    #: What is in the files that the settings name, hashed.
    _contents: dict[Path, bytes] = field(init=False)
    #: What is gone back to where a reload comes to nothing.
    _former: tuple[Settings, dict[Path, bytes]] = field(init=False)

    def __post_init__(self) -> None:
        self._contents = contents_of(self.settings, worker_identity(self.settings.data_dir))
        self._former = (self.settings, self._contents)
        self._is_successor = bool(self.inherited.former)

    def named(self, index: int) -> str:
        """Return what the log calls a process."""
        return f"worker {index}" if index < self.workers else "the HTTP process"

    def work(self, me: Child) -> int:
        """Be a worker: in the child."""
        if me.is_stopgap:
            self.settings, _ = self._former
        mine = []
        for listener, settings in zip(self.listeners, self.settings.listeners, strict=True):
            shares = listener.shares(me.index, self.workers) if me.index < self.workers else ()
            for number, sock in enumerate(listener.sockets):
                if number in shares:
                    mine.append((settings, sock))
                else:
                    sock.close()
        if identity := worker_identity(self.settings.data_dir):
            become(identity)
        for former in self.inherited.former:
            os.close(former.handle)
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
        all of that index before us. (We are the only server of this name; but workers of the
        program that we took over from may still be at work.)
        """
        dead = tuple(WorkerId(name) for name in self.dead)
        is_first = me.birth == me.index + 1 and not self._is_successor
        return (*dead, WorkerId(f"{self.name}/{me.index}/")) if is_first else dead

    def serve_http(self, me: Child, sock: socket.socket) -> int:
        """Be the HTTP process. Its framework is imported by it alone, which takes half a second."""
        from gatepost.node.http import HttpPlace, serve  # noqa: PLC0415

        self.fronts.forget()
        name = worker_id(self.name, me)
        place = HttpPlace(name, self.name, me.pipe, sock, self.counters, me.region)
        return serve(self.settings, place)

    def bury(self, child: Child) -> None:
        """Give back what a dead worker counted; its successor frees its leases."""
        self.counters.clear(child.region)
        self.dead.append(worker_id(self.name, child))
        del self.dead[:-64]

    def tick_of(self, child: Child) -> int:
        """Return a process's last sign of life."""
        return self.counters.tick_of(child.region)

    def reload(self) -> bool:
        """Read the file again at SIGHUP; True when workers must be born anew for it."""
        self.stamps = ()  # and the certificates, whatever their files look like
        fresh = self.reload_settings()
        if fresh is None:
            return False
        try:
            reader = worker_identity(self.settings.data_dir)
            words = unreadable_secret(fresh, reader) or unusable_key(
                fresh.master_key, self.settings.master_key, reader
            )
        except OSError as problem:
            reader = None
            words = f"{self.settings.data_dir}: {(problem.strerror or str(problem)).lower()}"
        if words:
            _log.error("configuration not taken over, the former one stays: %s", words)
            return False
        contents = contents_of(fresh, reader)
        changed = [str(path) for path in contents if contents[path] != self._contents.get(path)]
        if fresh == self.settings and not changed:
            _log.info("configuration read: nothing in it has changed")
            return False
        fixed = ("listeners", "node", "data_dir", "store", "workers", "http")
        late = [key for key in fixed if getattr(fresh, key) != getattr(self.settings, key)]
        if "listeners" in late and _doors(fresh) == _doors(self.settings):
            late.remove("listeners")
        if late:
            _log.warning("changes to %s need a restart; the rest is taken over", ", ".join(late))
        kept = {key: getattr(self.settings, key) for key in late}
        self._former = (self.settings, self._contents)
        self.settings, self._contents = fresh.model_copy(update=kept), contents
        if changed:
            _log.info("changed: %s", ", ".join(changed))
        _log.info("configuration reloaded: new workers take over when all of them serve")
        return True

    def reloaded(self) -> None:
        """Say that the new configuration is in force."""
        _log.info("configuration taken over by all workers")

    def not_reloaded(self, why: str) -> None:
        """Go back to the former configuration, certificates included."""
        (self.settings, self._contents), self.stamps = self._former, ()
        _log.error("configuration not taken over, the former one stays in force: %s", why)

    def say_serving(self) -> None:
        """Write who serves where `gatepost restart` reads it; where that fails, later."""
        self._is_said = write_serving(self.lock, self.serving)

    def ready(self) -> None:
        """Say that we serve: to `gatepost restart`, to our predecessor, to the service manager."""
        self.say_serving()
        self.inherited.say_ready()
        notify("READY=1", "STATUS=")
        _log.info("all workers serve")

    def succeed(self, living: Sequence[Child]) -> Successor:
        """Start the program on the disk, with all that must stay open."""
        if os.getpid() == 1:
            raise OSError(errno.EPERM, "process 1 of a container must not end; start another one")
        sockets = [sock for listener in self.listeners for sock in listener.sockets]
        if self.http is not None:
            sockets.append(self.http)
        with ExitStack() as handles:
            former = []
            for child in living:
                handle = os.pidfd_open(child.pid)
                handles.callback(os.close, handle)
                former.append(Former(worker_id(self.name, child), handle))
            former += self.inherited.former
            return Successor(sockets, self.lock, former, self.dead, self.inherited.kept)

    def succeeded(self, pid: int) -> None:
        """Tell the service manager who is its main process now."""
        self._has_successor = True
        notify(f"MAINPID={pid}")

    def not_succeeded(self, why: str) -> None:
        """Tell `gatepost restart`."""
        self.serving = Serving(os.getpid(), self.serving.failed + 1, why)
        self.say_serving()

    def stop(self) -> None:
        """Leave the ports to a successor; without one they stay open until nobody waits there."""
        if self._has_successor:
            close(self.listeners, self.http)
        else:
            notify("STOPPING=1")

    def dismiss(self) -> None:
        """Tell those who still come that we end: who waits at a port that is closed would be reset."""
        if not self._has_successor:
            dismiss(self.listeners, self.http, self.inherited.kept)

    def close(self) -> None:
        """Close the ports, when all workers have closed theirs."""
        if not self._has_successor:
            close_doors(self.listeners, self.http, self.inherited.kept)

    def watch(self) -> dict[str, object] | None:
        """Look whether certificates have changed, and whether former workers have ended; return
        what to tell the workers then.
        """
        told: dict[str, object] = {}
        for step in (self._keep_up, self._fresh_certificates, self._ended_workers):
            try:
                told |= step()
            except Exception:  # noqa: BLE001 - the top of a step: what was there before goes on
                _log.exception("a look around the node failed; what was there before goes on")
        return told or None

    def _keep_up(self) -> dict[str, object]:
        if not self._is_said:
            self.say_serving()
        self.fronts.pass_on()
        now()  # asked often enough, it follows the clock: workers born later know what it knows
        return {}

    def _ended_workers(self) -> dict[str, object]:
        ended = [former for former in self.inherited.former if former.has_ended()]
        for former in ended:
            os.close(former.handle)
            self.inherited.former.remove(former)
        return {"dead": [former.name for former in ended]} if ended else {}

    def _fresh_certificates(self) -> dict[str, object]:
        stamps = stamps_of(self.settings)
        if stamps == self.stamps:
            return {}
        self.stamps = stamps
        try:
            fresh = read_certificates(self.settings.tls)
            self.fronts.replace(fresh)
        except CertificateError as problem:
            _log.error("certificate not taken over, the former one stays: %s", problem)
            return {}
        if fresh == self.certificates:
            return {}
        self.certificates = fresh
        _log.info("certificates reloaded")
        return {
            "certificates": [
                {"chain": c.chain.decode(), "key": c.key.decode(), "file": c.file} for c in fresh
            ]
        }


def _doors(settings: Settings) -> list[ListenerSettings]:
    """Return the listeners without what a worker can be told later: whom to believe at them."""
    return [each.model_copy(update={"proxy_protocol_from": ()}) for each in settings.listeners]


def worker_id(node: str, child: Child) -> WorkerId:
    """Name a worker: node/index/pid.birth/, so that no name comes again, nor begins another."""
    return WorkerId(f"{node}/{child.index}/{child.pid}.{child.birth}/")


def stamps_of(settings: Settings) -> tuple[tuple[str, int], ...]:
    """Return what shows that a certificate file was changed: path, inode, size, time."""
    stamps = []
    for pair in (settings.tls, *settings.tls.more):
        for path in (pair.certificate, pair.private_key):
            try:
                status = path.stat()
            except OSError:
                continue
            stamps.append((f"{path}:{status.st_ino}:{status.st_size}", status.st_mtime_ns))
    return tuple(stamps)
