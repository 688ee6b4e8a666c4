"""A crowd of refusals becomes one event: strangers cause them for nothing, and fill no disk.

Of the refusals of one client in one minute the first 20 of a kind are told one by one. The others
are counted, and one event says how many they were when the minute is over.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from gatepost.model.event import Event, EventKind, Fact
from gatepost.net.address import one_client

#: Refusals of one kind and client that are told in a minute.
TOLD: Final = 20
#: Clients that are counted apart; beyond, those who come later in this minute are one.
CLIENTS: Final = 2000
MINUTE: Final = 60.0
#: The tag of what was not told one by one, by which it is found; and how many reasons are told apart.
MANY: Final = "many"
_REASONS: Final = 8
#: What strangers can cause without end.
_KINDS: Final = frozenset({EventKind.REFUSED_AT_DOOR, EventKind.LOGIN_REFUSED})
_OTHERS: Final = "many addresses"


class Crowd:
    """Counts the refusals of the minute under way."""

    __slots__ = ("_clients", "_counts", "_minute", "_reasons")

    def __init__(self) -> None:
        self._minute = 0
        self._counts: dict[tuple[str, EventKind], int] = {}
        self._clients: set[str] = set()
        #: Why logins were refused that are not told, by client.
        self._reasons: dict[str, Counter[str]] = {}

    @property
    def waits(self) -> bool:
        """Tell whether somebody was counted and not told."""
        return any(count > TOLD for count in self._counts.values())

    def admit(self, event: Event) -> Iterable[Event]:
        """Return what is to be told now: summaries of a minute that is over, and this event
        unless there were too many like it. Events without a client are always told.
        """
        if event.kind not in _KINDS or not event.facts.get("client"):
            return (event,)
        told = self.summaries(event.at)
        client = one_client(str(event.facts["client"]))
        if client not in self._clients:
            if len(self._clients) >= CLIENTS:
                client = _OTHERS
            self._clients.add(client)
        key = client, event.kind
        count = self._counts[key] = self._counts.get(key, 0) + 1
        if count <= TOLD:
            return (*told, event)
        if event.kind is EventKind.LOGIN_REFUSED:
            self._count_reason(client, str(event.facts.get("reason", "")).partition(":")[0])
        return told

    def _count_reason(self, client: str, reason: str) -> None:
        reasons = self._reasons.setdefault(client, Counter())
        reasons[reason if reason in reasons or len(reasons) < _REASONS else "other"] += 1

    def summaries(self, at: datetime, *, now: bool = False) -> list[Event]:
        """Return one event for each client with more refusals than were told, when its minute is
        over; `now`: even before that.
        """
        minute = int(at.timestamp() // MINUTE)
        if minute <= self._minute and not now:
            return []
        counts, self._counts, self._minute = self._counts, {}, minute
        reasons, self._reasons = self._reasons, {}
        self._clients.clear()
        return [
            _summary(client, kind, n - TOLD, at, reasons.get(client))
            for (client, kind), n in counts.items()
            if n > TOLD
        ]


def _summary(
    client: str, kind: EventKind, count: int, at: datetime, reasons: Counter[str] | None
) -> Event:
    words = f"{count} more within a minute, not told one by one"
    facts: dict[str, Fact] = {"client": client, "count": count, "reason": words, "text": words}
    if kind is EventKind.LOGIN_REFUSED and reasons:
        facts["tag"] = MANY
        facts["causes"] = ", ".join(f"{reason} {n}" for reason, n in reasons.most_common())
    return Event(kind, at, facts=facts)
