"""Who hangs, by signs of life."""

import asyncio
import socket

import pytest

from gatepost.net.counters import Counters
from gatepost.node import watchdog
from gatepost.node.child import Child
from gatepost.node.watchdog import HUNG, Life, Watchdog


class Node:
    """Two workers, and a clock."""

    def __init__(self) -> None:
        self.ticks = {1: 1, 2: 1}
        pipe = socket.socketpair()[0]
        self.children = [Child(n, 100 + n, pipe, n, n, 0.0) for n in self.ticks]
        self.dog = Watchdog(lambda child: self.ticks[child.birth])
        self.now = 1000.0

    def turn(
        self, seconds: float, *, every: float = 0.5, living: tuple[int, ...] = ()
    ) -> list[int]:
        """Look again and again for so long; return who hung meanwhile."""
        hung = []
        end = self.now + seconds
        while self.now < end:
            self.now += every
            for one in living:
                self.ticks[one] += 1
            hung += [child.birth for child in self.dog.hung(self.children, self.now)]
        return hung


@pytest.fixture
def node() -> Node:
    return Node()


def test_who_is_silent_hangs_and_who_ticks_does_not(node) -> None:
    assert node.turn(HUNG - 1, living=(1,)) == []
    assert node.turn(2, living=(1,)) == [2]


def test_who_does_not_die_of_it_is_told_of_again_much_later(node) -> None:
    assert node.turn(2 * HUNG + 2, living=(1,)) == [2, 2]


def test_a_sign_after_a_long_silence_counts(node) -> None:
    assert node.turn(HUNG - 1) == []
    assert node.turn(1, living=(1, 2)) == []
    assert node.turn(HUNG - 2) == []


def test_who_has_not_begun_is_left_alone(node) -> None:
    node.ticks[2] = 0
    assert node.turn(3 * HUNG, living=(1,)) == []
    node.ticks[2] = 1
    assert node.turn(HUNG + 1, living=(1,)) == [2]


def test_after_the_machine_slept_nobody_hangs(node) -> None:
    assert node.turn(5) == []
    node.now += 8 * 3600
    assert node.turn(1) == []
    assert node.turn(5, living=(1, 2)) == []


def test_a_watcher_that_seldom_gets_its_turn_kills_nobody_the_sooner(node) -> None:
    assert node.turn(HUNG * 4, every=10.0) == []


def test_another_in_its_place_begins_anew(node) -> None:
    assert node.turn(HUNG - 1) == []
    node.children = [Child(1, 103, node.children[0].pipe, 1, 3, 0.0)]
    node.ticks[3] = node.ticks[1]
    assert node.turn(HUNG - 1) == []


async def test_a_loop_that_turns_says_so(monkeypatch) -> None:
    monkeypatch.setattr(watchdog, "_TICK", 0.001)
    counters = Counters.create(2)
    assert counters.tick_of(1) == 0
    Life(counters.worker(1))
    async with asyncio.timeout(30):
        while counters.tick_of(1) < 5:
            await asyncio.sleep(0.001)
    assert counters.tick_of(0) == 0


async def test_a_loop_that_turns_says_nothing_while_what_it_heeds_stands_still(monkeypatch) -> None:
    monkeypatch.setattr(watchdog, "_TICK", 0.001)
    counters = Counters.create(1)
    answers = iter([True, False, False, True])
    asked = asyncio.Event()

    def gets_on() -> bool:
        answer = next(answers, None)
        if answer is None:
            asked.set()
        return bool(answer)

    life = Life(counters.worker(0))
    before = counters.tick_of(0)
    life.heed(gets_on)
    async with asyncio.timeout(30):
        await asked.wait()
    assert counters.tick_of(0) == before + 2
