"""`gatepost queue`: look at what waits, and change it."""

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

from gatepost.cli import usage
from gatepost.cli.context import NO, Json, fail, print_json, print_table, run_with_store, say
from gatepost.cli.filters import (
    AccountOption,
    DestinationOption,
    IdOption,
    PoolOption,
    ReasonOption,
    RecipientOption,
    queue_filter,
)
from gatepost.cli.queue_change import add_verbs
from gatepost.cli.queue_count import add_count
from gatepost.cli.queue_pools import add_pools

if TYPE_CHECKING:
    from gatepost.operate.queue import Shown
    from gatepost.store.protocols import Store
    from gatepost.store.queue_view import QueueFilter, QueueRow

app: Final = usage.Commands(
    help="What waits: list it, count it, look at it, hold, release, retry or cancel it.",
)


@app.command("list")
def list_(  # noqa: PLR0913, PLR0917 - its options
    ctx: usage.Context,
    captured: Annotated[bool, usage.Option("--captured", help="What was captured.")] = False,
    account: AccountOption = None,
    destination: DestinationOption = None,
    recipient: RecipientOption = None,
    id: IdOption = None,  # noqa: A002
    reason: ReasonOption = None,
    pool: PoolOption = None,
    state: Annotated[
        list[str] | None,
        usage.Option(
            "--state", metavar="STATE", help="Only in this state, finished ones too; repeatable."
        ),
    ] = None,
    limit: Annotated[int, usage.Option("--limit", min=1, max=100_000)] = 100,
    after: Annotated[
        str | None, usage.Option("--after", metavar="ID", help="Go on after this delivery.")
    ] = None,
    json: Json = False,
) -> None:
    """List deliveries, oldest first: those that are not finished, unless told otherwise."""
    states = [*(state or []), *(["captured"] if captured else [])]
    which = queue_filter(
        account=account,
        destination=destination,
        recipient=recipient,
        id=id,
        reason=reason,
        pool=pool,
        states=states,
    )
    rows = run_with_store(ctx, lambda store: _rows(store, which, limit, after))
    if json:
        from gatepost.operate.as_json import row_json  # noqa: PLC0415

        print_json([row_json(row) for row in rows])
        return
    _print_rows(rows)
    if len(rows) == limit:
        say(f"\nThere may be more: --after {rows[-1].delivery.id}")


@app.command()
def show(
    ctx: usage.Context,
    id: Annotated[str, usage.Argument(metavar="ID", help="Of a message or a delivery.")],  # noqa: A002
    content: Annotated[
        bool, usage.Option("--content", help="Write the content's octets, and nothing else.")
    ] = False,
    json: Json = False,
) -> None:
    """Show one message: envelope, deliveries, header section, timeline."""
    which = queue_filter(account=None, destination=None, recipient=None, id=id)
    name = which.id or ""
    if content:
        octets = run_with_store(ctx, lambda store: _content(store, name))
        sys.stdout.buffer.write(octets)
        return
    shown = run_with_store(ctx, lambda store: _show(store, name))
    if json:
        header = shown.header.decode("utf-8", "replace") if shown.header is not None else None
        print_json(shown.traced.as_json() | {"header": header})
        return
    _print_shown(shown)


add_verbs(app)
add_count(app)
add_pools(app)


@app.command()
def verify(ctx: usage.Context, json: Json = False) -> None:
    """Check that the store is whole: rows, contents, checksums."""
    findings = run_with_store(ctx, _verify)
    if json:
        print_json(findings)
    else:
        for finding in findings or ["The store is whole."]:
            say(finding)
    if findings:
        raise usage.Exit(NO)


async def _rows(
    store: "Store", which: "QueueFilter", limit: int, after: str | None
) -> "list[QueueRow]":
    from gatepost.model.ids import DeliveryId  # noqa: PLC0415
    from gatepost.operate.queue_listing import listing  # noqa: PLC0415

    return await listing(store, which, limit=limit, after=DeliveryId(after) if after else None)


async def _show(store: "Store", name: str) -> "Shown":
    from gatepost.operate import queue  # noqa: PLC0415

    try:
        found = await queue.show(store, name)
    except queue.AmbiguousError:
        fail(f"{name} begins several ids", "write more of its digits", NO)
    if found is None:
        fail(f"there is no message or delivery {name}", 'see "gatepost queue list"', NO)
    return found


async def _content(store: "Store", name: str) -> bytes:
    from gatepost.operate import queue  # noqa: PLC0415

    try:
        submission_id = await queue.find(store, name)
    except queue.AmbiguousError:
        fail(f"{name} begins several ids", "write more of its digits", NO)
    if submission_id is None:
        fail(f"there is no message or delivery {name}", 'see "gatepost queue list"', NO)
    octets = await queue.content(store, submission_id)
    if octets is None:
        fail(f"the content of {name} is gone", "see [retention] content", NO)
    return octets


async def _verify(store: "Store") -> list[str]:
    from gatepost.cli.bar import Bar  # noqa: PLC0415
    from gatepost.store.verify import verify as verify_store  # noqa: PLC0415

    bar = Bar()
    try:
        return list(await verify_store(store, bar.show))
    finally:
        bar.end()


def _print_rows(rows: "list[QueueRow]") -> None:
    from gatepost.events.timeline import standing  # noqa: PLC0415

    now = datetime.now(UTC)
    print_table(
        ("ID", "FROM", "RECIPIENT", "LANE", "STATE", "TRIES", "WHAT"),
        [
            (
                row.delivery.id,
                row.submission.reverse_path or "<>",
                row.delivery.forward_path,
                row.delivery.lane.value,
                row.delivery.state.value,
                str(row.delivery.attempts),
                standing(row.delivery, now),
            )
            for row in rows
        ],
        empty="Nothing waits that matches.",
    )


def _print_shown(shown: "Shown") -> None:
    from gatepost.cli.trace import print_traced  # noqa: PLC0415

    print_traced(shown.traced)
    say("\nHeader section" if shown.header is not None else "\nThe content is gone.")
    if shown.header is not None:
        text = shown.header.decode("utf-8", "replace").replace("\r\n", "\n")
        say("\n".join(f"  {line}" for line in text.splitlines()))
