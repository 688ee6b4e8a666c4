"""Group commit: one writer thread that makes all waiting jobs durable together.

While one batch is synced the next one gathers by itself. A job that comes right behind a batch waits
a few milliseconds for company; one that comes to an idle store waits for nobody. A batch goes through
three phases: its contents are kept (outside any lock), its jobs are run and committed (under the lock
that processes share), and all its callers are told by one hand-over to the loop.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from gatepost.model.ids import SubmissionId
from gatepost.store.bell import Bell
from gatepost.store.envelope import Envelope
from gatepost.store.gathering import ENOUGH, GATHER, Gathering
from gatepost.store.keeper import Content, Keeper, Run
from gatepost.store.progress import Progress
from gatepost.store.protocols import NotLeasedError, StoreUnavailableError, Transaction

_log = logging.getLogger(__name__)

T = TypeVar("T")

#: Bounds of a batch: what waits behind it, and its time under the lock, must stay short.
MOST_JOBS: Final = 256
MOST_OCTETS: Final = 16 * 2**20
#: Seconds after which a caller is told that the store is away.
DEADLINE: Final = 30.0
#: Seconds that a commit may take once its job is begun, locks included.
MARGIN: Final = 1.0
_SWEEP: Final = 1.0
#: More jobs than ever wait.
_NEVER: Final = 2**62


@dataclass(slots=True, eq=False)
class _Job:
    """One call of `write` (or of `peek`: no transaction, `run` takes nothing)."""

    run: Callable[..., Any]
    content: Content | None
    future: asyncio.Future[Any]
    asked_at: float
    #: It is not begun later: who asked would have heard meanwhile that it was not written.
    begin_by: float
    octets: int = 0
    envelope: Envelope | None = None
    is_peek: bool = False
    #: Set by the writer thread when it begins, by the loop when the caller has given up waiting.
    taken: bool = False
    given_up: bool = False
    result: Any = None
    error: Exception | None = None


class GroupCommit:
    """The writer thread and its queue. Made and used on one event loop."""

    def __init__(
        self,
        keeper: Keeper,
        *,
        name: str = "store",
        deadline: float = DEADLINE,
        margin: float = MARGIN,
        gather: float = GATHER,
        progress: Progress | None = None,
    ) -> None:
        """`deadline` is when a caller is told that the store is away; what is not begun `margin`
        before it is not begun at all. Both in seconds. `progress` is that of the keeper, if it
        notes any.
        """
        self._keeper = keeper
        self._progress = progress or Progress()
        self._deadline = deadline
        self._margin = margin
        self._gathering = Gathering(gather)
        self._loop = asyncio.get_running_loop()
        self._jobs: deque[_Job | None] = deque()
        #: Rung for a writer that waits when so many jobs have come. While a batch is written and the
        #: next one gathers, a job costs no system call and takes the interpreter from nobody.
        self._bell = Bell()
        self._ring_at = _NEVER
        self._waiting: deque[_Job] = deque()
        self._sweeper: asyncio.TimerHandle | None = None
        self._ended = self._loop.create_future()
        #: The writer sits on a batch whose callers have given up: who comes now need not wait, too.
        self.is_stuck = False
        self._closing = False
        self._writer = threading.Thread(target=self._work, name=f"{name}-writer", daemon=True)
        self._writer.start()

    def write(
        self, run: Run, content: Content | None = None, envelope: Envelope | None = None
    ) -> asyncio.Future[Any]:
        """Hand a job in; the future ends when it is durable or has failed."""
        octets = 0 if content is None else sum(map(len, content[1]))
        return self._put(self._job(run, content, octets, envelope))

    def peek(self, run: Callable[[], T]) -> asyncio.Future[T]:
        """Run a function between two batches, outside any transaction, where they are written."""
        job = self._job(run, None)
        job.is_peek = True
        return self._put(job)

    def gets_on(self) -> bool:
        """Tell whether what was handed in gets on, or waits for the world; to be asked about once a
        second.
        """
        rests = not self._waiting and not self.is_stuck
        return rests or self._progress.made([self._writer])

    async def close(self) -> None:
        """Finish what was handed in, then end the thread."""
        if not self._closing:
            self._closing = True
            self._jobs.append(None)
            self._bell.ring()
        await asyncio.shield(self._ended)
        if self._sweeper is not None:
            self._sweeper.cancel()

    def _job(
        self,
        run: Callable[..., Any],
        content: Content | None,
        octets: int = 0,
        envelope: Envelope | None = None,
    ) -> _Job:
        now = time.monotonic()
        begin_by = now + self._deadline - self._margin
        return _Job(run, content, self._loop.create_future(), now, begin_by, octets, envelope)

    def _put(self, job: _Job) -> asyncio.Future[Any]:
        if self._closing:
            job.future.set_exception(StoreUnavailableError("the store is closed"))
            return job.future
        if self.is_stuck:
            job.future.set_exception(StoreUnavailableError("the writer does not get on"))
            return job.future
        self._waiting.append(job)
        self._jobs.append(job)
        if len(self._jobs) >= self._ring_at:
            self._ring_at = _NEVER
            self._bell.ring()
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(_SWEEP, self._sweep)
        return job.future

    # -- on the loop
    def _hand_back(self, jobs: Sequence[_Job]) -> None:
        self.is_stuck = False
        for job in jobs:
            if job.future.done():
                continue
            if job.error is None:
                job.future.set_result(job.result)
            else:
                job.future.set_exception(job.error)
        waiting = self._waiting
        while waiting and waiting[0].future.done():
            waiting.popleft()

    def _sweep(self) -> None:
        """Fail jobs that have waited too long: a neighbour may sit on the lock, a disk may hang."""
        self._sweeper = None
        oldest = time.monotonic() - self._deadline
        while self._waiting and (
            self._waiting[0].future.done() or self._waiting[0].asked_at < oldest
        ):
            job = self._waiting.popleft()
            if job.future.done():
                continue
            job.given_up = self.is_stuck = True
            words = "while it was written" if job.taken else "before it was written"
            msg = f"no answer within {self._deadline:g} s, {words}"
            _log.error("store: %s", msg)
            job.future.set_exception(StoreUnavailableError(msg))
        if self._waiting:
            self._sweeper = self._loop.call_later(_SWEEP, self._sweep)

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    # -- in the writer thread
    def _work(self) -> None:
        going_on = True
        while going_on:
            batch, going_on = self._next_batch()
            self._carry_out(batch)
            self._gathering.batch_ended()
            if self._keeper.sync_within() == 0:
                self._sync()
        self._sync()
        self._keeper.close()
        self._tell(self._end)

    def _tell(self, what: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(what, *arguments)
        except RuntimeError:
            _log.debug("store: the loop ended before its jobs")

    def _next_batch(self) -> tuple[list[_Job], bool]:
        """Return what waits, at least one job; False with it when it is the last."""
        self._gather()
        batch: list[_Job] = []
        octets = 0
        while self._jobs:
            job = self._jobs.popleft()
            if job is None:
                return batch, False
            batch.append(job)
            octets += job.octets
            if len(batch) >= MOST_JOBS or octets >= MOST_OCTETS:
                break
        return batch, True

    def _gather(self) -> None:
        """Wait for the first job, and where one has come already for company.

        The order matters: who hands one in looks at `_ring_at` after it has added it, so that either
        side sees the other; a ring too many only makes us look.
        """
        gathering = self._gathering
        while not self._closing and (pause := gathering.first()) > 0:
            self._bell.wait(pause)  # `close` rings it, too
        while not self._jobs:
            self._ring_at = 1
            if not self._jobs:
                self._wait_for_one()
        self._ring_at = ENOUGH
        while not self._closing and (pause := gathering.longer(len(self._jobs))) > 0:
            self._bell.wait(pause)
        self._ring_at = _NEVER

    def _wait_for_one(self) -> None:
        """Wait for the bell; what was committed without a sync is synced meanwhile."""
        if not self._bell.wait(self._keeper.sync_within()):
            self._sync()

    def _sync(self) -> None:
        try:
            self._keeper.sync()
        except StoreUnavailableError as trouble:
            _log.warning("store: what is committed could not be synced: %s", trouble)

    def _carry_out(self, batch: list[_Job]) -> None:
        try:
            self._commit_batch(batch)
        except Exception as error:  # noqa: BLE001 - the top of the thread: it never dies
            _log.exception("store: the writer failed")
            unforeseen = StoreUnavailableError(f"the writer failed: {error!r}")
            _fail((job for job in batch if job.error is None), unforeseen)
        self._progress.step()
        self._tell(self._hand_back, batch)

    def _commit_batch(self, batch: list[_Job]) -> None:
        _look(batch)
        jobs = [job for job in batch if not job.is_peek and not job.given_up]
        contents = [job.content for job in jobs if job.content is not None]
        envelopes = [job.envelope for job in jobs if job.content is not None]
        places: Mapping[SubmissionId, Any] = {}
        if contents:
            try:
                places = self._keeper.keep(contents, envelopes)
            except StoreUnavailableError as error:
                # What brings no content may still be written: settling frees room.
                _fail((job for job in jobs if job.content is not None), error)
                jobs = [job for job in jobs if job.content is None]
        if taken := _take(jobs):
            try:
                self._commit(taken, places, is_logged=all(map(_is_logged, taken)))
            except NotLeasedError as error:
                self._commit_singly(taken, places, error)
            except StoreUnavailableError as error:
                _fail(taken, error)
            except Exception as error:  # noqa: BLE001 - a job is foreign code
                self._commit_singly(taken, places, error)
        if places and any(job.error is not None for job in jobs if job.content is not None):
            self._disown()

    def _disown(self) -> None:
        try:
            self._keeper.disown()
        except StoreUnavailableError as trouble:
            _log.warning("store: what was not accepted may come back: %s", trouble)

    def _commit_singly(
        self, jobs: Sequence[_Job], places: Mapping[SubmissionId, Any], error: Exception
    ) -> None:
        """One of them raised and nothing was written: let each stand for itself, and be synced: each
        commit tells of all contents of the batch.
        """
        if len(jobs) == 1:
            _fail(jobs, error)
            return
        for job in jobs:
            if _is_late(job):
                continue
            try:
                self._commit([job], places, is_logged=False)
            except Exception as own:  # noqa: BLE001 - a job is foreign code
                _fail([job], own)

    def _commit(
        self, jobs: Sequence[_Job], places: Mapping[SubmissionId, Any], *, is_logged: bool
    ) -> None:
        runs = [partial(self._run, job) for job in jobs]
        results = self._keeper.commit(runs, places, is_logged=is_logged)
        for job, result in zip(jobs, results, strict=True):
            job.result = result
        if late := [number for number, job in enumerate(jobs) if job.given_up]:
            self._keeper.forsake(late)

    def _run(self, job: _Job, transaction: Transaction) -> object:
        """Run a job, under whatever lock the keeper has waited for meanwhile, in each of its tries."""
        self._progress.step()
        return None if _is_late(job) else job.run(transaction)


def _is_logged(job: _Job) -> bool:
    return job.envelope is not None and job.envelope.suffices


def _is_late(job: _Job) -> bool:
    """Tell whether a job must not be begun: its caller has heard that it was not written, or would
    hear it before it is. Clients who are told so send again.
    """
    if not job.given_up and time.monotonic() < job.begin_by:
        return False
    job.error = StoreUnavailableError("it was too late to be begun")
    return True


def _look(batch: list[_Job]) -> None:
    for job in batch:
        if job.is_peek:
            try:
                job.result = job.run()
            except Exception as error:  # noqa: BLE001 - handed to the caller
                job.error = error


def _take(jobs: Sequence[_Job]) -> list[_Job]:
    taken = []
    for job in jobs:
        job.taken = True
        # In this order: the loop sets given_up first and looks at taken for its words only.
        if not _is_late(job):
            taken.append(job)
    return taken


def _fail(jobs: Iterable[_Job], error: Exception) -> None:
    for job in jobs:
        job.error = error
