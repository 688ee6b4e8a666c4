"""From which source address a delivery leaves, and for which pools a node sends (ADR 26). Pure.

Whoever gets mail from us should see it come from one address, and a pool is there to spread the mail
of one account. So the choice hangs on account and recipient: it is the same for each retry
(greylisting knows us again) and for each worker, and nobody has to agree on anything. By rendezvous
hashing (Thaler and Ravishankar, 1998) an address that goes takes only its own mail along.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import blake2b

from gatepost.model.source import DEFAULT, Source
from gatepost.store.leases import ANY_NODE


def usable(sources: Iterable[Source], out: Collection[str]) -> tuple[Source, ...]:
    """Return what is left of sources when these addresses are not to be used."""
    left = (source.without(out) for source in sources)
    return tuple(source for source in left if source.addresses)


def served(sources: Sequence[Source], out: Collection[str]) -> tuple[str, ...]:
    """Return the pools that a node sends for, "" among them.

    Mail of no pool asks for no address: where none is in the default pool, the system chooses.
    """
    found = {pool for source in usable(sources, out) for pool in source.pools}
    if not in_pool(sources, DEFAULT):
        found.add(DEFAULT)
    return (*ANY_NODE, *sorted(found))


def in_pool(sources: Iterable[Source], pool: str) -> tuple[Source, ...]:
    """Return the sources of a pool; "" is the default one."""
    return tuple(source for source in sources if (pool or DEFAULT) in source.pools)


def choose(candidates: Sequence[Source], of: str, peers: Sequence[str]) -> Source:
    """Return one of `candidates`, of which there is at least one.

    Args:
        candidates: what may be used of a pool.
        of: for equal texts the choice is equal.
        peers: IP addresses of which one will be called. One that speaks the version of IP of none
            of them is chosen only where all are so.

    """
    able = [one for one in candidates if any(map(one.for_peer, peers))] or candidates
    if len(able) == 1:
        return able[0]
    return max(able, key=lambda one: blake2b(f"{one.key} {of}".encode(), digest_size=8).digest())


def why_none(sources: Sequence[Source], pool: str, out: Mapping[str, str]) -> str:
    """Return in words why nothing leaves for a pool. `out` says of addresses what is wrong."""
    there = [address for source in in_pool(sources, pool) for address in source.addresses]
    if not there:
        return f"no source address of pool {pool or DEFAULT} is at this node"
    told = "; ".join(f"{address} {out[address]}" for address in there if address in out)
    return f"no source address of pool {pool or DEFAULT} may be used: {told}"


def pause_words(reason: str) -> str:
    """Return what is told of a paused address behind its name."""
    return f"is paused ({reason})" if reason else "is paused"


#: What is told of an address behind its name that bind() refuses (EADDRNOTAVAIL).
ABSENT = "is not an address of this machine now"
