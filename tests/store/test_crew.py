"""Batches on their way at once: alone here, else in threads, with their turns in order."""

import threading

import pytest

from gatepost.store.crew import MOST, Crew, Turn

PATIENCE = 30


class World:
    """Runs batches (numbers): each waits, before its turn, until the test lets it."""

    def __init__(self) -> None:
        self.gates: dict[int, threading.Event] = {}
        self.begun: list[int] = []
        self.turns: list[int] = []
        self.ended: list[int] = []
        self.threads: dict[int, str] = {}
        self.faulty: set[int] = set()
        self.changed = threading.Condition()

    def hold(self, *batches: int) -> None:
        self.gates.update({batch: threading.Event() for batch in batches})

    def run(self, batch: int, turn: Turn) -> None:
        self._note(self.begun, batch)
        self.threads[batch] = threading.current_thread().name
        if batch in self.gates:
            assert self.gates[batch].wait(PATIENCE)
        if batch not in self.faulty:
            with turn:
                self._note(self.turns, batch)
        self._note(self.ended, batch)

    def _note(self, where: list[int], batch: int) -> None:
        with self.changed:
            where.append(batch)
            self.changed.notify_all()

    def wait_for(self, condition) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE)


@pytest.fixture
def world() -> World:
    return World()


def test_alone_they_run_here_and_no_thread_is_begun(world):
    crew = Crew(world.run, "crew")
    for batch in (1, 2):
        crew.put(batch, alone=True)
        assert crew.is_idle
    assert crew.threads == []
    crew.close()
    assert world.turns == [1, 2]
    assert set(world.threads.values()) == {threading.current_thread().name}


def test_several_are_on_their_way_and_take_their_turns_in_order(world):
    world.hold(1, 2)
    crew = Crew(world.run, "crew")
    for batch in (1, 2, 3):
        crew.put(batch, alone=False)
    world.wait_for(lambda: len(world.begun) == 3)
    assert not crew.is_idle
    world.gates[2].set()
    assert world.turns == []
    world.gates[1].set()
    crew.close()
    assert world.turns == [1, 2, 3]
    assert crew.is_idle


def test_no_more_than_some_are_on_their_way(world):
    world.hold(*range(MOST))
    crew = Crew(world.run, "crew")
    for batch in range(MOST):
        crew.put(batch, alone=False)
    more = threading.Thread(target=lambda: crew.put(MOST, alone=False))
    more.start()
    world.wait_for(lambda: len(world.begun) == MOST)
    assert MOST not in world.begun
    for gate in world.gates.values():
        gate.set()
    more.join(PATIENCE)
    crew.close()
    assert sorted(world.ended) == list(range(MOST + 1))


def test_one_that_never_takes_its_turn_holds_nobody_up_and_lets_nobody_pass(world):
    world.hold(1)
    world.faulty = {2}
    crew = Crew(world.run, "crew")
    for batch in (1, 2, 3):
        crew.put(batch, alone=False)
    world.wait_for(lambda: 2 in world.ended and 3 in world.begun)
    assert world.turns == []
    world.gates[1].set()
    crew.close()
    assert world.turns == [1, 3]


def test_who_shall_be_alone_is_not_while_others_are_on_their_way(world):
    world.hold(1)
    crew = Crew(world.run, "crew")
    crew.put(1, alone=False)
    crew.put(2, alone=True)
    world.gates[1].set()
    crew.close()
    assert world.turns == [1, 2]
    assert world.threads[2] != threading.current_thread().name


def test_at_the_close_all_have_ended(world):
    crew = Crew(world.run, "crew")
    for batch in range(100):
        crew.put(batch, alone=False)
    crew.close()
    assert world.turns == list(range(100))
    assert sorted(world.ended) == list(range(100))


def test_without_threads_to_be_had_they_run_here(world, monkeypatch):
    def none(_):
        raise RuntimeError("can't start new thread")

    crew = Crew(world.run, "crew")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none)
        crew.put(1, alone=False)
    crew.put(2, alone=False)
    crew.close()
    assert world.turns == [1, 2]
    assert world.threads[1] == threading.current_thread().name != world.threads[2]
