"""How much waits, and who sends how much: what `queue count` and `account usage` tell, over HTTP."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Query, Request

from gatepost.api.keys import Reader, own_account
from gatepost.api.problems import RESPONSES
from gatepost.model.quantities import parse_duration
from gatepost.model.wrong import wrong
from gatepost.net.clock import now
from gatepost.operate.account_usage import sender_json
from gatepost.operate.queue_count import group_json
from gatepost.operate.queue_filter import queue_filter
from gatepost.store.counts import GroupBy
from gatepost.store.protocols import Reading

router: Final = APIRouter(prefix="/v1", responses=RESPONSES)

T = TypeVar("T")
Text = Annotated[str | None, Query(max_length=320)]
Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get("/queue/count", tags=["queue"])
async def count_queue(  # noqa: PLR0913, PLR0917 - its parameters
    request: Request,
    key: Reader,
    by: GroupBy = GroupBy.DESTINATION,
    account: Text = None,
    destination: Text = None,
    reason: Text = None,
    pool: Text = None,
    limit: Limit = 20,
) -> list[dict[str, Any]]:
    """Count what waits by destination, next hop (`host`), account, reason or lane, the largest first."""
    which = queue_filter(
        account=own_account(key, account),
        destination=destination,
        recipient=None,
        id=None,
        pool=pool,
    )
    which = replace(which, reason=reason)
    groups = await _counted(request, lambda reading: reading.queue_groups(which, by, limit=limit))
    return [group_json(group, by) for group in groups]


@router.get("/accounts/usage", tags=["accounts"])
async def tell_usage(
    request: Request,
    key: Reader,
    within: Annotated[str, Query(max_length=40, description='"10 min", "1 d"')] = "1 h",
    limit: Limit = 20,
) -> list[dict[str, Any]]:
    """Tell who sends how much: messages and recipients of each account, the busiest first. A key with
    an account is told its own.
    """
    own = own_account(key)
    since = now() - _span(within)
    senders = await _counted(request, lambda reading: reading.senders(since))
    told = [each for each in senders if own is None or each.account == own]
    return [sender_json(each) for each in told[:limit]]


async def _counted(request: Request, query: Callable[[Reading], T]) -> T:
    """Ask what all rows are gone through for: one such question at a time, whoever asks."""
    api: Any = request.app.state.api
    async with api.counting:
        answer: T = await api.intake.store.read(query)
        return answer


def _span(text: str) -> timedelta:
    """Read a duration. Raises WrongValueError."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise wrong(f'"{text}" is not understood', f"it {error}") from None
