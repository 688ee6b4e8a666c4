"""Who gets on, and who stands still for ever, by what the kernel says of threads."""

import fcntl
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gatepost.store import progress
from gatepost.store.progress import Progress
from tests.support.node import wait_until

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="proc(5): Linux")

#: Questions after which a thread that did not get on in all that time is taken to stand still.
OFTEN = 50


class Waiters:
    """Threads that wait for something that comes when the test ends."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "lock"
        self._mine = os.open(self._path, os.O_RDWR | os.O_CREAT)
        fcntl.flock(self._mine, fcntl.LOCK_EX)
        self._lock = threading.Lock()
        self._lock.acquire()
        self._pipe = os.pipe()
        self._is_over = False
        self._threads: list[threading.Thread] = []

    def lock(self) -> None:
        """A lock of this process."""
        self._lock.acquire()
        self._lock.release()

    def file(self) -> None:
        """A lock that others may have, too."""
        theirs = os.open(self._path, os.O_RDWR)
        fcntl.flock(theirs, fcntl.LOCK_EX)
        os.close(theirs)

    def octets(self) -> None:
        """A server."""
        os.read(self._pipe[0], 1)

    def circle(self) -> None:
        """Nothing."""
        while not self._is_over:
            pass

    def dead(self) -> None:
        """Nothing, any more."""

    def start(self, what: str) -> threading.Thread:
        thread = threading.Thread(target=getattr(self, what), name=what)
        thread.start()
        self._threads.append(thread)
        if what == "dead":
            thread.join()
        return thread

    def end(self) -> None:
        self._is_over = True
        self._lock.release()
        os.close(self._mine)
        os.write(self._pipe[1], b"x" * len(self._threads))
        for thread in self._threads:
            thread.join()
        for each in self._pipe:
            os.close(each)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], threading.Thread]]:
    waiters = Waiters(tmp_path)
    yield waiters.start
    waiters.end()


@pytest.mark.parametrize("what", ["lock", "circle", "dead"])
def test_what_never_ends_by_itself_is_seen(start, what: str) -> None:
    made, threads = Progress(), [start(what)]
    wait_until(
        lambda: not any(made.made(threads) for _ in range(OFTEN)), f"it stands still: {what}"
    )


@pytest.mark.parametrize("what", ["file", "octets"])
def test_what_the_world_keeps_waiting_gets_on(start, what: str) -> None:
    made, threads = Progress(), [start(what)]
    wait_until(lambda: all(made.made(threads) for _ in range(OFTEN)), f"it waits for a {what}")


def test_who_waits_for_somebody_who_waits_for_the_world_gets_on(start) -> None:
    made, threads = Progress(), [start("lock"), start("octets")]
    wait_until(lambda: all(made.made(threads) for _ in range(OFTEN)), "one of them waits")


def test_a_step_is_progress_until_it_is_asked_again(start) -> None:
    made, threads = Progress(), [start("dead")]
    wait_until(lambda: not made.made(threads), "it stands still")
    assert made.step() is False
    assert made.made(threads)
    wait_until(lambda: not made.made(threads), "it stands still again")


def test_nobody_is_judged_where_the_kernel_says_nothing(start, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(progress, "_TASKS", tmp_path / "no such directory")
    assert Progress().made([start("lock")])


def test_a_thread_that_waits_for_a_disk_keeps_others_waiting(start, monkeypatch, tmp_path) -> None:
    lock = start("lock")
    tasks = tmp_path / "task"
    monkeypatch.setattr(progress, "_TASKS", tasks)
    (tasks / "1").mkdir(parents=True)
    mine = tasks / str(lock.native_id)
    mine.mkdir()
    (mine / "stat").write_text(f"{lock.native_id} (a (strange) name) S 1")
    (mine / "wchan").write_text("futex_wait_queue")
    made = Progress()
    for letter, gets_on in {"S": False, "D": True, "R": False}.items():
        (tasks / "1" / "stat").write_text(f"1 (gatepost) {letter} 1")
        assert made.made([lock]) is gets_on


def test_it_is_said_once_where_it_stands(start, caplog) -> None:
    made, threads = Progress(), [start("lock"), start("dead")]
    wait_until(lambda: not made.made(threads) and bool(caplog.records), "a line")
    for _ in range(OFTEN):
        made.made(threads)
    (said,) = [record.getMessage() for record in caplog.records]
    assert "self._lock.acquire()" in said
    assert "dead:\n  it is dead" in said
