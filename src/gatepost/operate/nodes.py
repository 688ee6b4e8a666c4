"""The nodes that share a store, as their workers announce them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from gatepost.events.journal import time_text
from gatepost.model.ids import WorkerId
from gatepost.operate.egress import twins_of
from gatepost.queue.presence import heard
from gatepost.store.presences import Presence
from gatepost.store.protocols import Reading, Store


class NodeState(StrEnum):
    """Whether a node's processes are heard: all, some, none for a while, none and taken over."""

    ALIVE = "alive"
    PARTLY = "partly"
    SILENT = "silent"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node. `heard_ago`: how long ago any of its processes was heard; `leased`: deliveries in
    their hands; `ahead`: how far its clock is ahead of the store's.
    """

    name: str
    version: str
    since: datetime
    heard_ago: timedelta
    workers: tuple[Presence, ...]
    leased: int
    ahead: timedelta
    state: NodeState
    addresses: tuple[str, ...]
    #: What it calls from, and which of that other nodes have, too.
    sources: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()


async def listing(store: Store) -> list[NodeRow]:
    """Return the nodes by name.

    Raises:
        StoreUnavailableError: it cannot be read.

    """

    def ask(reading: Reading) -> list[NodeRow]:
        return nodes(reading.presences(), reading.leases_held(), reading.time())

    return await store.read(ask)


def nodes(
    presences: Iterable[Presence], leased: dict[WorkerId, int], now: datetime
) -> list[NodeRow]:
    """Group workers by node; `now` is the store's time."""
    by_node: dict[tuple[str, str], list[Presence]] = {}
    for presence in presences:
        by_node.setdefault((presence.node, presence.home), []).append(presence)
    alive = heard([one for workers in by_node.values() for one in workers], now)
    twins = frozenset(twins_of(alive))
    return [_row(by_node[key], leased, now, twins) for key in sorted(by_node)]


def _row(
    workers: list[Presence], leased: dict[WorkerId, int], now: datetime, twins: frozenset[str]
) -> NodeRow:
    sources = {a for one in workers for each in one.sources for a in each.source.addresses}
    last = max(workers, key=lambda one: one.heard_at)
    living = [one for one in workers if not one.lost]
    return NodeRow(
        name=last.node,
        version=last.version,
        since=min(one.since for one in living or workers),
        heard_ago=max(now - last.heard_at, timedelta(0)),
        workers=tuple(workers),
        leased=sum(leased.get(one.worker, 0) for one in workers),
        ahead=last.ahead,
        state=_state(workers, now),
        addresses=last.addresses,
        sources=tuple(sorted(sources)),
        shared=tuple(sorted(sources & twins)),
    )


def _state(workers: list[Presence], now: datetime) -> NodeState:
    alive = heard(workers, now)
    if len(alive) == len(workers):
        return NodeState.ALIVE
    if alive:
        return NodeState.PARTLY
    return NodeState.LOST if all(one.lost for one in workers) else NodeState.SILENT


def node_json(row: NodeRow, now: datetime) -> dict[str, Any]:
    """Return a node as programs read it; `now` dates what is told as an age."""
    return {
        "node": row.name,
        "state": row.state.value,
        "version": row.version,
        "since": time_text(row.since),
        "heard_at": time_text(now - row.heard_ago),
        "heard_ago": round(row.heard_ago.total_seconds(), 1),
        "clock_ahead": round(row.ahead.total_seconds(), 3),
        "leased": row.leased,
        "addresses": list(row.addresses),
        "sources": list(row.sources),
        "sources_elsewhere_too": list(row.shared),
        "workers": [
            {"worker": one.worker, "since": time_text(one.since), "lost": one.lost}
            for one in row.workers
        ],
    }
