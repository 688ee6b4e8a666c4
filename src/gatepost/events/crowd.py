"""A crowd of refusals becomes one event: strangers cause them for nothing, and fill no disk.

Of the refusals of a kind in one minute the first 20 of a client are told one by one, 60 of a network,
500 of all; when 50 000 of a day were told, 50 of all. The others are counted, and one event says how many they were when the minute is over: for
their client, for their network where its clients are many, or for all where networks are many.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from gatepost.model.event import Event, EventKind, Fact
from gatepost.net.address import network_of, one_client

#: Refusals of one kind that are told in a minute: of a client, of a network, of all. These bound what
#: is kept here, too: only of whom something was told is anything remembered.
TOLD: Final = 20
TOLD_OF_NETWORK: Final = 60
TOLD_OF_ALL: Final = 500
#: So many of a kind are told in a day (UTC) before no more than the second figure of all is told in a minute:
#: 122 000 events of 240 octets in all, where 500 a minute would be 720 000.
TOLD_OF_DAY: Final = 50_000
TOLD_BEYOND: Final = 50
MINUTE: Final = 60.0
_MINUTES_OF_DAY: Final = 1440
#: The tag of what was not told one by one, by which it is found; and how many reasons are told apart.
MANY: Final = "many"
_REASONS: Final = 8
#: What strangers can cause without end.
_KINDS: Final = frozenset({EventKind.REFUSED_AT_DOOR, EventKind.LOGIN_REFUSED})
_OTHERS: Final = "many addresses"


class Crowd:
    """Counts the refusals of the minute under way."""

    __slots__ = ("_minute", "_reasons", "_today", "_told", "_untold")

    def __init__(self) -> None:
        self._minute = 0
        #: How many were told, and how many were not: by client, network, `_OTHERS`, and kind.
        self._told: Counter[tuple[str, EventKind]] = Counter()
        self._untold: Counter[tuple[str, EventKind]] = Counter()
        #: How many of a kind were told today.
        self._today: Counter[EventKind] = Counter()
        #: Why logins were refused that are not told, by the same.
        self._reasons: dict[str, Counter[str]] = {}

    @property
    def waits(self) -> bool:
        """Tell whether somebody was counted and not told."""
        return bool(self._untold)

    def admit(self, event: Event) -> Iterable[Event]:
        """Return what is to be told now: summaries of a minute that is over, and this event
        unless there were too many like it. Events without a client are always told.
        """
        kind = event.kind
        if kind not in _KINDS or not event.facts.get("client"):
            return (event,)
        told = self.summaries(event.at)
        client = one_client(str(event.facts["client"]))
        of_all = TOLD_OF_ALL if self._today[kind] < TOLD_OF_DAY else TOLD_BEYOND
        limits = {client: TOLD, network_of(client): TOLD_OF_NETWORK, _OTHERS: of_all}
        for who, most in limits.items():
            if self._told[who, kind] >= most:
                self._untold[who, kind] += 1
                if kind is EventKind.LOGIN_REFUSED:
                    self._count_reason(who, str(event.facts.get("reason", "")).partition(":")[0])
                return told
        for who in limits:
            self._told[who, kind] += 1
        self._today[kind] += 1
        return (*told, event)

    def _count_reason(self, who: str, reason: str) -> None:
        reasons = self._reasons.setdefault(who, Counter())
        reasons[reason if reason in reasons or len(reasons) < _REASONS else "other"] += 1

    def summaries(self, at: datetime, *, now: bool = False) -> list[Event]:
        """Return one event for each of whom more was refused than was told, when its minute is
        over; `now`: even before that.
        """
        minute = int(at.timestamp() // MINUTE)
        if minute <= self._minute and not now:
            return []
        if minute // _MINUTES_OF_DAY != self._minute // _MINUTES_OF_DAY:
            self._today.clear()
        self._minute = minute
        untold, self._untold = self._untold, Counter()
        reasons, self._reasons = self._reasons, {}
        self._told.clear()
        return [_summary(who, kind, n, at, reasons.get(who)) for (who, kind), n in untold.items()]


def _summary(
    client: str, kind: EventKind, count: int, at: datetime, reasons: Counter[str] | None
) -> Event:
    words = f"{count} more within a minute, not told one by one"
    facts: dict[str, Fact] = {"client": client, "count": count, "reason": words, "text": words}
    if kind is EventKind.LOGIN_REFUSED and reasons:
        facts["tag"] = MANY
        facts["causes"] = ", ".join(f"{reason} {n}" for reason, n in reasons.most_common())
    return Event(kind, at, facts=facts)
