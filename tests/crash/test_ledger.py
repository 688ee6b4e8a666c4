"""The judge of the crash tests is held to a table of its own: it must see a loss."""

import pytest

from tests.crash.ledger import Arrivals, Copy, Kill, Outcome, explains, judge
from tests.crash.load import Order, Sent


def copy(at=10.0, *, name="m1", submission="s1", answer="kept", whole=True, session="1/1"):
    return Copy(at, session, name, submission, answer, whole, [f"{name}.0@next.test"], wall=at)


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
        (copy(), "quit", [Kill("cut", 5.0, 6.0)], True),
        (copy(), "quit", [Kill("cut", 5.0, 4.0)], False),
        (copy(), "quit", [Kill("pause", 11.0, 20.0)], True),
        (copy(), "quit", [Kill("pause", 13.0, 20.0)], False),
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
        (Sent("m1", submissions=["s1"], order=Order(2)), [copy()], "lost: m1 to m1.1@next.test"),
        (Sent("m1", submissions=["s1"], order=Order(report=True)), [copy()], "no report of m1.0@"),
        (
            Sent("m1", unanswered=1, submissions=["s1"], is_keyed=True),
            [copy(submission="s0"), copy()],
            "accepted 2",
        ),
        (Sent("m1", submissions=["s1"]), [copy(whole=False)], "not what was sent"),
        (Sent("m1", submissions=["s1"]), [copy(), copy(name="m2")], "never sent"),
    ],
)
def test_loss_damage_and_uncaused_duplicates_are_faults(sent, copies, fault):
    found = judge([sent], Arrivals(copies, {"1/1": "quit"}, 0))
    assert [fault in words for words in found.faults] == ([True] if fault else [])


@pytest.mark.parametrize(
    ("kill", "outcome", "fault"),
    [
        (10.5, Outcome(2, [11.5]), None),
        (10.5, Outcome(2, [10.2]), "although a former outcome was committed"),
        (10.5, Outcome(2, [10.2, 11.5]), "delivered 2 times"),
        (10.5, Outcome(1, [11.5]), "in 1 attempts"),
        (10.5, None, "knows no end"),
        # who was killed after the second copy is not its cause
        (11.2, Outcome(2, [11.5]), "without a cause"),
    ],
)
def test_a_duplicate_is_explained_only_where_no_outcome_was_committed(kill, outcome, fault):
    arrivals = Arrivals([copy(), copy(11.0)], {"1/1": "lost"}, 0)
    sent = Sent("m1", submissions=["s1"])
    outcomes = {} if outcome is None else {("s1", "m1.0@next.test"): outcome}
    found = judge([sent], arrivals, [Kill("worker", kill)], outcomes)
    assert [fault in words for words in found.faults] == ([True] if fault else [])


def test_a_session_that_is_open_still_was_not_killed_by_a_sink_that_was_not() -> None:
    copies = [copy(), copy(11.0)]
    lasting = [Kill("pause", 9.0, 5.0)]
    assert not judge([Sent("m1", submissions=["s1"])], Arrivals(copies, {}, 0), lasting).faults
    killed = [*lasting, Kill("sink", 40.0)]
    assert judge([Sent("m1", submissions=["s1"])], Arrivals(copies, {}, 0), killed).faults


@pytest.mark.parametrize(("kills", "excused"), [([Kill("cut", 9.0, 3.0)], True), ([], False)])
def test_what_was_in_doubt_may_have_been_accepted(kills, excused):
    sent = Sent("m1", doubted=1, put_off=1, submissions=["s2"])
    found = judge([sent], Arrivals([copy(), copy(submission="s2")], {"1/1": "quit"}, 0), kills)
    assert (not found.faults) is excused
