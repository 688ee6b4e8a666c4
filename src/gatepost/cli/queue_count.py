"""`gatepost queue count`: how much waits, by what it has in common."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from gatepost.cli import usage
from gatepost.cli.context import Json, print_json, print_table, run_with_store, say
from gatepost.cli.filters import (
    AccountOption,
    DestinationOption,
    PoolOption,
    ReasonOption,
    queue_filter,
)

if TYPE_CHECKING:
    from gatepost.store.counts import Group, GroupBy
    from gatepost.store.protocols import Store


class By(StrEnum):
    """`store.counts.GroupBy`, which is not read before the command runs."""

    DESTINATION = "destination"
    HOST = "host"
    ACCOUNT = "account"
    REASON = "reason"
    LANE = "lane"


def add_count(app: usage.Commands) -> None:
    """Add the command."""
    app.command("count")(count)


def count(  # noqa: PLR0913, PLR0917 - its options
    ctx: usage.Context,
    by: Annotated[
        By, usage.Option("--by", help="What to count by; host: the next hop that answered last.")
    ] = By.DESTINATION,
    account: AccountOption = None,
    destination: DestinationOption = None,
    reason: ReasonOption = None,
    pool: PoolOption = None,
    limit: Annotated[int, usage.Option("--limit", help="Groups at most.", min=1, max=100_000)] = 20,
    json: Json = False,
) -> None:
    """Count what waits by destination, next hop, account, reason or lane, the largest first."""
    from gatepost.store.counts import GroupBy  # noqa: PLC0415

    which = queue_filter(
        account=account, destination=destination, recipient=None, id=None, reason=reason, pool=pool
    )
    kind = GroupBy(by.value)

    async def work(store: "Store") -> "list[Group]":
        return await store.read(lambda reading: reading.queue_groups(which, kind, limit=limit))

    groups = run_with_store(ctx, work)
    if json:
        from gatepost.operate.queue_count import group_json  # noqa: PLC0415

        print_json([group_json(group, kind) for group in groups])
        return
    _print(groups, kind)
    if len(groups) == limit:
        say(f"\nThere may be more: --limit {limit * 10}")


def _print(groups: "list[Group]", by: "GroupBy") -> None:
    from gatepost.model.delivery import DeliveryState as State  # noqa: PLC0415
    from gatepost.model.quantities import duration_words  # noqa: PLC0415
    from gatepost.operate.queue_count import oldest_at  # noqa: PLC0415

    now = datetime.now(UTC)
    rows = [
        (
            *(str(g.states.get(state, 0)) for state in (State.DUE, State.LEASED, State.HELD)),
            str(g.tried),
            duration_words(now - oldest_at(g)),
            g.key or "-",
        )
        for g in groups
    ]
    columns = ("DUE", "LEASED", "HELD", "TRIED", "OLDEST", by.value.upper())
    print_table(columns, rows, empty="Nothing waits that matches.")
