"""Which workers are there, in a table."""

import json
from datetime import datetime, timedelta
from typing import Any, Final

from gatepost.model.ids import WorkerId
from gatepost.model.source import Source
from gatepost.store.presences import Announced, Announcement, Beat, Presence
from gatepost.store.rows import LEASED, Row, microseconds, moment
from gatepost.store.statements import Asks, Changes

_COLUMNS: Final = "worker, node, home, version, addresses, since, heard_at, ahead, sources, lost"
_ALL: Final = f"SELECT {_COLUMNS} FROM presence"  # noqa: S608 - our own column names
#: Whoever is heard again keeps its `since`.
_BEAT: Final = (
    f"INSERT INTO presence ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)"  # noqa: S608
    " ON CONFLICT (worker) DO UPDATE SET node = excluded.node, home = excluded.home,"
    " version = excluded.version, addresses = excluded.addresses, heard_at = excluded.heard_at,"
    " ahead = excluded.ahead, sources = excluded.sources, lost = 0"
)
#: In one statement: of two neighbours at once, one buries.
_BURY: Final = f"UPDATE presence SET lost = 1 WHERE lost = 0 AND heard_at <= ? RETURNING {_COLUMNS}"  # noqa: S608
_MICROSECOND: Final = timedelta(microseconds=1)


class PresenceTable(Asks):
    """`ReadsPresences`."""

    def time(self) -> datetime:
        """Return the store's time."""
        raise NotImplementedError

    def presences(self) -> list[Presence]:
        """Return all workers that have not left, by name."""
        found = map(_presence_of, self._rows(_ALL))
        return sorted(found, key=lambda presence: presence.worker)

    def leases_held(self) -> dict[WorkerId, int]:
        """Return how many deliveries each worker has leased."""
        sql = "SELECT worker, count(*) FROM delivery WHERE state = ? GROUP BY worker"
        return {WorkerId(row[0]): row[1] for row in self._rows(sql, (LEASED,))}


class PresenceTableChanges(PresenceTable, Changes):
    """`ChangesPresences`."""

    def beat(self, announcement: Announcement) -> Beat:
        """Note that a worker is alive."""
        one, now = announcement, self.time()
        sql = "SELECT heard_at, lost FROM presence WHERE worker = ?"
        before, lost = self._row(sql, (one.worker,)) or (None, 0)
        row = (
            one.worker,
            one.node,
            one.home,
            one.version,
            json.dumps(one.addresses),
            microseconds(now),
            microseconds(now),
            (one.at - now) // _MICROSECOND,
            json.dumps(list(map(_announced_row, one.sources))),
        )
        self._run(_BEAT, row)
        return Beat(now, None if before is None else moment(before), bool(lost))

    def bury(self, silent_for: timedelta) -> list[Presence]:
        """Hold for lost who was not heard for so long."""
        rows = self._rows(_BURY, (microseconds(self.time() - silent_for),))
        buried = [_presence_of((*row[:-1], 0)) for row in rows]
        return sorted(buried, key=lambda presence: presence.worker)

    def leave(self, worker_prefix: str) -> None:
        """Forget workers whose id begins so."""
        sql = "DELETE FROM presence WHERE substr(worker, 1, ?) = ?"
        self._run(sql, (len(worker_prefix), worker_prefix))

    def forget_presences(self, *, before: datetime) -> int:
        """Forget lost workers that were heard last before then."""
        sql = "DELETE FROM presence WHERE lost = 1 AND heard_at < ?"
        return self._change(sql, (microseconds(before),))


def _presence_of(row: Row) -> Presence:
    return Presence(
        worker=WorkerId(row[0]),
        node=row[1],
        home=row[2],
        version=row[3],
        addresses=tuple(json.loads(row[4])),
        since=moment(row[5]),
        heard_at=moment(row[6]),
        ahead=row[7] * _MICROSECOND,
        sources=tuple(map(_announced_of, json.loads(row[8]))),
        lost=bool(row[9]),
    )


def _announced_row(one: Announced) -> list[Any]:
    source = one.source
    return [source.name, source.ipv4, source.ipv6, source.pools, one.absent]


def _announced_of(row: list[Any]) -> Announced:
    name, ipv4, ipv6, pools, absent = row[:5]
    return Announced(Source(name, ipv4, ipv6, tuple(pools)), tuple(absent))
