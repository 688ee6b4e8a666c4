"""The parts of one worker, put together from settings: what each room needs of the others."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Final

from gatepost.delivery.bounds import Bounds as DeliveryBounds
from gatepost.delivery.call_forward import CallForward
from gatepost.delivery.deliver import DeliverySetup, set_up_call_forward, set_up_delivery
from gatepost.delivery.lookup import Ourselves
from gatepost.delivery.routing import Routing, build_routing
from gatepost.delivery.scheduler import Scheduler
from gatepost.delivery.strays import Strays
from gatepost.egress.sources import Sources
from gatepost.events.record import Recorder
from gatepost.identity.authenticate import Authenticator, build_authenticator
from gatepost.identity.bearer import Tokens
from gatepost.identity.breaker import Bounds
from gatepost.identity.directory import Directory
from gatepost.identity.foreign_build import build_foreign
from gatepost.identity.histories import Histories
from gatepost.identity.key_of_store import key_of_store
from gatepost.identity.master_key import MasterKey
from gatepost.model.domain import Domain
from gatepost.model.domain_look import Finding
from gatepost.model.ids import WorkerId
from gatepost.model.secret import Secret
from gatepost.model.settings import BreakerSettings, ListenerSettings, OauthSettings, Role, Settings
from gatepost.net import channel_binding
from gatepost.net.address import parse_socket_address
from gatepost.net.clock import Entropy, now
from gatepost.net.counters import WorkerCounters
from gatepost.net.open_files import outgoing, raise_limit
from gatepost.net.resolver import resolver_from
from gatepost.net.tls import FrontContexts, context_for_strangers
from gatepost.net.transport import Deadlines
from gatepost.node.bulk import build_bulk
from gatepost.node.heartbeat import Heartbeat
from gatepost.operate.domain_check import check
from gatepost.operate.domain_claims import look_again
from gatepost.operate.domain_looks import Watch
from gatepost.operate.domain_records import announced_sources, sending_from
from gatepost.reception.accept import Acceptance, HandOver
from gatepost.reception.alignment import Gate
from gatepost.reception.allowances import Allowances
from gatepost.reception.bulk import BulkCounter
from gatepost.reception.desk import Desk, Door
from gatepost.reception.extensions import extensions_for
from gatepost.reception.inbound import Inbound
from gatepost.reception.inside import Inside
from gatepost.reception.later import Later
from gatepost.reception.memory import Memory
from gatepost.reception.offered import Possible, offered
from gatepost.reception.pooling import Pooling
from gatepost.reception.readiness import Unpublished
from gatepost.reception.relay import local_domains
from gatepost.reception.returned import accept_return
from gatepost.reception.signing import Signer, SigningRules, sign_again
from gatepost.reception.suppressed import SuppressionList
from gatepost.reception.unsubscribe import Links, Streams
from gatepost.returns.notify import Notifier
from gatepost.returns.settle import Settler
from gatepost.store.protocols import Store
from gatepost.wire.smtp.extensions import Profile

#: Octets of content under way that a worker holds at most, or four messages of full size.
_CONTENT_MEMORY: Final = 256 * 2**20
_MAILDIR_THREADS: Final = 4


@dataclass(frozen=True, slots=True)
class Parts:
    """What a worker is made of."""

    store: Store
    directory: Directory
    allowances: Allowances
    histories: Histories
    authenticator: Authenticator
    recorder: Recorder
    settler: Settler
    scheduler: Scheduler
    call_forward: CallForward
    notifier: Notifier
    acceptance: Acceptance
    signer: Signer
    suppressed: SuppressionList
    bulk: BulkCounter
    deadlines: Deadlines
    watch: Watch
    heartbeat: Heartbeat
    sources: Sources
    strays: Strays


async def build_parts(
    settings: Settings, store: Store, worker: WorkerId, heartbeat: Heartbeat, sources: Sources
) -> Parts:
    """Put a worker's parts together. Raises MasterKeyError, StoreUnavailableError, OSError."""
    directory = Directory(store)
    entropy = Entropy()
    settler = Settler(
        store,
        settings.retry,
        now=now,
        spread=entropy.fraction,
        suppresses=settings.suppression.invalid_recipients,
    )
    suppressed = SuppressionList(store)
    settler.listen(suppressed.settled)
    deadlines = Deadlines()
    routing = build_routing(settings)
    master_key = await key_of_store(store, settings.master_key)
    signer = build_signer(settings, store, master_key)
    resolver = resolver_from(settings.dns)
    recorder = Recorder(store)
    delivery = DeliverySetup(
        store=store,
        worker=worker,
        routing=routing,
        resolver=resolver,
        ourselves=Ourselves.listening_on(
            settings.hostname, [parse_socket_address(x.address) for x in settings.listeners]
        ),
        settler=settler,
        deadlines=deadlines,
        contexts=lambda verified, shown: context_for_strangers(
            "required" if verified else "opportunistic", shown
        ),
        files=ThreadPoolExecutor(_MAILDIR_THREADS, thread_name_prefix="maildir"),
        sign_again=lambda domains, content: sign_again(signer, domains, content),
        bounds=DeliveryBounds(connections=outgoing(raise_limit())),
        entropy=entropy,
        local_exchangers=settings.dns.local_exchangers,
        sources=sources,
        tell=recorder.record,
        is_heard=heartbeat.is_heard,
        may_take_over=heartbeat.may_take_over,
    )
    time = asyncio.get_running_loop().time
    scheduler = set_up_delivery(delivery, time)
    heartbeat.on_gap(scheduler.doubt)
    heartbeat.on_taking_over(scheduler.look)
    # Strangers decide what is asked here: it holds up neither a delivery nor a submission.
    inbound = Inbound(resolver_from(settings.dns), settings.inbound, settings.hostname)
    bulk = build_bulk(store, routing, resolver)
    gate = Gate(resolver_from(settings.dns), settings.alignment, settings.hostname, recorder.record)
    acceptance = replace(
        plain_acceptance(settings, store, routing),
        hand_over=HandOver(scheduler.lease, scheduler.take, scheduler.due_by),
        signer=signer,
        examine=inbound.examine,
        align=gate.judge,
        unsubscribe=Streams(suppressed, Links(master_key, public_url(settings)), signer).mind,
        sent=bulk.count,
    )
    notifier = Notifier(
        store,
        settings.hostname,
        lambda message, strike_out: accept_return(message, strike_out, acceptance),
        now=now,
        strangers=settings.inbound.reports_per_hour,
    )
    settler.listen(notifier.heard)
    histories = Histories(store, directory, breaker_bounds(settings.breaker))
    settler.listen(histories.heard)
    return Parts(
        store=store,
        directory=directory,
        histories=histories,
        allowances=Allowances(store, worker, settings.quotas.limits),
        authenticator=build_authenticator(
            store,
            directory,
            master_key,
            authentication_failures=settings.limits.authentication_failures,
            tokens=read_tokens(settings.auth.oauth),
            foreign=lambda checker: build_foreign(settings.auth.directories, checker),
        ),
        recorder=recorder,
        settler=settler,
        scheduler=scheduler,
        call_forward=set_up_call_forward(delivery, time),
        notifier=notifier,
        acceptance=acceptance,
        signer=signer,
        suppressed=suppressed,
        bulk=bulk,
        deadlines=deadlines,
        watch=_watch(settings, store, master_key),
        heartbeat=heartbeat,
        sources=sources,
        strays=Strays(store, worker, settler, settings.retry.warn, now),
    )


def _watch(settings: Settings, store: Store, master_key: MasterKey) -> Watch:
    resolver = resolver_from(settings.dns)

    async def check_anew(domain: Domain) -> tuple[Finding, ...]:
        resolver.forget()
        sending = sending_from(settings, await store.read(announced_sources))
        return await check(domain, sending, resolver, master_key)

    async def prove(domain: Domain) -> None:
        await look_again(store, domain.name, resolver, now())

    return Watch(store, check_anew, settings.domains.check_every, now, prove)


def build_signer(settings: Settings, store: Store, master_key: MasterKey) -> Signer:
    """Return who signs."""
    signing = settings.domains
    rules = SigningRules(Unpublished(signing.unpublished_key), signing.verify_sample)
    return Signer(store, master_key, settings.retry.give_up, rules)


def plain_acceptance(settings: Settings, store: Store, routing: Routing) -> Acceptance:
    """Return what accepting needs, but for those who look at messages and take them over."""
    return Acceptance(
        store=store,
        hostname=settings.hostname,
        message_size=settings.limits.message_size,
        give_up=settings.retry.give_up,
        placement=routing.placement,
        pooled=Pooling([each.rule for each in settings.pool_rules], routing.pooled).pooled,
        lanes=settings.lanes,
        later=Later(store, settings.limits.future_release, settings.limits.future_release_storage),
        tags=settings.policy.tags,
        keys_kept=settings.retention.idempotency_keys,
        rules=settings.submission,
    )


def public_url(settings: Settings) -> str:
    """Return what links to us begin with, "" where nobody outside reaches us."""
    return (settings.http.public_url if settings.http else None) or ""


def build_desk(
    settings: Settings,
    parts: Parts,
    counters: WorkerCounters,
    *,
    free_space: Callable[[], int],
    stopping: Callable[[], bool],
    capacity: Callable[[], int],
) -> Desk:
    """Return what all conversations of a worker share; `capacity` returns how many they may be."""
    limits = settings.limits
    return Desk(
        local=local_domains(settings.local_domains),
        inside=Inside(settings.local_domains, parts.call_forward.ask),
        limits=limits,
        acceptance=parts.acceptance,
        authenticator=parts.authenticator,
        directory=parts.authenticator.accounts,
        allowances=parts.allowances,
        histories=parts.histories,
        recorder=parts.recorder,
        suppressed=parts.suppressed,
        counters=counters,
        memory=_memory(limits.message_size),
        free_space=free_space,
        stopping=stopping,
        capacity=capacity,
    )


def breaker_bounds(breaker: BreakerSettings) -> Bounds | None:
    """Return when credentials are held; None: never."""
    if not breaker.enabled:
        return None
    return Bounds(
        breaker.recipients,
        breaker.factor,
        breaker.refused,
        breaker.share,
        breaker.networks,
        breaker.known_for,
    )


def _memory(message_size: int) -> Memory:
    """Return room for content; a stranger's share is an eighth, or one message of full size."""
    limit = max(_CONTENT_MEMORY, 4 * message_size)
    return Memory(limit, max(limit // 8, message_size + 1))


def build_door(settings: Settings, listener: ListenerSettings, fronts: FrontContexts) -> Door:
    """Return one listener as its conversations see it."""
    named = () if listener.role is Role.MX else settings.auth.mechanisms
    profile = Profile(
        hostname=settings.hostname,
        message_size=settings.limits.message_size,
        mechanisms=offered(
            named,
            Possible(
                tokens=settings.auth.oauth is not None,
                certificates=listener.client_certificates,
                binding=channel_binding.is_sound(),
            ),
        ),
        extensions=extensions_for(listener.role, settings.limits, now),
    )
    balancers = tuple(map(ip_network, listener.proxy_protocol_from))
    return Door(listener.role, profile, lambda: fronts.front_context(listener), balancers)


def read_tokens(settings: OauthSettings | None) -> Tokens | None:
    """Return who checks bearer tokens; None without [auth.oauth].

    Raises:
        OSError: the client's secret cannot be read.

    """
    if settings is None:
        return None
    from gatepost.identity.tokens import build_tokens  # noqa: PLC0415 - joserfc, where it is needed

    secret = None
    if settings.client_secret_file is not None:
        secret = Secret(settings.client_secret_file.read_text("utf-8").strip())
    return build_tokens(settings, secret)
