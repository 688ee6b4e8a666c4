"""The bell of the store's writer: what rings is heard, and no wait with an end is endless."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gatepost.store.bell import Bell

SOURCE = Path(__file__).resolve().parents[2] / "src/gatepost"
PATIENCE = 60.0


@pytest.fixture
def bell() -> Bell:
    return Bell()


def in_time(job: Callable[[], None]) -> None:
    """Do a job that may never end, elsewhere."""
    thread = threading.Thread(target=job, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_ring_that_nobody_waits_for_is_kept_and_several_are_one(bell: Bell) -> None:
    assert not bell.wait(0)
    assert not bell.wait(-1)
    for _ in range(3):
        bell.ring()
    assert bell.wait(None)
    assert not bell.wait(0.001)


def test_a_wait_ends_however_short_it_is_and_whatever_rang_before(bell: Bell) -> None:
    heard = []

    def job() -> None:
        for _ in range(20_000):
            bell.ring()
            heard.append(bell.wait(1e-6))
            heard.append(bell.wait(1e-6))

    in_time(job)
    assert heard == [True, False] * 20_000


def test_what_was_done_before_a_ring_is_seen_behind_it(bell: Bell) -> None:
    done: list[int] = []

    def ring() -> None:
        for number in range(20_000):
            done.append(number)
            bell.ring()

    def listen() -> None:
        while len(done) < 40_000:
            bell.wait(None)

    ringers = [threading.Thread(target=ring) for _ in range(2)]
    listener = threading.Thread(target=listen, daemon=True)
    for thread in (listener, *ringers):
        thread.start()
    listener.join(PATIENCE)
    assert not listener.is_alive()


def test_a_ring_wakes_who_waits_for_long(bell: Bell) -> None:
    began = time.monotonic()
    timer = threading.Timer(0.01, bell.ring)
    timer.start()
    heard: list[bool] = []
    in_time(lambda: heard.append(bell.wait(2 * PATIENCE)))
    assert heard == [True]
    assert time.monotonic() - began < PATIENCE


def test_nobody_waits_at_a_simple_queue() -> None:
    """Its `get` with a timeout may wait for ever: see `store/bell.py`."""
    users = [file for file in SOURCE.rglob("*.py") if "SimpleQueue(" in file.read_text()]
    assert users == []
