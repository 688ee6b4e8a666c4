"""Which deliveries of the queue a QueueFilter means, and how many by what they have in common (`counts`)."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar, Final

from gatepost.model.delivery import DeliveryState
from gatepost.model.ids import AccountName, DeliveryId
from gatepost.model.lane import LANES
from gatepost.store.counts import Group, GroupBy, Sender
from gatepost.store.days import day_of
from gatepost.store.queue_view import QueueFilter
from gatepost.store.rows import DUE, HELD, LEASED, NUMBERS, STATES, microseconds
from gatepost.store.statements import Asks

#: The shortest beginning of an id that may stand for it.
_SHORTEST: Final = 8
_OF_SUBMISSION: Final = " CROSS JOIN submission AS s ON s.id = d.submission_id"
_WAITING: Final = (DUE, LEASED, HELD)
_COUNTS: Final = ", ".join(f"count(CASE WHEN d.state = {state} THEN 1 END)" for state in _WAITING)


class CountQueries(Asks):
    """`ReadsCounts`."""

    #: The host of a delivery's last outcome.
    last_host: ClassVar[str] = "d.outcome ->> 4"

    def queue_groups(self, which: QueueFilter, by: GroupBy, *, limit: int) -> list[Group]:
        """Return the largest groups of matching deliveries."""
        wanted, bindings = conditions_of("delivery", which, "d.state")
        where = " AND ".join([f"d.state < {len(_WAITING)}", *wanted])
        by_account = by is GroupBy.ACCOUNT or which.account is not None
        sql = (
            f"SELECT {self._key(by)}, count(*), count(CASE WHEN d.attempts > 0 THEN 1 END),"  # noqa: S608
            f" min(d.id), {_COUNTS} FROM delivery AS d{_OF_SUBMISSION if by_account else ''}"
            f" WHERE {where} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ?"
        )
        groups = []
        for key, _, tried, oldest, *counts in self._rows(sql, (*bindings, limit)):
            states = {STATES[s]: n for s, n in zip(_WAITING, counts, strict=True) if n}
            name = LANES[key].value if by is GroupBy.LANE else key
            groups.append(Group(name, states, tried, DeliveryId(oldest)))
        return groups

    def senders(self, since: datetime) -> list[Sender]:
        """Return the accounts whose messages were accepted since then."""
        first = f"{int(since.timestamp() * 1000):012x}"  # ids begin with the time
        day = day_of(microseconds(since))
        tables = ["delivery", *(table for table in self.days("delivery") if table[-8:] >= day)]
        recipients = " + ".join(
            f"(SELECT count(*) FROM {table} AS d WHERE d.submission_id = s.id)"  # noqa: S608 - names are ours
            for table in tables
        )
        sql = (
            f"SELECT s.account, count(*), sum({recipients}), sum(s.size) FROM submission AS s"  # noqa: S608
            " WHERE s.id >= ? AND s.account IS NOT NULL GROUP BY s.account ORDER BY 3 DESC, 1"
        )
        return [
            Sender(AccountName(account), messages, int(sent), int(octets))
            for account, messages, sent, octets in self._rows(sql, (first,))
        ]

    def days(self, kind: str) -> list[str]:
        """Return the tables of days that there are, oldest first."""
        raise NotImplementedError

    def _key(self, by: GroupBy) -> str:
        keys = {
            GroupBy.DESTINATION: "d.destination",
            GroupBy.HOST: f"coalesce({self.last_host}, '')",
            GroupBy.ACCOUNT: "coalesce(s.account, '')",
            GroupBy.REASON: "d.reason",
            GroupBy.LANE: "d.lane",
        }
        return keys[by]


def id_range(text: str) -> tuple[str, str]:
    """Return bounds (first, and one beyond the last) of the ids that `text` stands for."""
    if len(text) < _SHORTEST:
        return text, f"{text}\1"
    return text, f"{text}\x7f"


def numbers(states: Iterable[DeliveryState]) -> str:
    """Return states as SQL lists them."""
    return ",".join(str(NUMBERS[state]) for state in states)


def conditions_of(table: str, which: QueueFilter, state_column: str) -> tuple[list[str], list[Any]]:
    """Return the conditions, to be joined by AND, and the values that they bind; `state_column` is how
    the state is named.
    """
    found: list[str] = []
    bindings: list[Any] = []
    if which.id is not None:
        found.append(
            f"d.id IN (SELECT id FROM {table} WHERE id >= ? AND id < ?"  # noqa: S608
            f" UNION SELECT id FROM {table} WHERE submission_id >= ? AND submission_id < ?)"
        )
        bindings += id_range(which.id) * 2
    if which.states is not None:
        wanted = [state for state in which.states if state.is_final != (table == "delivery")]
        found.append(f"{state_column} IN ({numbers(wanted)})")
    if which.destination is not None:
        found.append("d.destination = ?")
        bindings.append(which.destination.lower())
    if which.recipient is not None:
        found.append("d.forward_path = ? COLLATE NOCASE")
        bindings.append(which.recipient)
    if which.reason is not None:
        found.append("d.reason = ?")
        bindings.append(which.reason)
    if which.pool is not None:
        found.append("d.pool = ?")
        bindings.append(which.pool)
    if which.account is not None:
        found.append("s.account = ?")
        bindings.append(which.account)
    return found, bindings
