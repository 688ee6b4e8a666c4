"""Which workers are there, in memory: what `store.presences` promises, with a clock that tests set."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from gatepost.model.ids import WorkerId
from gatepost.store.presences import Announcement, Beat, Presence


class MemoryPresences:
    """`ReadsPresences` and `ChangesPresences`, but `leases_held`."""

    #: The store's clock; tests put their own in its place.
    clock: Callable[[], datetime] = staticmethod(lambda: datetime.now(UTC))

    @property
    def presence_rows(self) -> dict[WorkerId, Presence]:
        return self.__dict__.setdefault("_presences", {})

    def time(self) -> datetime:
        return self.clock()

    def presences(self) -> list[Presence]:
        return [row for _, row in sorted(self.presence_rows.items())]

    def beat(self, announcement: Announcement) -> Beat:
        one, now, former = announcement, self.time(), self.presence_rows.get(announcement.worker)
        since = now if former is None else former.since
        said = (one.worker, one.node, one.home, one.version, one.addresses)
        row = Presence(*said, since, now, one.at - now, sources=one.sources)
        self.presence_rows[one.worker] = row
        return Beat(now) if former is None else Beat(now, former.heard_at, former.lost)

    def bury(self, silent_for: timedelta) -> list[Presence]:
        until = self.time() - silent_for
        dead = [row for row in self.presences() if not row.lost and row.heard_at <= until]
        for row in dead:
            self.presence_rows[row.worker] = replace(row, lost=True)
        return dead

    def leave(self, worker_prefix: str) -> None:
        for worker in [one for one in self.presence_rows if one.startswith(worker_prefix)]:
            del self.presence_rows[worker]

    def forget_presences(self, *, before: datetime) -> int:
        old = [row.worker for row in self.presences() if row.lost and row.heard_at < before]
        for worker in old:
            del self.presence_rows[worker]
        return len(old)
