"""What was sent held against what arrived: nothing lost, nothing twice without a cause."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.load import Sent

#: Seconds between a final dot and the kill that explains why it counts as unanswered. Before the
#: kill, the reply is read and the outcome written well within it even on a busy machine; after
#: it, the sink still reads what the dead had sent.
WINDOW = 2.0


@dataclass(frozen=True, slots=True)
class Kill:
    """Something was killed: "worker", "node" or "sink". `at` is monotonic time, before the kill."""

    what: str
    at: float


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of a message in the sink."""

    at: float
    session: str
    id: str
    submission: str
    answer: str
    whole: bool


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The sink's journal: copies in order, how sessions ended, how many contents were cut."""

    copies: Sequence[Copy]
    ends: dict[str, str]
    cut: int


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
    for line in path.read_bytes().split(b"\n")[:-1]:
        entry = json.loads(line)
        what = entry.pop("what")
        if what == "copy":
            copies.append(Copy(**entry))
        elif what == "end":
            ends[entry["session"]] = entry["how"]
        else:
            cut += 1
    return Arrivals(copies, ends, cut)


def judge(sent: Iterable[Sent], arrivals: Arrivals, kills: Sequence[Kill] = ()) -> Findings:
    """Hold every message against its copies."""
    messages = {one.id: one for one in sent}
    copies: dict[str, list[Copy]] = defaultdict(list)
    for copy in arrivals.copies:
        copies[copy.id].append(copy)
    found = Findings()
    faults = found.faults
    faults += [f"{copies[i][0]} was never sent" for i in copies if i not in messages]
    faults += [f"{c} is not what was sent" for c in arrivals.copies if not c.whole]
    by_client = by_relay = 0
    for one in messages.values():
        tree: dict[str, list[Copy]] = defaultdict(list)
        for copy in copies[one.id]:
            tree[copy.submission].append(copy)
        faults += [
            f"lost: {one.id} got 250 as {name}" for name in one.submissions if name not in tree
        ]
        by_client += max(0, len(tree) - 1)
        if len(tree) > len(one.submissions) + one.unanswered:
            faults.append(f"{one} was accepted {len(tree)} times")
        for again in tree.values():
            by_relay += len(again) - 1
            faults += [
                f"twice without a cause: {copy}, session {arrivals.ends.get(copy.session, 'killed')}"
                for copy in again[:-1]
                if not explains(copy, arrivals.ends.get(copy.session, "killed"), kills)
            ]
    found.counts = {
        "sent (messages)": len(messages),
        "acknowledged with 250": sum(len(one.submissions) for one in messages.values()),
        "final dots to us unanswered": sum(one.unanswered for one in messages.values()),
        "cut before the final dot": sum(one.cut for one in messages.values()),
        "put off (4yz)": sum(one.put_off for one in messages.values()),
        "arrived (messages)": sum(1 for i in messages if copies[i]),
        "arrived (copies)": len(arrivals.copies),
        "duplicates by resent submission": by_client,
        "duplicates by repeated delivery": by_relay,
        "contents cut by the sink": arrivals.cut,
        "final dots dropped by the sink": sum(c.answer == "dropped" for c in arrivals.copies),
    }
    for what in ("worker", "node", "sink"):
        found.counts[f"kills: {what}"] = sum(kill.what == what for kill in kills)
    return found


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
    return any(k.what != "sink" and earliest <= k.at <= copy.at + WINDOW for k in kills)
