"""The queue over HTTP: hold, release, retry or cancel what waits, a stretch of it per request."""

from time import monotonic
from typing import Annotated, Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from gatepost.api.keys import Admin, own_account
from gatepost.api.problems import RESPONSES, ProblemError
from gatepost.model.ids import DeliveryId
from gatepost.net.clock import now
from gatepost.operate.queue_change import Order, Span, Verb, change_portion, matching, span_of
from gatepost.operate.queue_filter import queue_filter
from gatepost.store.protocols import Store

router: Final = APIRouter(prefix="/v1/queue", tags=["queue"], responses=RESPONSES)

#: Seconds after which a request leaves the rest to the next one; clients wait for 30 or 60.
_LONGEST: Final = 5.0

Text = Annotated[str, Field(max_length=320)]


class ChangeIn(BaseModel):
    """Which deliveries are meant: all that is given must match; `all` is for everything. `next` is
    what the last answer said: go on there.
    """

    model_config = ConfigDict(extra="forbid")

    account: Text | None = None
    destination: Text | None = None
    recipient: Text | None = None
    id: Text | None = None
    pool: Text | None = None
    all: bool = False
    next: Annotated[str, Field(pattern="^[0-9a-f]{32}-[0-9a-f]{32}$")] | None = None


class Changed(BaseModel):
    """How many deliveries this request changed; with `next` there are more, so ask again with it."""

    changed: int
    next: str | None


@router.post("/{verb}")
async def change_queue(verb: Verb, which: ChangeIn, request: Request, key: Admin) -> Changed:
    """Hold, release, retry or cancel what matched when the first request was made.

    A request works for five seconds at most. Each delivery that is changed is changed for good, also
    when the answer is lost: asking again changes the rest.
    """
    store: Store = request.app.state.api.intake.store
    named = {which.account, which.destination, which.recipient, which.id, which.pool} != {None}
    if named == which.all:
        words = "name account, destination, recipient, id or pool; or all, and none of them"
        raise ProblemError(422, "Which deliveries?", words)
    wanted = queue_filter(
        account=own_account(key, which.account),
        destination=which.destination,
        recipient=which.recipient,
        id=which.id,
        pool=which.pool,
    )
    order = Order(verb, wanted, f"API key {key.id}")
    return await _change(store, order, await _span(store, order, which.next))


async def _span(store: Store, order: Order, given: str | None) -> Span | None:
    if given is not None:
        after, _, until = given.partition("-")
        return Span(DeliveryId(until), DeliveryId(after))
    return span_of(await matching(store, order))


async def _change(store: Store, order: Order, left: Span | None) -> Changed:
    changed, end = 0, monotonic() + _LONGEST
    while left is not None and monotonic() < end:
        done = await change_portion(store, order, left, now())
        changed += done.changed
        left = done.left
    return Changed(changed=changed, next=None if left is None else f"{left.after}-{left.until}")
