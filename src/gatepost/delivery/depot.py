"""What the couriers of a worker have in common (room 7): where contents come from, and outcomes go."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime
from random import Random

from gatepost.delivery.attempts import Attempts
from gatepost.delivery.broken_tls import BrokenTls
from gatepost.delivery.contents import Contents
from gatepost.delivery.fitting import SignAgain
from gatepost.delivery.lending import Lending
from gatepost.delivery.link_parts import Surroundings
from gatepost.delivery.parcel import Item, Parcel
from gatepost.delivery.resting import Resting
from gatepost.delivery.site import Site
from gatepost.model.event import Event
from gatepost.returns.settlement import Result


@dataclass(frozen=True, slots=True)
class Depot:
    """What couriers have in common. `release` is told of items that end without an outcome, `untried` of such
    whose attempt was perhaps counted and is not made, `place_anew` of parcels that another source has
    to send, `source_missing` of an address that this machine does not have, `tell` of an event that belongs
    to no delivery; `now` is UTC.
    `is_heard`: no neighbour can hold this worker for lost, and its leases for free.
    """

    contents: Contents
    lending: Lending
    attempts: Attempts
    around: Surroundings
    resting: Resting
    broken_tls: BrokenTls
    files: Executor
    chance: Random
    settle: Callable[[Result], None]
    release: Callable[[Sequence[Item], str], None]
    untried: Callable[[Sequence[Item], str], None]
    place_anew: Callable[[Site, Sequence[Parcel]], None]
    source_missing: Callable[[str], None]
    tell: Callable[[Event], None]
    sign_again: SignAgain
    now: Callable[[], datetime]
    is_heard: Callable[[], bool]
