"""Source addresses: has this machine those that the settings name, and does each pool's mail leave?"""

from collections.abc import Iterator

from gatepost.egress.served import why_nowhere
from gatepost.model.settings import Settings
from gatepost.model.source import SYSTEM
from gatepost.net.dialer import has_address
from gatepost.operate.check_finding import Finding, Grade
from gatepost.operate.egress import twins_of, unserved
from gatepost.queue.presence import heard
from gatepost.store.protocols import Reading


def egress_findings(settings: Settings) -> Iterator[Finding]:
    """Look at what the settings name."""
    pools = {pool for each in settings.egress for pool in each.pools}
    for each in settings.egress:
        for address in each.source.addresses:
            subject = f"egress {address}"
            if has_address(address):
                words = f"calls as {each.name}, pool {', '.join(each.pools)}"
                yield Finding(Grade.FINE, subject, words)
            else:
                mend = "add it to an interface (ip address add …), or remove it here"
                what = "this machine does not have it now: nothing leaves from it"
                yield Finding(Grade.WARNING, subject, what, mend)
    for number, route in enumerate(settings.routes, 1):
        if route.pool and route.pool != SYSTEM and route.pool not in pools:
            subject = f"routes no. {number}"
            what = f"no [[egress]] here is in pool {route.pool}: its mail leaves from other nodes"
            yield Finding(Grade.WARNING, subject, what, "name one here, if there are none")


def waiting_findings(reading: Reading) -> Iterator[Finding]:
    """Look at what nodes announce, at what is paused, and at what waits for want of an address."""
    alive, pauses = heard(reading.presences(), reading.time()), reading.pauses()
    for address, nodes in twins_of(alive).items():
        what = f"nodes {' and '.join(nodes)} both have it: limits are kept by each for itself"
        mend = "give each node its own; where one address moves, no two have it at a time"
        yield Finding(Grade.WARNING, f"egress {address}", what, mend)
    for pause in pauses:
        reason = f": {pause.reason}" if pause.reason else ""
        what = f"paused by {pause.by} since {pause.since:%Y-%m-%d %H:%M} UTC{reason}"
        mend = f"gatepost egress resume {pause.address}"
        yield Finding(Grade.WARNING, f"egress {pause.address}", what, mend)
    if not alive:  # then nothing leaves at all
        return
    for pool in unserved(alive, pauses, reading.waiting_pools()):
        what = f"mail waits: {why_nowhere(pool, alive, pauses)}"
        mend = "resume an address, start a node that has one, or put one into the pool"
        yield Finding(Grade.WARNING, f"pool {pool}", what, mend)
