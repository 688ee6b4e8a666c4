"""What takes messages without SMTP: the HTTP process, and `gatepost judge`."""

from collections.abc import Callable
from dataclasses import replace

from gatepost.delivery.routing import build_routing
from gatepost.events.record import Recorder
from gatepost.identity.directory import Directory
from gatepost.identity.histories import Histories
from gatepost.identity.key_of_store import key_of_store
from gatepost.model.ids import WorkerId
from gatepost.model.settings import Settings
from gatepost.net.resolver import resolver_from
from gatepost.node.parts import breaker_bounds, build_signer, plain_acceptance, public_url
from gatepost.operate.hand_in import Intake
from gatepost.reception.alignment import Gate
from gatepost.reception.allowances import Allowances
from gatepost.reception.bulk import BulkCounter
from gatepost.reception.relay import local_domains
from gatepost.reception.suppressed import SuppressionList
from gatepost.reception.unsubscribe import Links, Streams
from gatepost.store.protocols import Store


async def build_intake(
    settings: Settings,
    store: Store,
    worker: WorkerId,
    *,
    recorder: Recorder,
    bulk: BulkCounter | None = None,
    free_space: Callable[[], int] = lambda: 1 << 62,
) -> Intake:
    """Put it together. What is accepted is delivered by the workers, who see it within 200 ms.

    Raises:
        MasterKeyError, OSError: a file cannot be read.
        StoreUnavailableError: the store cannot be read.

    """
    routing = build_routing(settings)
    master_key = await key_of_store(store, settings.master_key)
    signer = build_signer(settings, store, master_key)
    suppressed = SuppressionList(store)
    directory = Directory(store)
    links = Links(master_key, public_url(settings))
    resolver = resolver_from(settings.dns)
    gate = Gate(resolver, settings.alignment, settings.hostname, recorder.record)
    acceptance = replace(
        plain_acceptance(settings, store, routing),
        signer=signer,
        align=gate.judge,
        unsubscribe=Streams(suppressed, links, signer).mind,
        sent=bulk.count if bulk else None,
    )
    return Intake(
        store=store,
        acceptance=acceptance,
        directory=directory,
        allowances=Allowances(store, worker, settings.quotas.limits),
        histories=Histories(store, directory, breaker_bounds(settings.breaker)),
        suppressed=suppressed,
        links=links,
        signer=signer,
        routing=routing,
        local=local_domains(settings.local_domains),
        recipients=settings.limits.recipients,
        defaults=settings.quotas.limits,
        free_space=free_space,
        record=recorder.record,
    )
