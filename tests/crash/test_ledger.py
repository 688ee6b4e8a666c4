"""The judge of the crash tests is held to a table of its own: it must see a loss."""

import pytest

from tests.crash.ledger import Arrivals, Copy, Kill, explains, judge
from tests.crash.load import Sent


def copy(at=10.0, *, name="m1", submission="s1", answer="kept", whole=True, session="1/1"):
    return Copy(at, session, name, submission, answer, whole)


@pytest.mark.parametrize(
    ("one", "end", "kills", "excused"),
    [
        (copy(), "quit", [Kill("worker", 10.1)], True),
        (copy(), "quit", [Kill("worker", 9.9)], False),
        (copy(), "quit", [Kill("worker", 13.0)], False),
        (copy(), "lost", [Kill("worker", 10.1)], True),
        (copy(), "lost", [Kill("node", 10.1)], True),
        (copy(), "lost", [Kill("worker", 9.9)], True),
        (copy(), "lost", [Kill("worker", 7.0)], False),
        (copy(), "lost", [Kill("worker", 13.0)], False),
        (copy(), "lost", [Kill("sink", 10.1)], False),
        (copy(), "killed", [Kill("sink", 10.1)], True),
        (copy(), "killed", [Kill("worker", 10.1)], False),
        (copy(), "lost", [], False),
        (copy(answer="dropped"), "dropped", [], True),
    ],
)
def test_only_a_kill_or_a_dropped_reply_excuses_a_second_copy(one, end, kills, excused):
    assert explains(one, end, kills) is excused


@pytest.mark.parametrize(
    ("sent", "copies", "fault"),
    [
        (Sent("m1", submissions=["s1"]), [copy()], None),
        (Sent("m1", submissions=["s1"]), [], "lost"),
        (Sent("m1", unanswered=1, submissions=["s1"]), [copy(submission="s0")], "lost"),
        (Sent("m1", unanswered=1, submissions=["s1"]), [copy(submission="s0"), copy()], None),
        (Sent("m1", cut=1, submissions=["s1"]), [copy(submission="s0"), copy()], "accepted 2"),
        (Sent("m1", submissions=["s1"]), [copy(), copy(11.0)], "twice"),
        (Sent("m1", submissions=["s1"]), [copy(answer="dropped"), copy(11.0)], None),
        (Sent("m1", submissions=["s1"]), [copy(whole=False)], "not what was sent"),
        (Sent("m1", submissions=["s1"]), [copy(), copy(name="m2")], "never sent"),
    ],
)
def test_loss_damage_and_uncaused_duplicates_are_faults(sent, copies, fault):
    found = judge([sent], Arrivals(copies, {"1/1": "quit"}, 0))
    assert [fault in words for words in found.faults] == ([True] if fault else [])
