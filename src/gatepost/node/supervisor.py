"""Start, watch, restart and drain workers: nothing more (design §5, decision 1).

The supervisor never speaks SMTP, opens no database and runs no event loop, so that it has nothing
to fail at. It holds the listening sockets and the front TLS contexts, and forks.
"""

import contextlib
import json
import logging
import math
import os
import select
import signal
import socket
import sys
import time
from types import FrameType
from typing import Final

from gatepost.node.child import Child
from gatepost.node.handover import PATIENCE, Successor
from gatepost.node.slot import Slot
from gatepost.node.supervised import Business
from gatepost.node.watchdog import HUNG, Watchdog

_log = logging.getLogger(__name__)

#: Seconds that workers get to end their transactions, before SIGKILL.
DRAIN: Final = 30.0
#: A worker that lived shorter than this is restarted later and later, up to LONGEST_PAUSE.
SHORT_LIFE: Final = 5.0
LONGEST_PAUSE: Final = 10.0
#: Seconds between two looks at the certificate files.
WATCH: Final = 2.0

#: Seconds that a turn of the supervisor takes at most; while it stops, for people wait to be told so.
_TURN: Final = 0.5
_LAST_TURN: Final = 0.05

_SIGNALS: Final = (
    signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2, signal.SIGCHLD,
)  # fmt: skip


def hold_signals() -> None:
    """Keep signals that come while a node starts, or a worker is born, for who can take them: none
    is lost, none ends the process between two steps.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


class Supervisor:
    """Keeps `workers` processes alive until it is told to stop, or another took its place."""

    def __init__(self, workers: int, business: Business) -> None:
        self._slots = [Slot() for _ in range(workers)]
        self._business = business
        self._successor: Successor | None = None
        self._is_ready = False
        self._stopping_since: float | None = None
        self._pending: list[int] = []
        self._wake_read, self._wake_write = socket.socketpair()
        self._next_watch = 0.0
        self._births = 0
        self._reload_wanted = False
        #: When a reload that goes on is given up.
        self._renew_by = math.inf
        self._watchdog = Watchdog(business.tick_of)

    def run(self) -> int:
        """Run until SIGTERM or SIGINT and all workers have ended; returns 0, or 1 when some had
        to be killed.
        """
        self._take_signals()
        self._obey()  # told to stop before it began
        clean = True
        while self._stopping_since is None or self._living():
            now = time.monotonic()
            if self._stopping_since is None:
                if self._successor is not None:
                    self._watch_successor()
                else:  # else the successor does not know whom it follows
                    self._fill(now)
                    self._renew(now)
                self._look(now)
                self._retire(now)
                self._end_hung(now)
            else:
                self._business.dismiss()
                if now - self._stopping_since > DRAIN:
                    clean = False
                    self._signal_all(signal.SIGKILL)
            self._wait(_TURN if self._stopping_since is None else _LAST_TURN)
            self._reap()
            self._obey()
        self._business.close()
        return 0 if clean else 1

    # -- children

    def _fill(self, now: float) -> None:
        for index, slot in enumerate(self._slots):
            if slot.is_vacant and slot.due_at <= now:
                slot.child = self._bear(index, is_stopgap=slot.is_outdated)

    def _bear(self, index: int, *, is_stopgap: bool = False) -> Child | None:
        """Return a newborn; None where there are no descriptors, no memory or no more processes."""
        try:
            return self._spawn(index, is_stopgap=is_stopgap)
        except OSError as trouble:
            slot = self._slots[index]
            slot.failures += 1
            pause = _pause(slot.failures)
            slot.due_at = time.monotonic() + pause
            _log.error(
                "%s could not be born: %s; again in %.1f s",
                self._business.named(index),
                (trouble.strerror or str(trouble)).lower(),
                pause,
            )
            return None

    def _spawn(self, index: int, *, is_stopgap: bool) -> Child:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        region = self._free_region()
        self._births += 1
        sys.stderr.flush()
        hold_signals()  # one for a newborn waits until it can take it; none is ours by mistake
        try:
            pid = os.fork()
        except OSError:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            ours.close()
            theirs.close()
            raise
        if pid:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            theirs.close()
            now = time.monotonic()
            return Child(index, pid, ours, region, self._births, now, is_stopgap)
        status = 70  # EX_SOFTWARE, unless the worker says better
        try:
            self._become_child(ours)
            pid, now = os.getpid(), time.monotonic()
            me = Child(index, pid, theirs, region, self._births, now, is_stopgap)
            status = self._business.work(me)
        except BaseException:  # noqa: BLE001 - the top of a process
            _log.exception("%s failed", self._business.named(index))
        finally:
            logging.shutdown()
            os._exit(status)

    def _free_region(self) -> int:
        """Return the lowest region that no living worker has."""
        taken = {child.region for child in self._living()}
        return next(region for region in range(2 * len(self._slots)) if region not in taken)

    def _become_child(self, ours: socket.socket) -> None:
        """Let go of what belongs to the supervisor: its signals, its ends of all pipes."""
        signal.set_wakeup_fd(-1)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches all of us
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        ours.close()
        self._wake_read.close()
        self._wake_write.close()
        for slot in self._slots:
            for child in slot.living():
                child.pipe.close()

    def _living(self) -> list[Child]:
        return [child for slot in self._slots for child in slot.living()]

    def _reap(self) -> None:
        for slot in self._slots:
            for child in slot.living():
                pid, status = os.waitpid(child.pid, os.WNOHANG)
                if pid:
                    child.pipe.close()
                    self._bury(slot, child, status)

    def _bury(self, slot: Slot, child: Child, status: int) -> None:
        self._business.bury(child)
        was_fresh = child is slot.fresh
        if not slot.lose(child) or self._stopping_since is not None:
            return
        if was_fresh:
            self._give_up(f"the new {self._business.named(child.index)} ended by {_how(status)}")
            return
        lived = time.monotonic() - child.started_at
        slot.failures = slot.failures + 1 if lived < SHORT_LIFE else 0
        pause = _pause(slot.failures)
        slot.due_at = time.monotonic() + pause
        _log.error(
            "%s ended by %s; restarting%s",
            self._business.named(child.index),
            _how(status),
            f" in {pause:.1f} s" if pause else "",
        )

    def _end_hung(self, now: float) -> None:
        """Kill who does not stir: its place, and what it holds, go to another."""
        for child in self._watchdog.hung(self._living(), now):
            _log.error("%s has hung for %.0f s; killed", self._business.named(child.index), HUNG)
            os.kill(child.pid, signal.SIGKILL)

    def _signal_all(self, number: signal.Signals) -> None:
        for child in self._living():
            os.kill(child.pid, number)

    # -- signals

    def _take_signals(self) -> None:
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        signal.set_wakeup_fd(self._wake_write.fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, self._note)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._pending.append(number)

    def _wait(self, seconds: float) -> None:
        """Wait for signals, and for workers that say or take something."""
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        waiting = {}
        for child in self._living():
            if awaited := child.awaited():
                poll.register(child.pipe, awaited)
                waiting[child.pipe.fileno()] = child
        for number, events in poll.poll(seconds * 1000):
            if child_there := waiting.get(number):
                child_there.attend(events)
        with contextlib.suppress(BlockingIOError):
            self._wake_read.recv(4096)
        if not self._is_ready and all(slot.child and slot.child.is_ready for slot in self._slots):
            self._is_ready = True
            self._business.ready()

    def _obey(self) -> None:
        while self._pending:
            number = self._pending.pop(0)
            if number in {signal.SIGTERM, signal.SIGINT}:
                self._stop()
            elif self._stopping_since is not None:
                continue
            elif number == signal.SIGHUP:
                self._reload()
            elif number == signal.SIGUSR2:
                self._restart()

    def _stop(self) -> None:
        if self._stopping_since is None:
            _log.info("stopping: transactions under way may end")
            if self._successor is not None:
                self._successor.end()
                self._successor = None
            self._stopping_since = time.monotonic()
            self._business.stop()
            self._signal_all(signal.SIGTERM)
        elif time.monotonic() - self._stopping_since > 1:
            _log.warning("told twice: stopping at once")
            self._signal_all(signal.SIGKILL)

    def _reload(self) -> None:
        """Have new workers beside the former ones; once all of them serve, the former ones end."""
        self._next_watch = 0.0
        under_way = any(slot.retiring or slot.is_outdated for slot in self._slots)
        if self._successor is not None or under_way:
            self._reload_wanted = True
            _log.info("the last reload is still under way; the next one follows it")
            return
        self._reload_wanted = False
        try:
            if not self._business.reload():
                return
        except Exception:  # noqa: BLE001 - the top of a step: what was there before goes on
            _log.exception("configuration not taken over, the former one stays")
            return
        now = time.monotonic()
        self._renew_by = now + PATIENCE
        for slot in self._slots:
            slot.is_outdated, slot.due_at = True, now
        self._renew(now)

    def _renew(self, now: float) -> None:
        """Bear those anew whose settings are of the past, and let these go when all new ones serve.
        Who cannot be replaced goes on.
        """
        outdated = [slot for slot in self._slots if slot.is_outdated]
        if not outdated:
            return
        for index, slot in enumerate(self._slots):
            if slot.is_outdated and slot.fresh is None and slot.due_at <= now:
                slot.fresh = self._bear(index)
        if all(slot.fresh is not None and slot.fresh.is_ready for slot in outdated):
            for slot in outdated:
                slot.renew(now + DRAIN)
            self._business.reloaded()
        elif now >= self._renew_by:
            self._give_up(f"the new workers did not serve within {PATIENCE:.0f} s")

    def _give_up(self, why: str) -> None:
        for slot in self._slots:
            slot.keep(time.monotonic() + DRAIN)
        self._next_watch = 0.0
        self._business.not_reloaded(why)

    def _retire(self, now: float) -> None:
        """See to it that a reload comes to its end, and that the next one begins then."""
        retiring = [child for slot in self._slots for child in slot.retiring]
        for child in retiring:
            if child.end_by <= now:
                _log.error(
                    "%s (the former one) does not end; killed", self._business.named(child.index)
                )
                child.end_by = math.inf
                os.kill(child.pid, signal.SIGKILL)
        under_way = retiring or any(slot.is_outdated for slot in self._slots)
        if self._reload_wanted and not under_way and self._successor is None:
            self._reload()

    def _restart(self) -> None:
        """Start the program that is to take our place; until it serves we go on."""
        if self._successor is not None:
            _log.info("a successor is coming up already")
            return
        try:
            self._successor = self._business.succeed(self._living())
        except OSError as problem:
            self._fail(f"it could not be started: {problem.strerror or problem}")
            return
        _log.info("restarting: process %d is to take over", self._successor.pid)

    def _watch_successor(self) -> None:
        successor = self._successor
        if successor is None or (serves := successor.serves()) is None:
            return
        self._successor = None
        if serves:
            _log.info("process %d has taken over", successor.pid)
            self._business.succeeded(successor.pid)
            self._stop()
        else:
            self._fail(successor.end())

    def _fail(self, why: str) -> None:
        _log.error("the new program came to nothing (%s); this one goes on", why)
        self._business.not_succeeded(why)

    def _look(self, now: float) -> None:
        if now < self._next_watch:
            return
        self._next_watch = now + WATCH
        message = self._business.watch()
        if message is not None:
            line = json.dumps(message).encode() + b"\n"
            for child in self._living():
                if not child.tell(line):
                    _log.warning("%s did not hear", self._business.named(child.index))


def _pause(failures: int) -> float:
    """Return the seconds until the next try of one that failed so often at once."""
    return min(LONGEST_PAUSE, 0.1 * 2 ** min(failures, 10)) if failures else 0.0


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"exit status {os.waitstatus_to_exitcode(status)}"
