"""Two workers of one node that are busy at once: `python -m tests.crash.power.a_crowd DIRECTORY`.

While a batch of one is synced, the other commits behind it; meanwhile the journal is written, and
segments of which nothing is needed go.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from gatepost.events.journal import Journal, catch_up
from gatepost.model.ids import WorkerId
from gatepost.net.clock import now
from gatepost.store import sqlite_writer
from gatepost.store.protocols import StoreUnavailableError
from gatepost.store.sqlite import SqliteStore, open_sqlite
from tests.crash.power.a_life import TRIES, WORKER, accept, deliver, finish, insist, say

#: So many clients of each worker hand in so many messages, one after the other.
CLIENTS = 5
MESSAGES = 4


async def hand_in(store: SqliteStore) -> None:
    for _ in range(MESSAGES):
        await insist(lambda: accept(store, "good@y.example", "bad@y.example"))


async def meanwhile(work: Callable[[], Awaitable[object]], over: asyncio.Event) -> None:
    """Do it again and again, to the end and once more; a few times it may fail."""
    failures = 0
    while True:
        is_last = over.is_set()
        try:
            await work()
        except (OSError, StoreUnavailableError) as trouble:
            say("put-off", trouble)
            failures += 1
            if failures > TRIES:
                raise
        if is_last:
            return
        await asyncio.sleep(0)


async def main(directory: Path) -> None:
    sqlite_writer.REST = 0.0  # type: ignore[misc]
    stores = [
        await insist(lambda name=name: open_sqlite(directory, name))
        for name in (WORKER, WorkerId("node/1/2/"))
    ]
    journal = Journal(directory / "journal", timedelta(days=30))
    await meanwhile(lambda: asyncio.to_thread(journal.lock), ended())
    over = asyncio.Event()
    async with asyncio.TaskGroup() as others:
        others.create_task(meanwhile(lambda: catch_up(stores[0], journal, now), over))
        others.create_task(meanwhile(lambda: stores[1].tidy(now()), over))
        for store in stores:
            others.create_task(meanwhile(lambda store=store: deliver(store), over))
            others.create_task(meanwhile(store.rest, over))
        async with asyncio.TaskGroup() as clients:
            for number in range(2 * CLIENTS):
                clients.create_task(hand_in(stores[number % 2]))
        over.set()
    await finish(stores[0])
    journal.close()
    for store in stores:
        await store.close()


def ended() -> asyncio.Event:
    made = asyncio.Event()
    made.set()
    return made


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
