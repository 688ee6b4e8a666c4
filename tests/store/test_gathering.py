"""How long a batch gathers: by turned clocks, without a thread."""

import pytest

from gatepost.store.gathering import ENOUGH, GATHER, LONGER, Gathering


class Clock:
    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def after_batches(*, share: float) -> tuple[Gathering, Clock]:
    """Return a gathering after enough batches of a process that uses `share` of a core."""
    wall, spent = Clock(), Clock()
    gathering = Gathering(GATHER, wall, spent)
    for _ in range(50):
        wall.at += 0.01
        spent.at += 0.01 * share
        gathering.batch_ended()
    return gathering, wall


def test_the_first_job_of_all_waits_for_nobody():
    assert Gathering(GATHER, Clock(), Clock()).first() <= 0


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_behind_a_batch_everybody_waits_a_little(share):
    gathering, wall = after_batches(share=share)
    assert gathering.first() == pytest.approx(GATHER)
    wall.at += GATHER
    assert gathering.first() <= 1e-9


@pytest.mark.parametrize(
    ("share", "waiting", "goes_on"),
    [
        (0.9, 1, True),
        (0.9, ENOUGH - 1, True),
        (0.9, ENOUGH, False),
        (0.9, 0, False),
        (0.1, 1, False),  # nothing is saved by letting somebody wait
    ],
)
def test_a_busy_process_waits_longer_for_company(share, waiting, goes_on):
    gathering, wall = after_batches(share=share)
    wall.at += GATHER
    assert (gathering.longer(waiting) > 0) is goes_on


def test_and_never_longer_than_fivefold():
    gathering, wall = after_batches(share=0.9)
    wall.at += GATHER
    assert gathering.longer(1) == pytest.approx(GATHER * (LONGER - 1))
    wall.at += GATHER * (LONGER - 1)
    assert gathering.longer(1) <= 1e-9


def test_a_clock_that_stands_still_is_no_trouble():
    gathering = Gathering(GATHER, Clock(), Clock())
    gathering.batch_ended()
    assert gathering.longer(1) == 0
