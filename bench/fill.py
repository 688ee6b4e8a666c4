#!/usr/bin/env python3
"""Fill a store with queued deliveries through its own interface, as years of traffic would not have time to.

    .venv/bin/python bench/fill.py STATE_DIR --deliveries 1000000 --due-in 3600
    .venv/bin/python bench/fill.py postgresql://USER@HOST/DATABASE --deliveries 1000000

Messages have --recipients recipients each, dealt over --destinations domains (d0.test ...) and the three lanes; a
share of them may go to one domain (--deep). What is due in the past is due at once. Prints one line of JSON.
"""

import argparse
import asyncio
import json
import pathlib
import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from gatepost.model.delivery import Delivery, DeliveryState
from gatepost.model.event import Event, EventKind
from gatepost.model.ids import AccountName, DeliveryId, SubmissionId, WorkerId
from gatepost.model.lane import Lane
from gatepost.model.submission import Submission
from gatepost.net.clock import new_identifier
from gatepost.store.protocols import Store, Transaction
from gatepost.store.sqlite import open_sqlite

LANES = (Lane.OTP, *[Lane.TRANSACTIONAL] * 4, *[Lane.BULK] * 15)
ACCOUNT = AccountName("bench@sender.test")
HEADER = b"From: <bench@sender.test>\r\nSubject: filled\r\nMessage-ID: <%s@sender.test>\r\n\r\n"
BODY = b"A line of a message that waits for its turn in a long queue.\r\n" * 16
#: Messages handed in at once: batches of the store are bounded by so many.
WRITERS = 256


def message(o: argparse.Namespace, dice: random.Random, number: int) -> tuple[Submission, list[Delivery], bytes]:
    now = datetime.now(UTC)
    identifier = SubmissionId(new_identifier())
    content = HEADER % identifier.encode() + BODY
    submission = Submission(
        identifier, "bench@sender.test", len(content), now, account=ACCOUNT, message_id=f"<{identifier}@sender.test>"
    )
    lane = o.lane or dice.choice(LANES)
    deliveries = []
    for n in range(o.recipients):
        domain = o.deep_name if dice.random() < o.deep else f"d{dice.randrange(o.destinations)}.test"
        due = now + timedelta(seconds=o.due_in + dice.random() * o.spread)
        deliveries.append(
            Delivery(
                DeliveryId(new_identifier()),
                identifier,
                f"u{number}-{n}@{domain}",
                domain,
                due,
                now + timedelta(days=5),
                DeliveryState(o.state),
                reason="" if o.due_in <= 0 else "waits for its next try",
                lane=lane,
            )
        )
    return submission, deliveries, content


async def write(store: Store, submission: Submission, deliveries: list[Delivery], content: bytes) -> None:
    event = Event(
        EventKind.ACCEPTED,
        submission.received_at,
        submission.id,
        account=ACCOUNT,
        facts={"from": submission.reverse_path, "recipients": len(deliveries), "size": submission.size},
    )

    def job(transaction: Transaction) -> None:
        transaction.add_deliveries(submission, deliveries)
        transaction.add_events([event])

    await store.write(job, (submission.id, (content,)))


async def opened(where: str) -> Store:
    if not where.startswith("postgresql:"):
        return await open_sqlite(pathlib.Path(where), WorkerId("bench-fill"))
    from gatepost.store.postgresql import open_postgresql
    from gatepost.store.postgresql_connection import Address

    return await open_postgresql(Address(where), WorkerId("bench-fill"))


def newest_position(reading: Any) -> int:
    return max(row[0] for table in reading.days("event") for row in reading.rows(f"SELECT max(position) FROM {table}"))


async def fill(o: argparse.Namespace) -> None:
    dice = random.Random(o.seed)
    began = time.monotonic()
    store = await opened(o.where)
    messages = -(-o.deliveries // o.recipients)
    queue = iter(range(messages))

    async def writer() -> None:
        for number in queue:
            await write(store, *message(o, dice, number))

    await asyncio.gather(*(writer() for _ in range(WRITERS)))
    # The journal is as far as if it had been kept all the time.
    last = await store.read(newest_position)
    await store.write(lambda transaction: transaction.set_position("journal", last))
    await store.close()
    print(json.dumps({"messages": messages, "deliveries": messages * o.recipients, "s": time.monotonic() - began}))


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("where", help="data_dir of a Gatepost that does not run, or the URL of its PostgreSQL")
    ap.add_argument("--deliveries", type=int, default=1_000_000)
    ap.add_argument("--recipients", type=int, default=10)
    ap.add_argument("--destinations", type=int, default=10_000)
    ap.add_argument("--deep", type=float, default=0.0, help="share that goes to one domain")
    ap.add_argument("--deep-name", default="deep.test")
    ap.add_argument("--due-in", type=float, default=-1.0, help="seconds until the first is due")
    ap.add_argument("--spread", type=float, default=0.0, help="seconds over which the others are due")
    ap.add_argument("--state", choices=("due", "held"), default="due")
    ap.add_argument("--lane", type=Lane, default=None)
    ap.add_argument("--seed", type=int, default=1)
    o = ap.parse_args()
    asyncio.run(fill(o))


if __name__ == "__main__":
    main()
