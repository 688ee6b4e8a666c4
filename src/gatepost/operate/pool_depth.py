"""How much waits for each pool of source addresses, and why nothing leaves for one."""

from dataclasses import asdict, dataclass
from typing import Any

from gatepost.egress.served import served_anywhere, why_nowhere
from gatepost.model.delivery import DeliveryState
from gatepost.model.source import SYSTEM
from gatepost.queue.presence import heard
from gatepost.store.protocols import Reading


@dataclass(frozen=True, slots=True)
class PoolRow:
    """Deliveries of a pool by their state (`due`: now or later); `pool` is "system" for mail that
    leaves as the system chooses, or not by SMTP. `why` nothing leaves, "" where something may.
    """

    pool: str
    due: int
    leased: int
    held: int
    why: str = ""


def pool_rows(reading: Reading) -> list[PoolRow]:
    """Return the pools that have mail, by name, mail of none first."""
    depth = reading.pool_depth()
    alive, pauses = heard(reading.presences(), reading.time()), reading.pauses()
    there = served_anywhere(alive, pauses)
    rows = []
    for pool in sorted(depth):
        states = depth[pool]
        is_lost = bool(alive) and bool(pool) and pool not in there
        rows.append(
            PoolRow(
                pool or SYSTEM,
                states.get(DeliveryState.DUE, 0),
                states.get(DeliveryState.LEASED, 0),
                states.get(DeliveryState.HELD, 0),
                why_nowhere(pool, alive, pauses) if is_lost else "",
            )
        )
    return rows


def pool_json(row: PoolRow) -> dict[str, Any]:
    """Return a row for `--json`."""
    return asdict(row)
