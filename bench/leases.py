"""What leasing due mail costs, by how much waits and how many accounts it is of.

    python bench/leases.py sqlite 1000 1000000
    python bench/leases.py postgresql 1000 1000000

Prints µs per message for a lease by age and for one in turn (medians of 40), with the walk that finds
whose turn it is; over PostgreSQL also blocks, and µs of its processes on the processor, per message (its
backends alone, /proc/PID/schedstat: to be compared on a machine with other work, too).
"""

import asyncio
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

sys.path.insert(0, str(Path(__file__).parents[1]))

from gatepost.delivery.lease_fairly import FairLease, Wanted
from gatepost.delivery.shares import Shares
from gatepost.model.ids import WorkerId
from gatepost.model.lane import LANES
from gatepost.store.leases import Held, Lease
from gatepost.store.sqlite import open_sqlite
from tests.crash.processes import children
from tests.store.openers import address_of, postgresql
from tests.support.postgresql import shared_server

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
MICRO = int(NOW.timestamp()) * 1_000_000
LIMIT = 500
ROUNDS = 40
ID = {"sqlite": "printf('{0}%031d', n)", "postgresql": "'{0}' || lpad(n::text, 31, '0')"}
SERIES = {
    "sqlite": "(WITH RECURSIVE s(n) AS (SELECT {0} UNION ALL SELECT n + 1 FROM s WHERE n < {1}) SELECT n FROM s)",
    "postgresql": "generate_series({0}, {1}) AS s(n)",
}
TOUCHED = (
    "SELECT sum(coalesce(heap_blks_hit, 0) + coalesce(heap_blks_read, 0)"
    " + coalesce(idx_blks_hit, 0) + coalesce(idx_blks_read, 0)) FROM pg_statio_user_tables"
)


@dataclass
class Bench:
    kind: str
    store: Any
    other: Any = None

    async def fill(self, first: int, last: int, accounts: int) -> None:
        kind = self.kind
        series = SERIES[kind].format(first, last)
        text = "'u' || n" if kind == "sqlite" else "'u' || n::text"
        account = f"'a' || (n % {accounts})"
        submission = ID[kind].format("1")
        sqls = (
            "INSERT INTO submission (id, reverse_path, size, received_at, origin, account,"
            " message_id, client, eight_bit, envid, priority, hold) SELECT"
            f" {submission}, 'a@x.example', 1000, {MICRO}, 'submission', {account},"
            f" '<1@x.example>', '192.0.2.1', 0, '', 0, '' FROM {series}",
            "INSERT INTO delivery (id, submission_id, forward_path, destination, next_attempt_at,"
            " expires_at, state, attempts, leases, reason, warned, lane, orcpt, ready_at, account) SELECT"
            f" {ID[kind].format('2')}, {submission}, {text} || '@d.example',"
            f" 'd' || (n % 5003) || '.example', {MICRO} - 3600000000 + n, {MICRO} + 86400000000,"
            f" 0, 1, 1, '', 0, 2, '', {MICRO} - 3600000000 + n, {account} FROM {series}",
        )
        def job(tx: Any) -> None:
            for sql in sqls:
                tx.execute(sql)

        if self.other is None:
            await self.store.write(job)
            return
        for sql in (*sqls, "VACUUM ANALYZE"):
            self.other.execute(sql)

    def touched(self) -> int:
        if self.other is None:
            return 0
        self.other.execute("SELECT pg_stat_clear_snapshot()")
        return int(self.other.execute(TOUCHED).fetchall()[0][0])

    def on_processor(self) -> float:
        """Return the seconds that the server's processes have been on a processor."""
        if self.other is None:
            return 0.0
        pids = children(shared_server()._pids()[0])
        return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e9

    async def flushed(self) -> None:
        if self.other is not None:
            await self.store.write(lambda tx: tx.rows("SELECT pg_stat_force_next_flush()") and None)
            await self.store.inspect(lambda r: r.rows("SELECT pg_stat_force_next_flush()") and None)

    async def measure(self, *, behind: bool) -> str:
        fair = FairLease(Shares())
        times, spent, count, blocks = [], [], 0, 0
        for number in range(ROUNDS):
            fair._is_behind = behind
            lease = Lease(WorkerId("n/1/0"), NOW + timedelta(minutes=2))
            wanted = Wanted(NOW, lease, LIMIT, dict.fromkeys(LANES, 3000), ended=False)
            await self.flushed()
            before, worked = self.touched(), self.on_processor()
            began = time.perf_counter()
            taken = await fair.lease(self.store, wanted)
            took = time.perf_counter() - began
            spent.append((self.on_processor() - worked) / len(taken.leased))
            await self.flushed()
            blocks += self.touched() - before
            times.append(took / len(taken.leased))
            count += len(taken.leased)
            rows = [(one.delivery.next_attempt_at, Held(one.delivery.id, one.fence)) for one in taken.leased]

            def back(tx: Any, rows: Any = rows) -> None:
                for at, held in rows:
                    tx.give_back([held], at, "waits")

            await self.store.write(back)
            if self.other and number % 5 == 4:
                self.other.execute("VACUUM delivery")
        found = f"{statistics.median(times) * 1e6:7.1f} µs a message ({count // ROUNDS} a lease)"
        if self.other is None:
            return found
        server = f"{statistics.median(spent) * 1e6:6.1f} µs of the server"
        return f"{found}, {blocks / count:6.1f} blocks, {server}"


async def main() -> None:
    kind, *counts = sys.argv[1:]
    for accounts in (1, 10_000):
        for count in map(int, counts):
            with tempfile.TemporaryDirectory() as name:
                directory = Path(name)
                if kind == "sqlite":
                    bench = Bench(kind, await open_sqlite(directory, WorkerId("n/1/0")))
                else:
                    store = await postgresql(directory)
                    other = psycopg.connect(address_of(directory).url, autocommit=True)
                    bench = Bench(kind, store, other)
                await bench.fill(1, count, min(accounts, count))
                for behind in (False, True):
                    way = "in turn" if behind else "by age "
                    print(f"{kind} {accounts:6} accounts, {count:8} wait, {way}:", await bench.measure(behind=behind), flush=True)
                await bench.store.close()
                if bench.other:
                    bench.other.close()


asyncio.run(main())
