"""`gatepost egress`: the source addresses that mail leaves from."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

from gatepost.cli import usage
from gatepost.cli.acting import by
from gatepost.cli.context import (
    NO,
    Json,
    fail,
    load_settings,
    print_json,
    print_table,
    run_with_store,
    say,
    say_error,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatepost.operate.egress import Done, EgressRow
    from gatepost.store.protocols import Store

T = TypeVar("T")

app: Final = usage.Commands(
    help="The source addresses that mail leaves from: list, pause, resume.",
)

Address = Annotated[str, usage.Argument(metavar="ADDRESS", help="An IP address, of any node.")]


@app.command("list")
def list_(ctx: usage.Context, json: Json = False) -> None:
    """List all source addresses: names, pools, nodes, and whether they send."""
    from gatepost.node.home import node_name  # noqa: PLC0415
    from gatepost.operate.egress import Named, egress_json, listing  # noqa: PLC0415

    settings = load_settings(ctx)
    ours = Named(node_name(settings), tuple(each.source for each in settings.egress))
    found = run_with_store(ctx, lambda store: listing(store, ours))
    if json:
        print_json([egress_json(row) for row in found])
        return
    print_table(
        ("ADDRESS", "EHLO NAME", "POOLS", "NODE", "STATE", "WHY"),
        list(map(_cells, found)),
        empty="No source addresses; the system chooses. See [[egress]].",
    )


@app.command()
def pause(
    ctx: usage.Context,
    address: Address,
    reason: Annotated[
        str, usage.Option("--reason", metavar="WORDS", help="Why; told wherever mail waits for it.")
    ] = "",
    json: Json = False,
) -> None:
    """Send nothing new from an address: its mail goes over others of its pools, or waits.

    It stays paused until it is resumed, whatever is restarted meanwhile.
    """

    async def work(store: "Store") -> "Done":
        from gatepost.operate.egress import pause as pause_address  # noqa: PLC0415

        return await pause_address(store, address, reason.strip(), by())

    done = _answered(lambda: run_with_store(ctx, work))
    _print_done(done, "paused", json=json)


@app.command()
def resume(ctx: usage.Context, address: Address, json: Json = False) -> None:
    """Send from an address again."""

    async def work(store: "Store") -> "Done":
        from gatepost.operate.egress import resume as resume_address  # noqa: PLC0415

        return await resume_address(store, address, by())

    done = _answered(lambda: run_with_store(ctx, work))
    _print_done(done, "resumed", json=json)
    if not done.changed:
        raise usage.Exit(NO)


def _answered(ask: "Callable[[], T]") -> "T":
    from gatepost.model.wrong import WrongValueError  # noqa: PLC0415

    try:
        return ask()
    except WrongValueError as error:
        fail(error.wrongs[0].what, error.wrongs[0].mend)


def _print_done(done: "Done", verb: str, *, json: bool) -> None:
    from gatepost.operate.egress import done_json  # noqa: PLC0415

    if json:
        print_json(done_json(done))
        return
    if not done.changed:
        say_error(f"{done.address} was not paused")
        return
    say(f"{verb}: {done.address}")
    for each in done.pools:
        if verb == "paused" and each.addresses:
            say(f"  pool {each.pool}: its mail leaves from {', '.join(each.addresses)}")
        elif verb == "paused":
            say(f"  pool {each.pool}: NOTHING ELSE SENDS FOR IT, its mail waits")
    if not done.known:
        say_error("  no node that runs has this address now")


def _cells(row: "EgressRow") -> tuple[str, ...]:
    return (
        row.address,
        row.name or "-",
        ", ".join(row.pools) or "-",
        row.node or "-",
        row.state.value,
        _why(row),
    )


def _why(row: "EgressRow") -> str:
    from gatepost.operate.egress import EgressState, since_words  # noqa: PLC0415

    words = []
    if row.state is EgressState.ABSENT:
        words.append("the machine does not have it now")
    if row.pause is not None:
        words.append(f"paused {since_words(row.pause, datetime.now(UTC))}")
    if row.twins:
        words.append(f"ALSO AT {', '.join(row.twins)}")
    return "; ".join(words)
