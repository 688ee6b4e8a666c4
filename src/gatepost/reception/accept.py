"""Room 4: may this message be sent? Complete its header, store it durably, and say 250.

`judge` is `accept` without the storing: dry runs and the open-relay proof use it. Submissions by
SMTP, by the API and our own returns all enter here.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from gatepost.model.delivery import Delivery, DeliveryState, Leased
from gatepost.model.event import Event, EventKind
from gatepost.model.grant import TAG
from gatepost.model.ids import SubmissionId
from gatepost.model.lane import Lane
from gatepost.model.settings import LaneSettings, SubmissionSettings
from gatepost.model.submission import Origin, Submission
from gatepost.net.clock import new_identifier, now
from gatepost.queue.retry import time_to_try
from gatepost.reception.arrival import Arrival, facts_of, hop_of, needs_utf8
from gatepost.reception.deliveries import deliveries_for
from gatepost.reception.fixups import Completed, Facts, complete
from gatepost.reception.handling import Handling, decide
from gatepost.reception.instructions import verdict_words, wanted
from gatepost.reception.later import Later
from gatepost.reception.once import Once, came_before, once_under
from gatepost.reception.ownership import judge_authors, judge_resenders
from gatepost.reception.readiness import Unpublished, refusal, waits_for
from gatepost.reception.signing import Signer
from gatepost.reception.suppressed import drop_events, dropped
from gatepost.store.envelope import envelope_of
from gatepost.store.leases import Lease
from gatepost.store.protocols import DiskFullError, Store, StoreUnavailableError, Transaction
from gatepost.store.quota_protocols import Spending
from gatepost.wire.message.header import is_long
from gatepost.wire.message.limits import LONG_HEADER
from gatepost.wire.message.trace import Hop
from gatepost.wire.smtp import replies
from gatepost.wire.smtp.replies import SIGNATURE_BROKEN, Reply
from gatepost.wire.values import changed, value

_log = logging.getLogger(__name__)

#: Octets above which reading, and perhaps writing, content anew would hold up others: it goes to a
#: thread.
_LARGE: Final = 128 * 1024
#: One thread for all header sections that may have to be read word by word: more of them would take turns
#: with the event loop at the interpreter lock. (It starts with the first that needs it, after the fork.)
_LONG_HEADERS: Final = ThreadPoolExecutor(1, "header")


@value(frozen=True, slots=True)
class Accepted:
    """A message that we may take: rows and content, ready to be stored. `authors` are the
    addresses of From where it is our account's or we ourselves: whose domain signs it; `signed_by`
    the domains (d=) that did, `brought` those of signatures that came with it, whether they hold or
    not; `organizational` the first author's organisational domain, where alignment was judged.
    """

    submission: Submission
    deliveries: tuple[Delivery, ...]
    pieces: tuple[bytes, ...]
    event: Event
    authors: tuple[str, ...] = ()
    spendings: tuple[Spending, ...] = ()
    signed_by: tuple[str, ...] = ()
    brought: tuple[str, ...] = ()
    #: Of single recipients, written behind `event`.
    more_events: tuple[Event, ...] = ()
    organizational: str = ""
    #: It is queued once, however often it comes under this key.
    once: Once | None = None
    #: It was only to be judged.
    is_trial: bool = False
    #: The stream that its header names (else its account's, once `unsubscribe` has seen it), and
    #: whether the header says how one unsubscribes.
    stream: str = ""
    unsubscribes: bool = False


@dataclass(frozen=True, slots=True)
class HandOver:
    """How new mail goes straight to this worker's own deliveries (decision 5).

    `lease` returns what to lease mail of a lane to a destination with, in these pools, so many
    deliveries of an account ("": none), or None while the worker has no room for them or does not serve them;
    `take` receives what was leased, with the content, so that nobody reads it back; `due_by` hears
    of mail that waits for its time.
    """

    lease: Callable[[Lane, str, Collection[str], str, int], Lease | None]
    take: Callable[[list[Leased], tuple[bytes, ...]], None]
    due_by: Callable[[datetime], None]


def _due(_: str) -> DeliveryState:
    return DeliveryState.DUE


def _as_is(accepted: Accepted, _: str | None) -> Accepted:
    return accepted


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What accepting needs of the world.

    `placement` says in which state a delivery to a destination begins: held, where a route says so;
    `pooled` puts a message into pools of source addresses, the one that the account names or others.
    Without a `signer` nothing is signed. `unsubscribe` minds the streams of submissions, `examine` looks at mail from servers, `align` at what
    DMARC will see in a submission; both may refuse. `sent` hears of each message that was stored.
    `tags` are the characters that part a tag from a local part; without
    `later` no message waits for its time.
    """

    store: Store
    hostname: str
    message_size: int
    give_up: timedelta
    hand_over: HandOver | None = None
    placement: Callable[[str], DeliveryState] = field(default=_due)
    pooled: Callable[[Accepted, str | None], Accepted] = field(default=_as_is)
    signer: Signer | None = None
    examine: Callable[[Arrival, Accepted], Awaitable[Accepted | Reply]] | None = None
    align: Callable[[Accepted], Awaitable[Accepted | Reply]] | None = None
    unsubscribe: Callable[[Accepted], Awaitable[Accepted | Reply]] | None = None
    sent: Callable[[Accepted], None] | None = None
    tags: str = TAG
    keys_kept: timedelta = timedelta(days=1)
    rules: SubmissionSettings = field(default_factory=SubmissionSettings)
    lanes: LaneSettings = field(default_factory=LaneSettings)
    later: Later | None = None


async def accept(arrival: Arrival, to: Acceptance) -> Reply:
    """Judge, store durably, hand over. 250 names the id only when the message would survive.

    Raises nothing: trouble with the store is a reply (decision 27).
    """
    judged = await judge_beside(arrival, to, now())
    if isinstance(judged, Reply):
        return judged
    try:
        ready = await ready_to_keep(arrival, judged, to)
        if isinstance(ready, Reply):
            return ready
        if ready.is_trial:
            return replies.JUDGED.about(verdict_words(ready.event.facts))
        kept = await keep(ready, to)
    except DiskFullError:
        return replies.DISK_NEARLY_FULL
    except StoreUnavailableError as trouble:
        _log.warning("message not stored: %s", trouble)
        return replies.STORE_AWAY
    if kept is None:
        return replies.KEY_REUSED
    if kept != judged.submission.id:
        return replies.QUEUED_BEFORE.say(f"{replies.QUEUED_BEFORE.text} {kept}")
    if to.sent:
        to.sent(ready)
    return replies.QUEUED.say(f"{replies.QUEUED.text} {kept}")


async def ready_to_keep(arrival: Arrival, judged: Accepted, to: Acceptance) -> Accepted | Reply:
    """Examine mail from servers, sign and align submissions; either may be refused."""
    if to.examine and judged.submission.origin is Origin.MX:
        examined = await to.examine(arrival, judged)
        if isinstance(examined, Reply):
            return examined
        judged = examined
    if to.unsubscribe and judged.submission.account:
        streamed = await to.unsubscribe(judged)
        if isinstance(streamed, Reply):
            return streamed
        judged = streamed
    judged = to.pooled(judged, account.pool if (account := arrival.origination.account) else None)
    if to.later and (full := await to.later.judge(judged.submission)):
        return full
    ready = await signed(judged, to)
    return ready if isinstance(ready, Reply) or not to.align else await to.align(ready)


async def judge_beside(arrival: Arrival, to: Acceptance, at: datetime) -> Accepted | Reply:
    """As `judge`; what is large, or has a long header, is read in a thread, for it would hold up others."""
    if arrival.size > LONG_HEADER and is_long(arrival.pieces):
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(_LONG_HEADERS, judge, arrival, to, at)
    if arrival.size > _LARGE:
        return await asyncio.to_thread(judge, arrival, to, at)
    return judge(arrival, to, at)


def judge(arrival: Arrival, to: Acceptance, at: datetime) -> Accepted | Reply:
    """Decide on a message at the end of its content, and complete it; nothing is stored."""
    if arrival.size > to.message_size:
        return replies.MESSAGE_TOO_LARGE.about(f"at most {to.message_size} octets")
    hides_client = to.rules.hide_client
    hop = hop_of(arrival, to.hostname, new_identifier(), at, hides_client=hides_client)
    facts = Facts(
        hop=hop,
        is_submission=arrival.origination.origin is Origin.SUBMISSION,
        reverse_path=arrival.reverse_path,
        binary=arrival.binary,
        utf8=arrival.utf8,
        rules=to.rules,
    )
    completed = complete(b"".join(arrival.pieces), facts)
    if isinstance(completed, Reply):
        return completed
    if foreign := _judge_authors(arrival, completed, to.tags):
        return foreign
    instructions = {**completed.instructions, **arrival.instructions}
    furthest = to.later.furthest if to.later else timedelta(0)
    handling = decide(arrival.requests, instructions, arrival.lane, at, furthest)
    if isinstance(handling, Reply):
        return handling
    accepted = _accepted(arrival, completed, to, hop, handling)
    instructed = _instructed(accepted, completed, instructions) if instructions else accepted
    if isinstance(instructed, Reply) or to.signer is None:
        return instructed
    return _if_key_is_published(instructed, to.signer)


async def signed(accepted: Accepted, to: Acceptance) -> Accepted | Reply:
    """Return the message with our signatures before it; as it is when none of our domains is its
    author's; the reply that refuses it when a signature was made that does not hold.

    Raises:
        StoreUnavailableError: what is wrong with a signature cannot be told.

    """
    if to.signer is None or not accepted.authors:
        return accepted
    submission = accepted.submission
    received_at = submission.received_at
    held = (submission.release_at or received_at) - received_at
    made = await to.signer.sign(accepted.pieces, accepted.authors, received_at, held)
    if made.broken:
        broken = Event(
            EventKind.SIGNATURE_BROKEN,
            submission.received_at,
            account=submission.account,
            facts={"signed": " ".join(made.by), "reason": made.broken},
        )
        await to.store.write(lambda transaction: transaction.add_events([broken]))
        return SIGNATURE_BROKEN
    if not made.by:
        return accepted
    size = submission.size + len(made.prefix)
    facts = {**accepted.event.facts, "size": size, "signed": " ".join(made.by)}
    return changed(
        accepted,
        submission=changed(submission, size=size),
        pieces=(made.prefix, *accepted.pieces),
        event=changed(accepted.event, facts=facts),
        signed_by=tuple(dict.fromkeys(name.partition("/")[0] for name in made.by)),
    )


async def keep(
    accepted: Accepted, to: Acceptance, owed: Callable[[Transaction], bool] | None = None
) -> SubmissionId | None:
    """Store one message durably and hand its deliveries over; return the id under which it is kept,
    the first one where it came before. None: its key stands for another message, or `owed`, which is
    asked first in the same transaction, says no.

    Raises:
        StoreUnavailableError: nothing was stored.

    """
    submission, hand_over, lease = accepted.submission, to.hand_over, None
    if hand_over and submission.release_at is None:
        first = accepted.deliveries[0]
        pools = {each.pool for each in accepted.deliveries}
        account, count = first.account or submission.account or "", len(accepted.deliveries)
        lease = hand_over.lease(first.lane, first.destination, pools, account, count)

    def job(transaction: Transaction) -> _Kept:
        if owed and not owed(transaction):
            return _Kept(None)
        if submission.origin is Origin.RETURN and transaction.submission(submission.id):
            return _Kept(
                submission.id
            )  # an older release struck out afterwards, and crashed before
        before = accepted.once and came_before(transaction, submission, accepted.once, to.keys_kept)
        if before:
            if before.id:
                transaction.add_events((_repeated(accepted.event, before.id),))
            return _Kept(before.id)
        leased = transaction.add_deliveries(submission, accepted.deliveries, lease)
        transaction.add_events((accepted.event, *accepted.more_events))
        if accepted.spendings:
            transaction.spend(accepted.spendings)
        return _Kept(accepted.submission.id, leased)

    suffices = owed is None and accepted.once is None
    envelope = envelope_of(submission, accepted.deliveries, accepted.spendings, suffices=suffices)
    kept = await to.store.write(job, (submission.id, accepted.pieces), envelope)
    if kept.leased and hand_over:
        hand_over.take(kept.leased, accepted.pieces)
    elif hand_over and submission.release_at:
        hand_over.due_by(submission.release_at)
    return kept.id


@value(frozen=True, slots=True)
class _Kept:
    """Under which id a message is stored (None: not at all), and what was leased with it."""

    id: SubmissionId | None
    leased: list[Leased] = field(default_factory=list)


def _repeated(event: Event, first: SubmissionId) -> Event:
    return changed(event, kind=EventKind.REPEATED, submission_id=first)


def _judge_authors(arrival: Arrival, completed: Completed, tags: str) -> Reply | None:
    """From, Sender and who resent it must be the account's own (RFC 6409 §6.1)."""
    account = arrival.origination.account
    if account is None:
        return None
    foreign = judge_authors(account, completed.from_addresses, completed.sender_addresses, tags)
    return foreign or judge_resenders(account, completed.resender_addresses, tags)


def _if_key_is_published(accepted: Accepted, signer: Signer) -> Accepted | Reply:
    """Refuse or hold mail of a domain whose key is not published, where the settings say so."""
    domain = signer.unready(accepted.authors)
    if not domain:
        return accepted
    if signer.while_unready(domain) is Unpublished.REFUSE:
        return refusal(domain)
    reason = waits_for(domain)
    deliveries = tuple(
        changed(each, state=DeliveryState.HELD, reason=reason)
        if each.state is DeliveryState.DUE
        else each
        for each in accepted.deliveries
    )
    event = changed(accepted.event, facts={**accepted.event.facts, "held": reason})
    return changed(accepted, deliveries=deliveries, event=event)


def _accepted(
    arrival: Arrival, completed: Completed, to: Acceptance, hop: Hop, handling: Handling
) -> Accepted:
    origination, requests = arrival.origination, arrival.requests
    identifier, at = SubmissionId(hop.identifier), hop.at
    account = origination.account.name if origination.account else None
    submission = Submission(
        id=identifier,
        reverse_path=arrival.reverse_path,
        size=completed.size,
        received_at=at,
        origin=origination.origin,
        account=account,
        message_id=completed.message_id,
        client=origination.client_address,
        eight_bit=arrival.eight_bit or completed.eight_bit,
        binary=completed.binary,
        utf8=needs_utf8(arrival, utf8_header=completed.utf8_header),
        ret=requests.ret,
        envid=requests.envid,
        priority=handling.urgency.priority,
        hold=handling.hold,
        release_at=handling.release_at,
        credential=origination.credential,
    )
    facts = facts_of(arrival, submission, handling)
    deliveries = deliveries_for(
        submission,
        arrival.forward_paths,
        handling.urgency.lane,
        requests.wishes,
        placement=to.placement,
        lasting=time_to_try(handling.urgency.named, to.give_up, to.lanes),
    )
    if arrival.dropped:
        deliveries = tuple(dropped(each, arrival.dropped) for each in deliveries)
    return Accepted(
        submission=submission,
        deliveries=deliveries,
        pieces=completed.octets,
        event=Event(EventKind.ACCEPTED, at, identifier, account=account, facts=facts),
        authors=completed.from_addresses if account else (),
        brought=completed.signed_by,
        unsubscribes=completed.unsubscribes,
        spendings=arrival.spendings,
        more_events=drop_events(deliveries, submission) if arrival.dropped else (),
    )


def _instructed(
    accepted: Accepted, completed: Completed, instructions: Mapping[bytes, bytes]
) -> Accepted | Reply:
    """Return a message as its client wants it handled, or refuse what it asks."""
    asked = wanted(instructions)
    if isinstance(asked, Reply):
        return asked
    once = None
    if asked.key is not None:
        paths = (delivery.forward_path for delivery in accepted.deliveries)
        once = once_under(asked.key, accepted.submission.reverse_path, paths, completed.pieces)
    return changed(accepted, once=once, is_trial=asked.is_trial, stream=asked.stream)
