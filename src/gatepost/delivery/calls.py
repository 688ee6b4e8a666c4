"""Whom to call for a site, and from where."""

from dataclasses import replace

from gatepost.delivery.link import Call
from gatepost.delivery.room7 import Room7
from gatepost.delivery.site import targets
from gatepost.delivery.site_queue import SiteQueue


def calls_of(queue: SiteQueue, room: Room7) -> list[Call]:
    """Return whom to call from where, in order; only by a version of IP that the source has."""
    source, most = queue.source, queue.bounds.addresses
    if source is None:
        chosen = targets(queue.site.hosts, room.chance, most)
        return [Call(target, None, room.around.ourselves.hostname) for target in chosen]
    hosts = [
        replace(host, addresses=tuple(a for a in host.addresses if source.for_peer(a)))
        for host in queue.site.hosts
    ]
    chosen = targets(hosts, room.chance, most)
    return [Call(t, source.for_peer(t.address.host), source.name) for t in chosen]


def why_no_call(queue: SiteQueue) -> str:
    """Return why `calls_of` has nobody."""
    if queue.source is None:
        return "no address to call"
    ours = " and ".join(queue.source.addresses)
    return f"the next hop has no address of a version of IP that {ours} could call"
