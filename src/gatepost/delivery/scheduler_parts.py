"""What a scheduler needs of the other rooms."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from gatepost.delivery.attempts import Attempts
from gatepost.delivery.bounds import Bounds
from gatepost.delivery.lookup import Lookup
from gatepost.delivery.pool import Pool
from gatepost.delivery.routing import Routing
from gatepost.egress.sources import Sources
from gatepost.model.ids import WorkerId
from gatepost.returns.settle import Settler
from gatepost.store.protocols import Store


@dataclass(frozen=True, slots=True)
class Parts:
    """What a scheduler is made of. `now` is UTC, `spread` a new number from 0.0 to 1.0."""

    store: Store
    worker: WorkerId
    routing: Routing
    lookup: Lookup
    pool: Pool
    sources: Sources
    attempts: Attempts
    settler: Settler
    bounds: Bounds
    now: Callable[[], datetime]
    spread: Callable[[], float]
    #: Whether `now` leapt in the last so many seconds: a clock that was set is followed.
    leapt_within: Callable[[float], bool]
    #: Whether who held a lease that has ended would have said what came of it.
    may_take_over: Callable[[], bool]
