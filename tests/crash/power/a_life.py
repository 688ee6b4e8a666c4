"""The life of two messages in a store: `python -m tests.crash.power.a_life live|finish|upgrade DIRECTORY`.

Each step is printed once it is durable. `live` accepts; `upgrade` only opens; `finish` only brings to its end what is
there, as the next process does. What the store refuses is tried again, as everybody does.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from gatepost.events.record import about_delivery
from gatepost.model.delivery import DeliveryState, Leased
from gatepost.model.event import EventKind
from gatepost.model.ids import SubmissionId, WorkerId
from gatepost.net.clock import new_identifier, now
from gatepost.reception.accept import Acceptance
from gatepost.reception.returned import accept_return
from gatepost.returns.notify import Notifier
from gatepost.store.envelope import Envelope
from gatepost.store.leases import Lease
from gatepost.store.notices import NoticeKind
from gatepost.store.protocols import Settlement, Store, StoreUnavailableError
from gatepost.store.sqlite import open_sqlite
from tests.store.makers import ACCEPTED, LATER, REFUSED, delivery, held, submission

T = TypeVar("T")
WORKER = WorkerId("node/1/1/")
#: How often a step is tried again; one failure is injected, and SQLite may need a second look.
TRIES = 20


async def insist(step: Callable[[], Awaitable[T]]) -> T:
    for _ in range(TRIES):
        try:
            return await step()
        except StoreUnavailableError as trouble:
            print("put-off", trouble, flush=True)
            await asyncio.sleep(0.005)
    raise AssertionError("the store never came back")


def say(*words: object) -> None:
    print(*words, flush=True)


async def accept(store: Store, *recipients: str) -> None:
    message = submission(id=SubmissionId(new_identifier()), received_at=now())
    octets = (message.id.encode() + b"\r\n") * 300
    ways = [
        delivery(message, r, id=new_identifier(), expires_at=now() + timedelta(days=1))
        for r in recipients
    ]
    accepted = about_delivery(EventKind.ACCEPTED, ways[0], message, now())

    def job(transaction):
        transaction.add_deliveries(message, ways)
        transaction.add_events([accepted])

    envelope = Envelope(message, ways, suffices=True)
    await store.write(job, (message.id, (octets,)), envelope)
    say("accepted", message.id, *(way.id for way in ways))


def outcome_of(leased: Leased) -> Settlement:
    """Return what becomes of a delivery: its recipient's name says so."""
    row, at = leased.delivery, now()
    name = row.forward_path.partition("@")[0]
    if name == "later" and row.attempts < 1:
        state, outcome, kind = DeliveryState.DUE, LATER, EventKind.DEFERRED
    elif name == "bad":
        state, outcome, kind = DeliveryState.REFUSED, REFUSED, EventKind.REFUSED
    else:
        state, outcome, kind = DeliveryState.DELIVERED, ACCEPTED, EventKind.DELIVERED
    return Settlement(
        held(leased),
        state,
        outcome,
        [about_delivery(kind, row, leased.submission, at, outcome=outcome)],
        next_attempt_at=at if state is DeliveryState.DUE else None,
        notice=NoticeKind.RETURN if state is DeliveryState.REFUSED else None,
    )


async def deliver(store: Store) -> bool:
    """Bring what is due one step on; False when nothing is."""
    at = now()
    lease = Lease(WORKER, at + timedelta(minutes=2))
    leased = await insist(lambda: store.write(lambda t: t.lease_due(at, lease, limit=10)))
    if not leased:
        return False
    ours = await insist(lambda: store.write(lambda t: t.begin_attempts(map(held, leased))))
    for one in ours:
        say("attempted", one)
    settlements = [outcome_of(one) for one in leased]
    kept = await insist(lambda: store.write(lambda t: t.settle(settlements)))
    for one in settlements:
        if one.held.id in kept and one.state.is_final:
            say("settled", one.held.id)
    return True


async def live(store: Store) -> None:
    await insist(lambda: accept(store, "good@y.example", "bad@y.example"))
    await finish(store)
    await insist(lambda: accept(store, "later@y.example"))
    await finish(store)


async def finish(store: Store) -> None:
    acceptance = Acceptance(
        store=store, hostname="relay.test", message_size=10**6, give_up=timedelta(days=1)
    )
    notifier = Notifier(
        store,
        "relay.test",
        lambda message, strike_out: accept_return(message, strike_out, acceptance),
        now=now,
    )
    await insist(lambda: store.write(lambda t: t.free_leases("")))
    while True:
        while await deliver(store):
            pass
        await insist(notifier.send_due)
        if not any((await insist(lambda: store.read(lambda r: r.queue_depth()))).values()):
            break
    await insist(lambda: store.tidy(now()))
    say("finished")


async def run(verb: str, directory: Path) -> None:
    store = await insist(lambda: open_sqlite(directory, WORKER))
    await insist(store.recover)
    if verb != "upgrade":
        await (live if verb == "live" else finish)(store)
    await store.close()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], Path(sys.argv[2])))
