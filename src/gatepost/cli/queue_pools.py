"""`gatepost queue pools`: how much waits for which pool of source addresses."""

from typing import TYPE_CHECKING

from gatepost.cli import usage
from gatepost.cli.context import Json, print_json, print_table, run_with_store

if TYPE_CHECKING:
    from gatepost.operate.pool_depth import PoolRow
    from gatepost.store.protocols import Store


def add_pools(app: usage.Commands) -> None:
    """Add the command."""
    app.command("pools")(pools)


def pools(ctx: usage.Context, json: Json = False) -> None:
    """Count what waits by pool of source addresses, and say where nothing sends for one."""
    rows = run_with_store(ctx, _rows)
    if json:
        from gatepost.operate.pool_depth import pool_json  # noqa: PLC0415

        print_json([pool_json(row) for row in rows])
        return
    print_table(
        ("POOL", "DUE", "LEASED", "HELD", "WHY NOTHING LEAVES"),
        [(row.pool, *map(str, (row.due, row.leased, row.held)), row.why) for row in rows],
        empty="Nothing waits.",
    )


async def _rows(store: "Store") -> "list[PoolRow]":
    from gatepost.operate.pool_depth import pool_rows  # noqa: PLC0415

    return await store.read(pool_rows)
