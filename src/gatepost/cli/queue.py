"""`gatepost queue`: look at what waits, and change it."""

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gatepost.cli.context import NO, Json, fail, print_json, print_table, run_with_store, say
from gatepost.cli.filters import (
    AccountOption,
    DestinationOption,
    IdOption,
    RecipientOption,
    queue_filter,
)

if TYPE_CHECKING:
    from gatepost.operate.queue import Shown, Verb
    from gatepost.store.protocols import QueueFilter, QueueRow, Store

app: Final = typer.Typer(
    help="What waits: list it, look at it, hold, release, retry or cancel it.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

AllOption = Annotated[bool, typer.Option("--all", help="Everything, without a filter.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command("list")
def list_(  # noqa: PLR0913, PLR0917 - its options
    ctx: typer.Context,
    captured: Annotated[bool, typer.Option("--captured", help="What was captured.")] = False,
    account: AccountOption = None,
    destination: DestinationOption = None,
    recipient: RecipientOption = None,
    id: IdOption = None,  # noqa: A002
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state", metavar="STATE", help="Only in this state, finished ones too; repeatable."
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000)] = 100,
    after: Annotated[
        str | None, typer.Option("--after", metavar="ID", help="Go on after this delivery.")
    ] = None,
    json: Json = False,
) -> None:
    """List deliveries, oldest first: those that are not finished, unless told otherwise."""
    states = [*(state or []), *(["captured"] if captured else [])]
    which = queue_filter(
        account=account, destination=destination, recipient=recipient, id=id, states=states
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
    ctx: typer.Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="Of a message or a delivery.")],  # noqa: A002
    content: Annotated[
        bool, typer.Option("--content", help="Write the content's octets, and nothing else.")
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


def _add_verb(verb: str, words: str) -> None:
    def command(  # noqa: PLR0913, PLR0917 - its options
        ctx: typer.Context,
        account: AccountOption = None,
        destination: DestinationOption = None,
        recipient: RecipientOption = None,
        id: IdOption = None,  # noqa: A002
        all_: AllOption = False,
        yes: YesOption = False,
        json: Json = False,
    ) -> None:
        which = queue_filter(account=account, destination=destination, recipient=recipient, id=id)
        _change(ctx, verb, which, all_=all_, yes=yes, json=json)

    app.command(verb, help=words)(command)


_add_verb("hold", "Keep deliveries until they are released.")
_add_verb("release", "Let held deliveries go: they are due at once, or when they were to be sent.")
_add_verb(
    "retry", "Try waiting deliveries now, those sent for later too. (Held ones need release.)"
)
_add_verb("cancel", "Give deliveries up for good; nobody is told.")


@app.command()
def verify(ctx: typer.Context, json: Json = False) -> None:
    """Check that the store is whole: rows, contents, checksums."""
    findings = run_with_store(ctx, _verify)
    if json:
        print_json(findings)
    else:
        for finding in findings or ["The store is whole."]:
            say(finding)
    if findings:
        raise typer.Exit(NO)


def _change(
    ctx: typer.Context, verb: str, which: "QueueFilter", *, all_: bool, yes: bool, json: bool
) -> None:
    from gatepost.operate.queue import Verb  # noqa: PLC0415
    from gatepost.store.protocols import QueueFilter  # noqa: PLC0415

    if which == QueueFilter():
        if not all_:
            fail(
                f"{verb} what?",
                "give --id, --account, --destination or --recipient; or --all for everything",
            )
        if not yes and sys.stdin.isatty() and not typer.confirm(f"{verb} everything?"):
            raise typer.Exit(NO)
    elif all_:
        fail("--all goes without a filter", "remove one of them")
    changed = run_with_store(ctx, lambda store: _changed(store, Verb(verb), which))
    if json:
        print_json({"changed": changed})
    else:
        say(f"{verb}: {changed} deliver{'y' if changed == 1 else 'ies'}")
    if not changed and which.id:
        raise typer.Exit(NO)


async def _rows(
    store: "Store", which: "QueueFilter", limit: int, after: str | None
) -> "list[QueueRow]":
    from gatepost.model.ids import DeliveryId  # noqa: PLC0415
    from gatepost.operate.queue import listing  # noqa: PLC0415

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


async def _changed(store: "Store", verb: "Verb", which: "QueueFilter") -> int:
    from gatepost.operate.operator import operator_name  # noqa: PLC0415
    from gatepost.operate.queue import change  # noqa: PLC0415

    return await change(store, verb, which, now=datetime.now(UTC), by=operator_name())


async def _verify(store: "Store") -> list[str]:
    from gatepost.store.verify import verify as verify_store  # noqa: PLC0415

    return list(await verify_store(store))


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
