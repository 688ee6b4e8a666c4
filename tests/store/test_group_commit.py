"""Group commit: batches, bad jobs, trouble, deadlines."""

import asyncio
import threading
import time
from collections.abc import Mapping

import pytest

from gatepost.model.ids import SubmissionId
from gatepost.store import group_commit
from gatepost.store.envelope import Envelope
from gatepost.store.gathering import ENOUGH
from gatepost.store.group_commit import GroupCommit
from gatepost.store.protocols import DiskFullError, StoreUnavailableError
from gatepost.store.segments import Place
from tests.store.makers import submission


class FakeKeeper:
    """Keeps in memory what a commit would; waits where a test wants it to."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.kept: list[int] = []
        self.trouble: Exception | None = None
        self.full = False
        self.forsaken: list[int] = []
        self.free = threading.Event()
        self.free.set()
        #: Set while a batch is on its way: what comes now is in the next one.
        self.busy = threading.Event()
        self.closed = False
        self.disowned = 0
        self.syncs = 0
        self.patience: float | None = None
        self.logged: list[bool] = []

    def keep(self, contents, envelopes) -> Mapping[SubmissionId, Place]:
        if self.full:
            raise DiskFullError("full")
        self.kept.append(len(contents))
        return {name: Place("s", 0, 0, 0) for name, _ in contents}

    def commit(self, runs, places, *, is_logged=False):
        self.busy.set()
        self.free.wait()
        if self.trouble is not None:
            raise self.trouble
        self.batches.append(len(runs))
        self.logged.append(is_logged)
        return [run(places) for run in runs]

    def disown(self) -> None:
        self.disowned += 1

    def sync(self) -> None:
        self.syncs += 1
        self.patience = None

    def sync_within(self) -> float | None:
        return self.patience

    def forsake(self, late) -> None:
        self.forsaken += late

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def keeper() -> FakeKeeper:
    return FakeKeeper()


@pytest.fixture
async def commits(keeper):
    made = GroupCommit(keeper)
    yield made
    keeper.free.set()
    await made.close()
    assert keeper.closed


def content(name: str, octets: bytes = b"x"):
    return (SubmissionId(name), (octets,))


async def test_what_waits_is_committed_together(commits, keeper):
    keeper.free.clear()
    first = commits.write(lambda _: 0)
    while commits._jobs:
        await asyncio.sleep(0)
    rest = [commits.write(lambda _, n=n: n, content(str(n))) for n in range(1, 50)]
    keeper.free.set()
    assert await asyncio.gather(first, *rest) == list(range(50))
    assert sum(keeper.batches) == 50
    assert len(keeper.batches) <= 3


class Behind:
    """A gathering that lets the first batch begin at once, and the next one when it is told."""

    def __init__(self) -> None:
        self.batches = 0
        self.is_over = False

    def first(self) -> float:
        return 0.01 if self.batches and not self.is_over else 0.0

    def longer(self, waiting: int) -> float:
        return 0.0

    def batch_ended(self) -> None:
        self.batches += 1


async def test_behind_a_batch_jobs_gather_and_share_the_next_one(keeper):
    made = GroupCommit(keeper)
    made._gathering = gathering = Behind()
    await made.write(lambda _: None)
    one = made.write(lambda _: None)
    two = made.write(lambda _: None)
    gathering.is_over = True
    await asyncio.gather(one, two)
    assert keeper.batches == [1, 2]
    await made.close()


async def test_a_writer_that_stands_still_while_jobs_wait_does_not_get_on(commits, keeper):
    assert all(commits.gets_on() for _ in range(100))
    keeper.free.clear()
    job = commits.write(lambda _: None)
    async with asyncio.timeout(30):
        while any(commits.gets_on() for _ in range(100)):
            await asyncio.sleep(0)
    keeper.free.set()
    await job
    assert all(commits.gets_on() for _ in range(100))


async def test_an_idle_store_waits_for_nobody(keeper):
    made = GroupCommit(keeper, gather=60)
    async with asyncio.timeout(30):
        await made.write(lambda _: None)
        await made.close()


class Patient:
    """A gathering that waits for company until it is killed."""

    def first(self) -> float:
        return 0.0

    def longer(self, waiting: int) -> float:
        return 60.0 if 0 < waiting < ENOUGH else 0.0

    def batch_ended(self) -> None:
        pass


async def test_company_enough_ends_the_wait(keeper):
    made = GroupCommit(keeper)
    made._gathering = Patient()
    async with asyncio.timeout(30):
        await asyncio.gather(*(made.write(lambda _: None) for _ in range(ENOUGH)))
    assert keeper.batches[-1] > 1
    await made.close()


async def test_closing_ends_the_wait_for_company(keeper):
    made = GroupCommit(keeper)
    made._gathering = Patient()
    job = made.write(lambda _: 7)
    async with asyncio.timeout(30):
        await made.close()
    assert await job == 7


async def test_results_come_back_on_the_loop(commits):
    thread = await commits.write(lambda _: threading.current_thread())
    assert thread is not threading.current_thread()
    assert asyncio.get_running_loop() is not None


async def test_only_the_guilty_job_fails(commits, keeper):
    def bad(_):
        raise LookupError("mine")

    jobs = [commits.write(lambda _, n=n: n) for n in range(3)]
    jobs.insert(1, commits.write(bad))
    results = await asyncio.gather(*jobs, return_exceptions=True)
    assert [str(result) for result in results] == ["0", "mine", "1", "2"]


async def test_trouble_of_the_store_fails_all_and_passes(commits, keeper):
    keeper.trouble = StoreUnavailableError("away")
    jobs = [commits.write(lambda _: 1) for _ in range(3)]
    results = await asyncio.gather(*jobs, return_exceptions=True)
    assert {type(result) for result in results} == {StoreUnavailableError}
    keeper.trouble = None
    assert await commits.write(lambda _: 1) == 1


async def test_a_full_disk_fails_what_brings_content_only(commits, keeper):
    keeper.full = True
    keeper.free.clear()
    first = commits.write(lambda _: 0)
    jobs = [commits.write(lambda _: 1, content("a")), commits.write(lambda _: 2)]
    keeper.free.set()
    results = await asyncio.gather(first, *jobs, return_exceptions=True)
    assert (results[0], type(results[1]), results[2]) == (0, DiskFullError, 2)


async def test_the_writer_survives_what_nobody_foresaw(commits, keeper, monkeypatch):
    def broken(contents, envelopes):
        raise ZeroDivisionError

    monkeypatch.setattr(keeper, "keep", broken)
    with pytest.raises(StoreUnavailableError, match="ZeroDivisionError"):
        await commits.write(lambda _: 1, content("a"))
    assert await commits.write(lambda _: 1) == 1


async def test_nobody_waits_for_ever(keeper, monkeypatch):
    commits = GroupCommit(keeper, deadline=1.0, margin=0.0)
    monkeypatch.setattr(group_commit, "_SWEEP", 0.01)
    ran = []
    keeper.free.clear()
    first = commits.write(lambda _: ran.append("first"))
    while not keeper.busy.is_set():
        await asyncio.sleep(0)
    second = commits.write(lambda _: ran.append("second"))
    with pytest.raises(StoreUnavailableError, match="while it was written"):
        await first
    with pytest.raises(StoreUnavailableError, match="before it was written"):
        await second
    # Who comes now hears it at once, until the writer gets on.
    with pytest.raises(StoreUnavailableError, match="does not get on"):
        await commits.write(lambda _: ran.append("fourth"))
    keeper.free.set()
    async with asyncio.timeout(30):
        while commits.is_stuck:
            await asyncio.sleep(0.01)
    await commits.close()
    # What its callers were told is not written was not: neither what waited, nor what waited for a lock.
    assert ran == []


async def test_what_waits_for_a_lock_too_long_is_not_begun(keeper):
    """Its caller would hear that it was not written, and then it would be."""
    commits = GroupCommit(keeper, deadline=30.0, margin=29.5)
    ran = []
    keeper.free.clear()
    jobs = [commits.write(lambda _: ran.append("late")) for _ in range(3)]
    while time.monotonic() < commits._waiting[-1].begin_by:
        await asyncio.sleep(0.01)
    keeper.free.set()
    results = await asyncio.gather(*jobs, return_exceptions=True)
    assert {str(result) for result in results} == {"it was too late to be begun"}
    await commits.close()
    assert ran == []


async def test_each_for_itself_asks_anew_whether_somebody_still_waits(keeper, monkeypatch):
    """Others got in the way of the batch; then each of them takes its time."""
    monkeypatch.setattr(group_commit, "_SWEEP", 0.01)
    commits = GroupCommit(keeper, deadline=0.5, margin=0.0)
    alone = []

    def commit(runs, places, *, is_logged):
        if len(runs) > 1:
            raise LookupError("others got in the way")
        alone.append(runs)
        keeper.free.wait()
        return [run(None) for run in runs]

    monkeypatch.setattr(keeper, "commit", commit)
    ran = []
    gate = threading.Event()
    first = commits.peek(gate.wait)
    jobs = [commits.write(lambda _, n=n: ran.append(n)) for n in range(20)]
    keeper.free.clear()
    gate.set()
    _, *results = await asyncio.gather(first, *jobs, return_exceptions=True)
    keeper.free.set()
    await commits.close()
    assert {type(result) for result in results} == {StoreUnavailableError}
    assert ran == []
    assert len(alone) <= 1


async def test_a_peek_runs_in_the_writer_outside_of_commits(commits, keeper):
    assert await commits.peek(lambda: 7) == 7
    assert keeper.batches == []

    def bad():
        raise LookupError

    with pytest.raises(LookupError):
        await commits.peek(bad)


async def test_batches_are_bounded(commits, keeper, monkeypatch):
    monkeypatch.setattr(group_commit, "MOST_JOBS", 10)
    monkeypatch.setattr(group_commit, "MOST_OCTETS", 1000)
    keeper.free.clear()
    jobs = [commits.write(lambda _: 1) for _ in range(25)]
    jobs += [commits.write(lambda _: 1, content(str(n), b"x" * 600)) for n in range(4)]
    keeper.free.set()
    await asyncio.gather(*jobs)
    assert max(keeper.batches) <= 10
    assert max(keeper.kept) <= 2


async def test_a_caller_that_went_away_troubles_nobody(commits, keeper):
    keeper.free.clear()
    gone = commits.write(lambda _: 1)
    stays = commits.write(lambda _: 2)
    gone.cancel()
    keeper.free.set()
    assert await stays == 2


async def test_after_closing_writes_are_refused(keeper):
    commits = GroupCommit(keeper)
    last = commits.write(lambda _: 1)
    await commits.close()
    assert await last == 1
    with pytest.raises(StoreUnavailableError):
        await commits.write(lambda _: 2)


async def until(condition) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


async def test_a_batch_whose_contents_fail_does_not_hold_up_the_next(commits, keeper, monkeypatch):
    keep = keeper.keep

    def fail_once(contents, envelopes):
        monkeypatch.setattr(keeper, "keep", keep)
        raise DiskFullError("full")

    monkeypatch.setattr(keeper, "keep", fail_once)
    first = commits.write(lambda _: 1, content("a"))
    await until(lambda: keeper.keep == keep)
    second = commits.write(lambda _: 2, content("b"))
    assert await second == 2
    with pytest.raises(DiskFullError):
        await first


def logged(*, suffices: bool) -> tuple[tuple[str, tuple[bytes, ...]], Envelope]:
    message = submission()
    return (message.id, (b"x",)), Envelope(message, (), suffices=suffices)


async def test_only_a_batch_of_which_all_stands_beside_its_contents_needs_no_sync(commits, keeper):
    await commits.write(lambda _: None, *logged(suffices=True))
    await commits.write(lambda _: None, *logged(suffices=False))
    await commits.write(lambda _: None)
    keeper.free.clear()
    keeper.busy.clear()
    first = commits.write(lambda _: None)
    await asyncio.to_thread(keeper.busy.wait)
    both = [commits.write(lambda _: None, *logged(suffices=True)), commits.write(lambda _: None)]
    keeper.free.set()
    await asyncio.gather(first, *both)
    assert keeper.logged == [True, False, False, False, False]
    assert keeper.batches[-1] == 2


async def test_what_is_committed_is_synced_though_nobody_comes(commits, keeper):
    keeper.patience = 0.0
    await commits.write(lambda _: None)
    async with asyncio.timeout(30):
        while not keeper.syncs:
            await asyncio.sleep(0.001)


async def test_contents_of_jobs_that_failed_are_disowned(commits, keeper):
    def fails(_):
        raise ZeroDivisionError

    await commits.write(lambda _: None, *logged(suffices=True))
    assert keeper.disowned == 0
    with pytest.raises(ZeroDivisionError):
        await commits.write(fails, *logged(suffices=True))
    with pytest.raises(ZeroDivisionError):
        await commits.write(fails)
    assert keeper.disowned == 1
    keeper.trouble = StoreUnavailableError("away")
    with pytest.raises(StoreUnavailableError):
        await commits.write(lambda _: None, *logged(suffices=True))
    assert keeper.disowned == 2
