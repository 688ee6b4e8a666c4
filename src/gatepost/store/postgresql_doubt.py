"""Commits whose answer was lost: whether they took place, and leases that nobody knows of.

A connection that ends between COMMIT and its answer leaves open what became of the transaction. Its
rows tell: ids of messages are ours and new, a lease has a fence and a name. What is found was
committed; what is not found may still come, from octets that a frozen server has yet to read. So that
is an error to who waits for it, and for a while it is looked for leases that were granted all the same:
else they would wait for their end, as if a worker had died.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from gatepost.model.delivery import Leased
from gatepost.model.ids import DeliveryId, SubmissionId, WorkerId
from gatepost.store.postgresql_connection import Connection, begin
from gatepost.store.rows import as_json

#: Seconds for which leases are looked for that may have been granted, and between two looks: a server
#: that was frozen longer is given up by everybody (`postgresql_watch`).
_LOOKED_FOR: Final = 60.0
_LOOK: Final = 1.0

_STORED: Final = b"SELECT 1 FROM submission WHERE id = $1"
_GRANTED: Final = (
    b"SELECT 1 FROM delivery WHERE id = $1 AND state = 1 AND leases = $2 AND worker = $3"
)
_GIVE_BACK: Final = (
    b"UPDATE delivery SET state = 0, ready_at = next_attempt_at, worker = NULL"
    b" FROM (SELECT value ->> 0 AS id, CAST(value ->> 1 AS integer) AS fence, value ->> 2 AS worker"
    b" FROM json_array_elements($1::json)) AS j WHERE delivery.id = j.id AND delivery.state = 1"
    b" AND delivery.leases = j.fence AND delivery.worker = j.worker"
)
_NEWS: Final = (
    b"UPDATE counter SET value = value + 1 WHERE name = 'news'",
    b"SELECT pg_notify('gatepost', '')",
)


@dataclass(frozen=True, slots=True)
class Grant:
    """A lease as its row has it."""

    id: DeliveryId
    fence: int
    worker: WorkerId


@dataclass(slots=True)
class Traces:
    """What a transaction leaves behind: a message that it stored, and its leases, of which `marks`
    says how many there were as each of its jobs had ended.
    """

    submission: SubmissionId | None = None
    grants: list[Grant] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)

    def granted(self, leased: Iterable[Leased], worker: WorkerId) -> None:
        """Note leases that are handed out."""
        self.grants += [Grant(one.delivery.id, one.fence, worker) for one in leased]

    def of_job(self, number: int) -> list[Grant]:
        """Return the leases of one job."""
        first = self.marks[number - 1] if number else 0
        return self.grants[first : self.marks[number]]

    @property
    def are_plain(self) -> bool:
        """Whether they show that it was committed."""
        return self.submission is not None or bool(self.grants)

    def are_in(self, connection: Connection) -> bool:
        """Tell whether the transaction was committed; False where there is no telling, too.

        Raises psycopg.Error.
        """
        if self.submission is not None:
            return _is_there(connection, _STORED, self.submission)
        if self.grants:
            first = self.grants[0]
            return _is_there(connection, _GRANTED, first.id, first.fence, first.worker)
        return False


def _is_there(connection: Connection, question: bytes, *values: object) -> bool:
    return connection.execute(question, values).fetchone() is not None


class LostLeases:
    """Leases that may have been granted to this process, and that it does not know of."""

    def __init__(self) -> None:
        self._lost: dict[DeliveryId, tuple[Grant, float]] = {}
        self._look_at = 0.0

    def __len__(self) -> int:
        return len(self._lost)

    def add(self, grants: Iterable[Grant]) -> None:
        """Look for these from now on."""
        until = time.monotonic() + _LOOKED_FOR
        self._lost |= {grant.id: (grant, until) for grant in grants}
        self._look_at = 0.0

    def found(self, grants: Iterable[Grant]) -> None:
        """Hear of leases that are known: the same deliveries, perhaps under the same fence."""
        for grant in grants:
            self._lost.pop(grant.id, None)

    @property
    def are_due(self) -> bool:
        """Whether it is time to look for them."""
        return bool(self._lost) and time.monotonic() >= self._look_at

    def give_back(self, connection: Connection) -> int:
        """Make due what was granted, for everybody to take; return how many.

        Raises psycopg.Error.
        """
        begin(connection)
        wanted = [(grant.id, grant.fence, grant.worker) for grant, _ in self._lost.values()]
        count = connection.execute(_GIVE_BACK, (as_json(wanted),)).rowcount
        for statement in _NEWS if count else ():
            connection.execute(statement)
        connection.execute(b"COMMIT")
        now = time.monotonic()
        self._lost = {name: one for name, one in self._lost.items() if one[1] > now}
        self._look_at = now + _LOOK
        return count


@dataclass(frozen=True, slots=True)
class Doubt:
    """A transaction whose COMMIT was sent, what it leaves behind, and what its jobs returned."""

    traces: Traces
    results: list[Any]
