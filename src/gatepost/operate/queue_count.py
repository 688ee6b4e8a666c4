"""How much waits, counted by destination, next hop, account, reason or lane, as plain values."""

from datetime import UTC, datetime
from typing import Any

from gatepost.events.journal import time_text
from gatepost.model.delivery import DeliveryState
from gatepost.model.ids import time_of
from gatepost.store.counts import Group, GroupBy


def oldest_at(group: Group) -> datetime:
    """Return when the oldest delivery of a group was accepted."""
    return datetime.fromtimestamp(time_of(group.oldest) / 1000, UTC)


def group_json(group: Group, by: GroupBy) -> dict[str, Any]:
    """Return a group for `--json`."""
    states = (DeliveryState.DUE, DeliveryState.LEASED, DeliveryState.HELD)
    return {
        by.value: group.key,
        "total": group.total,
        **{state.value: group.states.get(state, 0) for state in states},
        "tried": group.tried,
        "oldest_at": time_text(oldest_at(group)),
    }
