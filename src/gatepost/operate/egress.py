"""Source addresses as an operator sees them: where each is, whether it sends; pause and resume."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from gatepost.egress.served import served_anywhere
from gatepost.events.journal import time_text
from gatepost.model.event import Event, EventKind, Fact
from gatepost.model.source import DEFAULT, Source
from gatepost.model.wrong import wrong
from gatepost.queue.presence import heard
from gatepost.store.pauses import Pause
from gatepost.store.presences import Presence
from gatepost.store.protocols import Reading, Store, Transaction

if TYPE_CHECKING:
    from gatepost.operate.accounts import By


class EgressState(StrEnum):
    """Whether an address sends: it does; it was paused; its machine has it not; its node is down."""

    SENDS = "sends"
    PAUSED = "paused"
    ABSENT = "absent"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class EgressRow:
    """One address at one node. `node` is "" for a paused one that no node names; `twins` are other
    nodes that have it, too.
    """

    address: str
    name: str
    pools: tuple[str, ...]
    node: str
    state: EgressState
    pause: Pause | None = None
    twins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Named:
    """What this node's settings name, whether it runs or not."""

    node: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class PoolLeft:
    """A pool of an address, and what else sends for it."""

    pool: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """What a verb came to. `pools` are those of the address; `known`: a node has it."""

    address: str
    known: bool
    changed: bool
    pools: tuple[PoolLeft, ...]


async def listing(store: Store, ours: Named) -> list[EgressRow]:
    """Return all addresses that nodes announce, that our settings name, and that are paused.

    Raises:
        StoreUnavailableError: the store cannot be read.

    """
    return await store.read(lambda reading: rows(reading, ours))


def rows(reading: Reading, ours: Named) -> list[EgressRow]:
    """Return what `listing` does, by address and node."""
    alive = heard(reading.presences(), reading.time())
    pauses = {pause.address: pause for pause in reading.pauses()}
    found: dict[tuple[str, str], EgressRow] = {}
    for source in ours.sources:
        for address in source.addresses:
            found[address, ours.node] = _row(address, source, ours.node, EgressState.DOWN, pauses)
    for one in alive:
        for each in one.sources:
            for address in each.source.addresses:
                state = EgressState.ABSENT if address in each.absent else EgressState.SENDS
                found[address, one.node] = _row(address, each.source, one.node, state, pauses)
    for address in pauses.keys() - {address for address, _ in found}:
        nobody = Source("", pools=())
        found[address, ""] = _row(address, nobody, "", EgressState.PAUSED, pauses)
    twins = twins_of(alive)
    return [_with_twins(row, twins) for row in sorted(found.values(), key=_order)]


def unusable_addresses(reading: Reading) -> frozenset[str]:
    """Return the addresses from which nothing leaves: paused, or at no node that should have them."""
    announced = [e for one in heard(reading.presences(), reading.time()) for e in one.sources]
    there = {a for each in announced for a in each.source.addresses if a not in each.absent}
    absent = {a for each in announced for a in each.absent} - there
    return frozenset(absent | {pause.address for pause in reading.pauses()})


def twins_of(alive: Iterable[Presence]) -> dict[str, tuple[str, ...]]:
    """Return addresses that the machines of several nodes have, each with the nodes' names."""
    nodes: dict[str, set[tuple[str, str]]] = {}
    for one in alive:
        for each in one.sources:
            for address in set(each.source.addresses) - set(each.absent):
                nodes.setdefault(address, set()).add((one.node, one.home))
    return {
        address: tuple(sorted(node for node, _ in found))
        for address, found in sorted(nodes.items())
        if len(found) > 1
    }


async def pause(store: Store, text: str, reason: str, by: "By") -> Done:
    """Let nothing new leave from an address, of whichever node, until it is resumed.

    Raises:
        WrongValueError: `text` is no IP address.
        StoreUnavailableError: nothing was written.

    """
    address = parse_address(text)

    def job(transaction: Transaction) -> Done:
        transaction.put_pause(Pause(address, by.now, by.operator, reason))
        transaction.add_events([_event(EventKind.EGRESS_PAUSED, address, by, reason)])
        return _done(transaction, address, changed=True)

    return await store.write(job)


async def resume(store: Store, text: str, by: "By") -> Done:
    """Let mail leave from an address again.

    Raises:
        WrongValueError: `text` is no IP address.
        StoreUnavailableError: nothing was written.

    """
    address = parse_address(text)

    def job(transaction: Transaction) -> Done:
        changed = transaction.remove_pause(address)
        if changed:
            transaction.add_events([_event(EventKind.EGRESS_RESUMED, address, by)])
        return _done(transaction, address, changed=changed)

    return await store.write(job)


def parse_address(text: str) -> str:
    """Return an IP address in its shortest form. Raises WrongValueError."""
    try:
        return str(ip_address(text.strip().strip("[]")))
    except ValueError:
        msg = f'"{text}" is no IP address'
        raise wrong(msg, 'see "gatepost egress list"') from None


def egress_json(row: EgressRow) -> dict[str, Any]:
    """Return a row as programs read it."""
    pause = row.pause
    return {
        "address": row.address,
        "name": row.name,
        "pools": list(row.pools),
        "node": row.node,
        "state": row.state.value,
        "paused_at": time_text(pause.since) if pause else None,
        "paused_by": pause.by if pause else None,
        "reason": pause.reason if pause else None,
        "twins": list(row.twins),
    }


def done_json(done: Done) -> dict[str, Any]:
    """Return what a verb came to as programs read it."""
    return {
        "address": done.address,
        "known": done.known,
        "changed": done.changed,
        "pools": {each.pool: list(each.addresses) for each in done.pools},
    }


def _row(
    address: str, source: Source, node: str, state: EgressState, pauses: dict[str, Pause]
) -> EgressRow:
    pause = pauses.get(address)
    shown = EgressState.PAUSED if pause and state is EgressState.SENDS else state
    return EgressRow(address, source.name, source.pools, node, shown, pause)


def _with_twins(row: EgressRow, twins: dict[str, tuple[str, ...]]) -> EgressRow:
    others = list(twins.get(row.address, ()))
    if row.node in others:
        others.remove(row.node)
    return EgressRow(
        row.address, row.name, row.pools, row.node, row.state, row.pause, tuple(others)
    )


def _order(row: EgressRow) -> tuple[bool, bytes, str]:
    address = ip_address(row.address)
    return address.version == 6, address.packed, row.node


def _event(kind: EventKind, address: str, by: "By", reason: str = "") -> Event:
    facts: dict[str, Fact] = {"source": address, "by": by.operator}
    return Event(kind, by.now, facts=facts | ({"reason": reason} if reason else {}))


def _done(transaction: Transaction, address: str, *, changed: bool) -> Done:
    alive = heard(transaction.presences(), transaction.time())
    announced = [each for one in alive for each in one.sources]
    paused = {pause.address for pause in transaction.pauses()}
    pools = sorted({p for e in announced if address in e.source.addresses for p in e.source.pools})
    left = []
    for pool in pools:
        others = {
            other
            for each in announced
            if pool in each.source.pools
            for other in each.source.addresses
            if other not in paused and other not in each.absent and other != address
        }
        left.append(PoolLeft(pool, tuple(sorted(others))))
    return Done(address, bool(pools), changed, tuple(left))


def unserved(alive: Sequence[Presence], pauses: Sequence[Pause], pools: Iterable[str]) -> list[str]:
    """Return those of these pools for which no worker that is alive sends."""
    there = served_anywhere(alive, pauses)
    return sorted({pool or DEFAULT for pool in pools} - there)


def since_words(pause: Pause, now: datetime) -> str:
    """Return since when and why an address is paused."""
    days = (now - pause.since).days
    when = f"{pause.since:%Y-%m-%d %H:%M}" if days else f"{pause.since:%H:%M}"
    return f"since {when} by {pause.by}" + (f": {pause.reason}" if pause.reason else "")
