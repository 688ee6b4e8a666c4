"""What was sent held against what arrived: nothing lost, nothing twice without a cause."""

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from tests.crash.load import Sent

#: Seconds between a final dot and the kill that explains why it counts as unanswered. Before the
#: kill, the reply is read and the outcome written well within it even on a busy machine; after
#: it, the sink still reads what the dead had sent.
WINDOW = 2.0
#: What lasts, and is no kill.
LASTING = {"pause", "cut", "store"}


@dataclass(frozen=True, slots=True)
class Kill:
    """Something was killed ("worker", "supervisor", "node", "sink"), or stood still or was cut off from
    the store for a while ("pause", "cut", "store"). `at` is monotonic time, before it; `lasts` in seconds.
    """

    what: str
    at: float
    lasts: float = 0.0


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of a message in the sink: `at` in monotonic time, `wall` as the events say it."""

    at: float
    session: str
    id: str
    submission: str
    answer: str
    whole: bool
    recipients: Sequence[str] = ()
    wall: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the store says of one delivery: its attempts, and when each of its outcomes was."""

    attempts: int
    delivered_at: Sequence[float]


#: By submission and recipient.
Outcomes = Mapping[tuple[str, str], Outcome]


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The sink's journal: copies in order, how sessions ended, how many contents were cut, and of
    how many of a message's recipients success was reported.
    """

    copies: Sequence[Copy]
    ends: dict[str, str]
    cut: int
    reports: Counter[tuple[str, str]] = field(default_factory=Counter)


@dataclass
class Findings:
    """The counts, and the faults in words; there should be none of those."""

    counts: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def report(self) -> str:
        width = max(map(len, self.counts))
        return "\n".join(f"  {name:<{width}} {count:6d}" for name, count in self.counts.items())


def read_journal(path: Path) -> Arrivals:
    """Read what the sink wrote; a last line that its end cut short is dropped."""
    copies, ends, cut = [], {}, 0
    reports: Counter[tuple[str, str]] = Counter()
    for line in path.read_bytes().split(b"\n")[:-1]:
        entry = json.loads(line)
        what = entry.pop("what")
        if what == "copy":
            copies.append(Copy(**entry))
        elif what == "end":
            ends[entry["session"]] = entry["how"]
        elif what == "report":
            reports.update((entry["id"], recipient) for recipient in entry["recipients"])
        else:
            cut += 1
    return Arrivals(copies, ends, cut, reports)


def read_outcomes(database: Path) -> Outcomes:
    """Read from the store of a node what became of each delivery that is over."""
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB ?"
    days = [name for (name,) in connection.execute(names, ("event_2*",))]
    times: dict[str, list[float]] = defaultdict(list)
    for table in days:
        sql = f"SELECT delivery_id, at FROM {table} WHERE kind = 'delivery.delivered'"
        for delivery, at in connection.execute(sql):
            times[delivery].append(at / 1e6)
    found = {}
    for (table,) in list(connection.execute(names, ("delivery_2*",))):
        sql = f"SELECT submission_id, forward_path, id, attempts FROM {table}"
        for submission, recipient, delivery, attempts in connection.execute(sql):
            found[submission, recipient] = Outcome(attempts, sorted(times[delivery]))
    connection.close()
    return found


def unreported(sent: Iterable[Sent], arrivals: Arrivals) -> list[str]:
    """Return the recipients whose success was to be reported, and was not."""
    return [
        recipient
        for one in sent
        if one.order.report and one.submissions
        for recipient in one.recipients
        if not arrivals.reports[one.id, recipient]
    ]


def judge(
    sent: Sequence[Sent],
    arrivals: Arrivals,
    kills: Sequence[Kill] = (),
    outcomes: Outcomes | None = None,
) -> Findings:
    """Hold every message against its copies, and these against the store's `outcomes`."""
    messages = {one.id: one for one in sent}
    trees: dict[str, dict[str, list[Copy]]] = defaultdict(lambda: defaultdict(list))
    for copy in arrivals.copies:
        trees[copy.id][copy.submission].append(copy)
    found = Findings()
    faults = found.faults
    faults += [f"{trees[i]} was never sent" for i in trees if i not in messages]
    faults += [f"{c} is not what was sent" for c in arrivals.copies if not c.whole]
    faults += [f"no report of {recipient}" for recipient in unreported(sent, arrivals)]
    by_client = by_relay = 0
    for one in messages.values():
        tree = trees[one.id]
        faults += [
            f"lost: {one.id} got 250 as {name}" for name in one.submissions if name not in tree
        ]
        by_client += max(0, len(tree) - 1)
        # Who loses the store in the midst of a commit cannot know whether it was made: 451.
        doubted = one.doubted if any(kill.what in LASTING for kill in kills) else 0
        if len(tree) > len(one.submissions) + (one.unanswered + doubted) * (not one.is_keyed):
            faults.append(f"{one} was accepted {len(tree)} times")
        for name, copies in tree.items():
            for recipient in {*one.recipients, *(r for c in copies for r in c.recipients)}:
                mine = [copy for copy in copies if recipient in copy.recipients]
                by_relay += max(0, len(mine) - 1)
                faults += _of_recipient(one, recipient, mine, arrivals, kills)
                if outcomes is not None and mine:
                    faults += _of_outcome(mine, outcomes.get((name, recipient)), recipient)
    found.counts = _counts(messages, trees, arrivals)
    found.counts["duplicates by resent submission"] = by_client
    found.counts["duplicates by repeated delivery"] = by_relay
    found.counts["lost, or twice without a cause"] = len(faults)
    lasting = sorted({kill.what for kill in kills} & LASTING)
    for what in ("worker", "supervisor", "node", "sink", *lasting):
        found.counts[f"kills: {what}"] = sum(kill.what == what for kill in kills)
    return found


def _of_recipient(
    one: Sent, recipient: str, mine: Sequence[Copy], arrivals: Arrivals, kills: Sequence[Kill]
) -> Iterator[str]:
    """Yield what is wrong with one recipient's copies of one submission."""
    if recipient not in one.recipients:
        yield f"{one.id} went to {recipient}"
    elif not mine:
        yield f"lost: {one.id} to {recipient}"
    for copy, following in itertools.pairwise(mine):
        # A session without an end ended with the sink, or is open still where no sink was killed.
        unknown = "killed" if any(kill.what == "sink" for kill in kills) else "quit"
        end = arrivals.ends.get(copy.session, unknown)
        if not explains(copy, end, [k for k in kills if k.at <= following.at]):
            yield f"twice without a cause: {copy}, session {end}"


def _of_outcome(mine: Sequence[Copy], outcome: Outcome | None, recipient: str) -> Iterator[str]:
    """Yield where the store contradicts the sink. A copy may be followed by another only if its
    outcome was not committed: so there is one outcome, and it is younger than the last copy.
    """
    if outcome is None:
        yield f"the store knows no end of {mine[-1].submission} to {recipient}"
        return
    if len(outcome.delivered_at) != 1:
        yield f"{mine[-1]} was delivered {len(outcome.delivered_at)} times, says the store"
    elif outcome.delivered_at[0] < mine[-1].wall:
        yield f"{mine[-1]} to {recipient} came although a former outcome was committed"
    if outcome.attempts < len(mine):
        yield f"{len(mine)} copies to {recipient} in {outcome.attempts} attempts"


def _counts(
    messages: Mapping[str, Sent], trees: Mapping[str, object], arrivals: Arrivals
) -> dict[str, int]:
    sent = messages.values()
    return {
        "sent (messages)": len(messages),
        "acknowledged with 250": sum(len(one.submissions) for one in sent),
        "deliveries of these": sum(len(one.submissions) * one.order.recipients for one in sent),
        "by HTTP": sum(one.is_keyed for one in sent),
        "by BDAT": sum(one.order.chunks > 0 for one in sent),
        "for later": sum(one.order.later > 0 for one in sent),
        "final dots to us unanswered": sum(one.unanswered for one in sent if not one.is_keyed),
        # HTTP has no way to tell a client that is about to ask that its connection is ending.
        "requests by HTTP unanswered": sum(one.unanswered for one in sent if one.is_keyed),
        "cut before the final dot": sum(one.cut for one in sent),
        "put off (4yz)": sum(one.put_off for one in sent),
        "put off at the final dot": sum(one.doubted for one in sent),
        "arrived (messages)": sum(1 for i in messages if trees.get(i)),
        "arrived (copies, by recipient)": sum(len(c.recipients) for c in arrivals.copies),
        "reports of success": arrivals.reports.total(),
        "contents cut by the sink": arrivals.cut,
        "final dots dropped by the sink": sum(c.answer == "dropped" for c in arrivals.copies),
    }


def explains(copy: Copy, end: str, kills: Sequence[Kill]) -> bool:
    """Tell whether a copy may be followed by another: nobody could know that it had arrived.

    `end` is how its session ended: "quit" (the relay had our reply, but perhaps no time to write
    it down), "lost" (the relay went away), "dropped" (by the sink), or "killed" with the sink.
    """
    if copy.answer == "dropped":
        return True
    if end == "killed":
        return any(k.what == "sink" and abs(k.at - copy.at) <= WINDOW for k in kills)
    earliest = copy.at if end == "quit" else copy.at - WINDOW
    return any(
        k.what != "sink" and earliest <= k.at + k.lasts and k.at <= copy.at + WINDOW for k in kills
    )
