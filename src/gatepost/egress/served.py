"""For which pools any node sends, and why none does for another: from what nodes announce. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from gatepost.egress.choice import ABSENT, in_pool, pause_words, served
from gatepost.model.source import DEFAULT
from gatepost.store.pauses import Pause
from gatepost.store.presences import Announced, Presence


def out_of(announced: Iterable[Announced], pauses: Iterable[Pause]) -> Mapping[str, str]:
    """Return what is wrong with addresses, in words behind their names: absent, or paused."""
    out = {address: ABSENT for one in announced for address in one.absent}
    return out | {pause.address: pause_words(pause.reason) for pause in pauses}


def served_anywhere(alive: Iterable[Presence], pauses: Sequence[Pause]) -> frozenset[str]:
    """Return the pools for which workers that are alive send."""
    found: set[str] = set()
    for one in alive:
        sources = [each.source for each in one.sources]
        found.update(served(sources, out_of(one.sources, pauses).keys()))
    return frozenset(found)


def why_nowhere(pool: str, alive: Iterable[Presence], pauses: Sequence[Pause]) -> str:
    """Return in words why nothing leaves for a pool that none of the workers alive serves."""
    told: dict[str, str] = {}
    for one in alive:
        out = out_of(one.sources, pauses)
        for source in in_pool([each.source for each in one.sources], pool):
            told |= {a: f"{a} {out[a]}" for a in source.addresses if a in out}
    name = pool or DEFAULT
    if told:
        return f"no source address of pool {name} may be used: {'; '.join(told.values())}"
    return f"no node that runs has a source address of pool {name}"
