"""A process that uses a store: `python -m tests.store.a_worker VERB DIRECTORY NUMBER`.

`accept` stores messages without end and prints each id once it is durable; `drain` leases what is
due until nothing is left and prints what it got; `full` runs out of disk and recovers.
"""

import asyncio
import resource
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gatepost.model.delivery import DeliveryState
from gatepost.model.ids import SubmissionId, WorkerId
from gatepost.net.clock import new_identifier
from gatepost.store.leases import Lease
from gatepost.store.protocols import DiskFullError, Store
from gatepost.store.sqlite import open_sqlite
from tests.store.makers import delivery, held, settled, submission

CALLERS = 20


def octets_of(name: str) -> bytes:
    return (name.encode() + b"\r\n") * 300


async def accept_one(store: Store) -> str:
    message = submission(id=SubmissionId(new_identifier()), received_at=datetime.now(UTC))
    way = delivery(message, id=new_identifier())

    def job(transaction):
        return transaction.add_deliveries(message, [way])

    await store.write(job, (message.id, (octets_of(message.id),)))
    return message.id


async def accept(store: Store) -> None:
    async def caller() -> None:
        while True:
            print(await accept_one(store), flush=True)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))


async def drain(store: Store, worker: WorkerId) -> None:
    while True:
        now = datetime.now(UTC)
        lease = Lease(worker, now + timedelta(minutes=2))
        leased = await store.write(lambda t, now=now, lease=lease: t.lease_due(now, lease, limit=7))
        if not leased:
            return
        await store.write(lambda t, leased=leased: t.begin_attempts(map(held, leased)))
        settlements = [settled(one, DeliveryState.DELIVERED) for one in leased]
        kept = await store.write(lambda t, settlements=settlements: t.settle(settlements))
        for name in kept:
            print(name, flush=True)


async def full(store: Store) -> None:
    await accept_one(store)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, hard))
    results = await asyncio.gather(*(accept_one(store) for _ in range(50)), return_exceptions=True)
    assert any(isinstance(result, DiskFullError) for result in results), results
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    print(await accept_one(store), flush=True)


async def main(verb: str, directory: Path, number: str) -> None:
    worker = WorkerId(f"node/1/{number}")
    store = await open_sqlite(directory, worker)
    if verb == "accept":
        await accept(store)
    elif verb == "drain":
        await drain(store, worker)
    else:
        await full(store)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
