"""Puts rooms 5 to 7 together for one worker: what `node` calls."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache

from gatepost.delivery.attempts import Attempts
from gatepost.delivery.bounds import Bounds
from gatepost.delivery.broken_tls import BrokenTls
from gatepost.delivery.call_forward import PATIENCE, PATIENCES, CallForward
from gatepost.delivery.contents import Contents
from gatepost.delivery.depot import Depot
from gatepost.delivery.fitting import SignAgain
from gatepost.delivery.lending import Lending
from gatepost.delivery.link_parts import Contexts, Surroundings
from gatepost.delivery.lookup import SMTP_PORT, Exchangers, Lookup, Ourselves
from gatepost.delivery.parcel import Item, Parcel
from gatepost.delivery.pool import Pool
from gatepost.delivery.resting import Resting
from gatepost.delivery.routing import Routing
from gatepost.delivery.scheduler import Scheduler
from gatepost.delivery.scheduler_parts import Parts
from gatepost.delivery.site import Site
from gatepost.delivery.site_queue import SiteQueue
from gatepost.delivery.transfer import Courier
from gatepost.egress.sources import Sources
from gatepost.model.event import Event
from gatepost.model.ids import WorkerId
from gatepost.net.clock import Entropy, leapt_within, now
from gatepost.net.deadlines import Deadlines
from gatepost.net.resolver import Resolver
from gatepost.returns.settle import Settler
from gatepost.store.protocols import Store


@dataclass(frozen=True, slots=True)
class DeliverySetup:
    """What delivery needs of a worker.

    `contexts(verified, shown)` returns a client's TLS context (asked once for each), `files` runs
    what blocks (maildirs), `sign_again` signs content that was changed for a next hop.
    `mx_port` differs from 25 in tests and rehearsals only; `local_exchangers`: an MX may lead to
    this machine. `sources` are what is called from; None: the system chooses. `tell` takes
    events that belong to no delivery. `is_heard` tells whether no neighbour
    can hold this worker for lost, `may_take_over` whether a lease that has ended is nobody's.
    """

    store: Store
    worker: WorkerId
    routing: Routing
    resolver: Resolver
    ourselves: Ourselves
    settler: Settler
    deadlines: Deadlines
    contexts: Contexts
    files: Executor
    sign_again: SignAgain
    bounds: Bounds = field(default_factory=Bounds)
    mx_port: int = SMTP_PORT
    local_exchangers: bool = True
    sources: Sources | None = None
    tell: Callable[[Event], None] = lambda _: None
    is_heard: Callable[[], bool] = lambda: True
    may_take_over: Callable[[], bool] = lambda: True
    now: Callable[[], datetime] = now
    leapt_within: Callable[[float], bool] = leapt_within
    entropy: Entropy = field(default_factory=Entropy)


def set_up_call_forward(setup: DeliverySetup, time: Callable[[], float]) -> CallForward:
    """Return who asks servers behind us for recipients. `time` is the event loop's clock."""
    bounds = replace(setup.bounds, dial=PATIENCE, handshake=PATIENCE, patience=PATIENCES)
    return CallForward(
        setup.routing,
        Lookup(setup.resolver, setup.ourselves, bounds, time=time),
        Surroundings(setup.ourselves, bounds, setup.deadlines, cache(setup.contexts)),
        setup.entropy.generator(),
    )


def set_up_delivery(setup: DeliverySetup, time: Callable[[], float]) -> Scheduler:
    """Return the scheduler, with everything behind it. `time` is the event loop's clock.

    Call it on the loop; then `run` it as a task, and `stop` it.
    """
    attempts = Attempts(setup.store)
    bounds = setup.bounds
    scheduler: Scheduler | None = None

    sources = setup.sources or Sources((), setup.store)

    def release(items: Sequence[Item], reason: str) -> None:
        if scheduler is not None:
            scheduler.release(items, reason)

    def untried(items: Sequence[Item], why: str) -> None:
        if scheduler is not None:
            scheduler.untried(items, why)

    def place_anew(site: Site, parcels: Sequence[Parcel]) -> None:
        if scheduler is not None:
            scheduler.place_anew(site, parcels)

    depot = Depot(
        contents=Contents(setup.store, bounds.contents_away),
        lending=Lending(bounds.lent),
        attempts=attempts,
        around=Surroundings(setup.ourselves, bounds, setup.deadlines, cache(setup.contexts)),
        resting=Resting(bounds),
        broken_tls=BrokenTls(bounds),
        files=setup.files,
        chance=setup.entropy.generator(),
        settle=setup.settler.settle,
        release=release,
        untried=untried,
        place_anew=place_anew,
        source_missing=sources.missing,
        tell=setup.tell,
        sign_again=setup.sign_again,
        now=setup.now,
        is_heard=setup.is_heard,
    )

    async def serve(queue: SiteQueue) -> None:
        await Courier(queue, depot).run()

    scheduler = Scheduler(
        Parts(
            store=setup.store,
            worker=setup.worker,
            routing=setup.routing,
            lookup=Lookup(
                setup.resolver,
                setup.ourselves,
                bounds,
                Exchangers(setup.mx_port, local=setup.local_exchangers),
                time=time,
            ),
            pool=Pool(bounds, serve, place_anew),
            sources=sources,
            attempts=attempts,
            settler=setup.settler,
            bounds=bounds,
            now=setup.now,
            spread=setup.entropy.fraction,
            leapt_within=setup.leapt_within,
            may_take_over=setup.may_take_over,
        )
    )
    return scheduler
