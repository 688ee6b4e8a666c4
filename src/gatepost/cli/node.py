"""`gatepost node`: which nodes share this store, and whether they are heard."""

from typing import TYPE_CHECKING, Final

from gatepost.cli import usage
from gatepost.cli.context import Json, print_json, print_table, run_with_store, say_error

if TYPE_CHECKING:
    from gatepost.operate.nodes import NodeRow

app: Final = usage.Commands(
    help="The nodes that share a store: list.",
)


@app.command("list")
def list_(ctx: usage.Context, json: Json = False) -> None:
    """List all nodes: since when, heard how long ago, what they hold, how their clocks go."""
    from gatepost.net.clock import now  # noqa: PLC0415
    from gatepost.operate.nodes import listing, node_json  # noqa: PLC0415

    found = run_with_store(ctx, listing)
    if json:
        moment = now()
        print_json([node_json(row, moment) for row in found])
        return
    columns = ("NODE", "STATE", "VERSION", "SINCE", "HEARD", "PROCESSES", "LEASED", "CLOCK")
    print_table(columns, list(map(_cells, found)), empty="No node runs.")
    for row in found:
        if row.shared:
            words = f"{row.name}: source address {', '.join(row.shared)} is at another node, too"
            say_error(words)


def _cells(row: "NodeRow") -> tuple[str, ...]:
    lost = sum(worker.lost for worker in row.workers)
    processes = str(len(row.workers)) + (f" ({lost} lost)" if lost else "")
    return (
        row.name,
        row.state.value,
        row.version,
        f"{row.since:%Y-%m-%d %H:%M:%S}",
        f"{row.heard_ago.total_seconds():.0f} s ago",
        processes,
        str(row.leased),
        f"{row.ahead.total_seconds():+.1f} s".replace("-0.0", "+0.0"),
    )
