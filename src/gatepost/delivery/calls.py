"""Whom to call for a site, and from where; and the calling, until somebody grants a session."""

import asyncio
import logging
from dataclasses import replace
from datetime import datetime

from gatepost.delivery.depot import Depot
from gatepost.delivery.link import Link, open_link
from gatepost.delivery.link_parts import Call, LinkFailedError
from gatepost.delivery.site import Kind, targets
from gatepost.delivery.site_queue import SiteQueue
from gatepost.model.delivery import Outcome, OutcomeKind
from gatepost.model.event import Event, EventKind, Fact
from gatepost.model.route import TlsMode
from gatepost.net.dialer import SourceMissingError
from gatepost.returns.outcome import LOCAL_TROUBLE, NO_CONNECTION, as_given, deferred

_log = logging.getLogger(__name__)

#: A fault of ours is no reason to hold a delivery: it waits like any other that failed.
OUR_FAULT = deferred(LOCAL_TROUBLE, "a fault of ours; it is in the log")


async def call_one(queue: SiteQueue, depot: Depot) -> Link:
    """Return a session with the first host that grants one.

    Raises:
        LinkFailedError: none does. A temporary reason outweighs a permanent one.
        SourceMissingError: this machine does not have the address to call from.

    """
    try:
        link = await _call_all(queue, depot)
    except LinkFailedError as failure:
        if queue.site.is_found:
            raise
        raise LinkFailedError(as_given(failure.outcome)) from None
    depot.resting.served(queue.key)
    return link


async def _call_all(queue: SiteQueue, depot: Depot) -> Link:
    failure: LinkFailedError | None = None
    loop, bounds = asyncio.get_running_loop(), queue.bounds
    began = loop.time()
    for call in _calls_of(queue, depot):
        target = call.target
        is_late = queue.is_hurried and loop.time() - began > bounds.hurried_begin
        if is_late and failure and failure.outcome.kind is OutcomeKind.DEFERRED:
            break  # a "never" of some of the hosts is none of all
        try:
            return await _dial(queue, depot, call)
        except SourceMissingError:
            depot.source_missing(call.source or "")
            raise
        except LinkFailedError as this:
            if failure is None or failure.outcome.kind is OutcomeKind.REFUSED:
                failure = this
        except Exception:  # noqa: BLE001 - the next host may do better
            _log.exception("no session with %s", target.name)
            if failure is None or failure.outcome.kind is OutcomeKind.REFUSED:
                failure = LinkFailedError(OUR_FAULT)
    raise failure or LinkFailedError(deferred(NO_CONNECTION, _why_no_call(queue)))


async def _dial(queue: SiteQueue, depot: Depot, call: Call) -> Link:
    broken, time = depot.broken_tls, asyncio.get_running_loop().time
    site, address = queue.key, call.target.address
    use_tls = queue.site.tls is not TlsMode.NEVER and queue.site.kind is not Kind.LMTP
    if use_tls and queue.site.tls is TlsMode.OPPORTUNISTIC:
        use_tls = not broken.gets_clear(site, address, time())
    try:
        link = await open_link(queue.site, call, depot.around, queue.links, use_tls=use_tls)
    except LinkFailedError as failure:
        if not failure.tls_only:
            raise
        why = failure.outcome
    else:
        if link.spoken.tls:
            broken.works(site, address)
        return link
    # Opportunistic: any delivery is better than none (RFC 7435), on a connection of its own.
    link = await open_link(queue.site, call, depot.around, queue.links, use_tls=False)
    if (length := broken.note(site, address, time())) is not None:
        depot.tell(_tls_broken(why, length, depot.now()))
    return link


def _tls_broken(why: Outcome, length: float, at: datetime) -> Event:
    told: dict[str, Fact] = {"host": why.host, "address": why.address, "text": why.text}
    if why.source:
        told["source"] = why.source
    return Event(EventKind.TLS_BROKEN, at, facts=told | {"clear_for": int(length)})


def _calls_of(queue: SiteQueue, depot: Depot) -> list[Call]:
    """Return whom to call from where, in order; only by a version of IP that the source has."""
    source, most = queue.source, queue.bounds.addresses
    if source is None:
        chosen = targets(queue.site.hosts, depot.chance, most)
        return [Call(target, None, depot.around.ourselves.hostname) for target in chosen]
    hosts = [
        replace(host, addresses=tuple(a for a in host.addresses if source.for_peer(a)))
        for host in queue.site.hosts
    ]
    chosen = targets(hosts, depot.chance, most)
    return [Call(t, source.for_peer(t.address.host), source.name) for t in chosen]


def _why_no_call(queue: SiteQueue) -> str:
    """Return why `_calls_of` has nobody."""
    if queue.source is None:
        return "no address to call"
    ours = " and ".join(queue.source.addresses)
    return f"the next hop has no address of a version of IP that {ours} could call"
