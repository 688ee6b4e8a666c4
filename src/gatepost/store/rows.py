"""Rows of SQLite <-> the nouns of `model`."""

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from gatepost.model.account import Account, AccountState, Credential, CredentialKind
from gatepost.model.delivery import Delivery, DeliveryState, Outcome, OutcomeKind
from gatepost.model.event import Event, EventKind, LaterKind
from gatepost.model.ids import DeliveryId, SubmissionId
from gatepost.model.lane import LANES, Lane
from gatepost.model.quota import Limit, Limits, Unit, Window
from gatepost.model.secret import Secret
from gatepost.model.submission import Origin, Submission
from gatepost.store.guessing_protocols import Guessed
from gatepost.store.notices import NoticeKind
from gatepost.store.outbox import StoredEvent
from gatepost.store.stored_facts import StoredFacts
from gatepost.wire.smtp.notification import NO_WISHES, Notify, RecipientWishes, Ret

Row = Sequence[Any]
T = TypeVar("T")

_log = logging.getLogger(__name__)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

#: Numbers are for ever: append only. 4 stands in an index (`sqlite_schema`).
STATES: Final = (
    DeliveryState.DUE,
    DeliveryState.LEASED,
    DeliveryState.HELD,
    DeliveryState.DELIVERED,
    DeliveryState.CAPTURED,
    DeliveryState.REFUSED,
    DeliveryState.EXPIRED,
    DeliveryState.CANCELLED,
)
NUMBERS: Final[Mapping[DeliveryState, int]] = {state: n for n, state in enumerate(STATES)}
DUE, LEASED, HELD = 0, 1, 2

#: eight_bit holds what content asks of a next hop: 1 8BITMIME, 2 BINARYMIME, 4 SMTPUTF8.
SUBMISSION_COLUMNS: Final = (
    "id, reverse_path, size, received_at, origin, account, message_id, client, eight_bit, ret,"
    " envid, priority, hold, release_at, credential"
)
DELIVERY_COLUMNS: Final = (
    "id, submission_id, forward_path, destination, next_attempt_at, expires_at, state, attempts,"
    " leases, outcome, reason, warned, lane, notify, orcpt"
)
#: Of one that is not finished also the pool (a finished one's events name the source address), and
#: whose it is ("": of no account).
LIVE_COLUMNS: Final = f"{DELIVERY_COLUMNS}, pool, account"
#: As many values for one that is finished.
FINISHED_COLUMNS: Final = f"{DELIVERY_COLUMNS}, '', ''"
DELIVERY_WIDTH: Final = 17
#: Of a new one also when a worker may take it, and who has it.
QUEUED_COLUMNS: Final = f"{LIVE_COLUMNS}, ready_at, worker"
EVENT_COLUMNS: Final = "position, kind, at, submission_id, delivery_id, account, facts"
ACCOUNT_COLUMNS: Final = (
    "name, senders, created_at, state, exposed_at, salt, iterations, app_passwords_only,"
    " recipients, limits, lane, pool"
)
CREDENTIAL_COLUMNS: Final = (
    "id, account, kind, verifier, created_at, label, last_used_at, last_mechanism, last_tls, scram,"
    " recoverable, expires_at, networks, senders, limits, lane, exposed_at"
)
GUESSING_COLUMNS: Final = "subject, failures, locks, locked_until, changed_at"
#: Numbers are for ever.
NOTICES: Final = (NoticeKind.RETURN, NoticeKind.WARNING, NoticeKind.SUCCESS)
NOTICE_NUMBERS: Final[Mapping[NoticeKind, int]] = {kind: n for n, kind in enumerate(NOTICES)}
LANE_NUMBERS: Final[Mapping[Lane, int]] = {lane: n for n, lane in enumerate(LANES)}

_ORIGINS: Final = {origin.value: origin for origin in Origin}
_KINDS: Final = {kind.value: kind for kind in EventKind}
_OUTCOMES: Final = {kind.value: kind for kind in OutcomeKind}
#: So many fields of an outcome are stored, the first ones.
_OUTCOME_WIDTH: Final = 10

# One encoder for all: json.dumps makes one anew whenever it is given an option.
_encode: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class NewerRowError(Exception):
    """A row says what only a newer program knows (ADR 20); who knows it will see to it."""


def known(rows: Iterable[Row], read: Callable[[Row], T]) -> list[T]:
    """Return what rows say, but those that only a newer program can read: they are left alone."""
    found = []
    for row in rows:
        try:
            found.append(read(row))
        except NewerRowError as reason:
            _log.warning("%s waits for a program that can read it: %s", row[0], reason)
    return found


def as_json(value: object) -> str:
    """Return compact JSON, ASCII only (so that no lone surrogate reaches SQLite)."""
    return _encode(value)


def microseconds(at: datetime) -> int:
    """Return a time as microseconds since the Unix epoch, exactly."""
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def moment(number: int) -> datetime:
    """Return microseconds since the Unix epoch as a time in UTC, exactly."""
    return _EPOCH + timedelta(microseconds=number)


def outcome_json(outcome: Outcome | None) -> str | None:
    """Return an outcome as its column."""
    if outcome is None:
        return None
    return _encode(
        (
            outcome.kind.value,
            outcome.code,
            outcome.status,
            outcome.text,
            outcome.host,
            outcome.address,
            outcome.tls,
            outcome.reports,
            outcome.in_mailbox,
            *((outcome.source,) if outcome.source else ()),
        )
    )


def submission_row(submission: Submission) -> Row:
    """Return the values of SUBMISSION_COLUMNS."""
    return (
        submission.id,
        submission.reverse_path,
        submission.size,
        microseconds(submission.received_at),
        submission.origin.value,
        submission.account,
        submission.message_id,
        submission.client,
        submission.eight_bit | submission.binary << 1 | submission.utf8 << 2,
        None if submission.ret is None else submission.ret.value,
        submission.envid,
        submission.priority,
        submission.hold,
        None if submission.release_at is None else microseconds(submission.release_at),
        submission.credential,
    )


def submission_of(row: Row) -> Submission:
    """Return the submission that begins a row. Raises NewerRowError."""
    try:
        return Submission(
            row[0],
            row[1],
            row[2],
            moment(row[3]),
            _ORIGINS[row[4]],
            row[5],
            row[6],
            row[7],
            bool(row[8] & 1),
            bool(row[8] & 2),
            bool(row[8] & 4),
            None if row[9] is None else Ret(row[9]),
            row[10],
            row[11],
            row[12],
            None if row[13] is None else moment(row[13]),
            row[14],
        )
    except (LookupError, ValueError) as unknown:
        raise NewerRowError(_unknown(unknown)) from unknown


def delivery_of(row: Row) -> Delivery:
    """Return the delivery that begins a row. Raises NewerRowError."""
    try:
        return Delivery(
            DeliveryId(row[0]),
            SubmissionId(row[1]),
            row[2],
            row[3],
            moment(row[4]),
            moment(row[5]),
            STATES[row[6]],
            row[7],
            row[8],
            _outcome_of(row[9]),
            row[10],
            bool(row[11]),
            LANES[row[12]],
            _wishes_of(row[13], row[14]),
            row[15],
            row[16],
        )
    except (LookupError, ValueError) as unknown:
        raise NewerRowError(_unknown(unknown)) from unknown


def _unknown(error: Exception) -> str:
    return f"only a newer Gatepost knows one of its values ({error})"


def wishes_columns(wishes: RecipientWishes) -> tuple[int | None, str]:
    """Return a recipient's wishes as the columns notify and orcpt."""
    return None if wishes.notify is None else wishes.notify.value, wishes.orcpt


def _wishes_of(notify: int | None, orcpt: str) -> RecipientWishes:
    if notify is None and not orcpt:
        return NO_WISHES
    return RecipientWishes(None if notify is None else Notify(notify), orcpt)


def _outcome_of(column: str | None) -> Outcome | None:
    if column is None:
        return None
    kind, *rest = json.loads(column)
    return Outcome(_OUTCOMES[kind], *rest[: _OUTCOME_WIDTH - 1])


def event_row(position: int, event: Event) -> Row:
    """Return the values of an event's row."""
    return (
        position,
        event.kind.value,
        microseconds(event.at),
        event.submission_id,
        event.delivery_id,
        event.account,
        _encode(event.facts if isinstance(event.facts, dict) else dict(event.facts)),
    )


def event_of(row: Row) -> StoredEvent:
    """Return the event of a row."""
    facts = StoredFacts(row[6])
    kind = _KINDS.get(row[1]) or LaterKind(row[1])
    event = Event(kind, moment(row[2]), row[3], row[4], row[5], facts)
    return StoredEvent(row[0], event)


def account_row(account: Account) -> Row:
    """Return the values of an account's row."""
    exposed_at = account.exposed_at
    return (
        account.name,
        _encode(account.senders),
        microseconds(account.created_at),
        account.state.value,
        None if exposed_at is None else microseconds(exposed_at),
        account.salt,
        account.iterations,
        int(account.app_passwords_only),
        _encode(account.recipients),
        limits_json(account.limits),
        None if account.lane is None else account.lane.value,
        account.pool,
    )


def account_of(row: Row) -> Account:
    """Return the account of a row. Raises NewerRowError."""
    try:
        return Account(
            row[0],
            tuple(json.loads(row[1])),
            moment(row[2]),
            AccountState(row[3]),
            None if row[4] is None else moment(row[4]),
            row[5],
            row[6],
            bool(row[7]),
            tuple(json.loads(row[8])),
            limits_of(row[9]),
            None if row[10] is None else Lane(row[10]),
            row[11],
        )
    except (LookupError, TypeError, ValueError) as unknown:
        raise NewerRowError(_unknown(unknown)) from unknown


def credential_row(credential: Credential) -> Row:
    """Return the values of a credential's row."""
    used_at, expires_at = credential.last_used_at, credential.expires_at
    exposed_at = credential.exposed_at
    return (
        credential.id,
        credential.account,
        credential.kind.value,
        credential.verifier.reveal(),
        microseconds(credential.created_at),
        credential.label,
        None if used_at is None else microseconds(used_at),
        credential.last_mechanism,
        credential.last_tls,
        None if credential.scram is None else credential.scram.reveal(),
        None if credential.recoverable is None else credential.recoverable.reveal(),
        None if expires_at is None else microseconds(expires_at),
        _encode(credential.networks),
        _encode(credential.senders),
        limits_json(credential.limits),
        None if credential.lane is None else credential.lane.value,
        None if exposed_at is None else microseconds(exposed_at),
    )


def credential_of(row: Row) -> Credential:
    """Return the credential of a row. Raises NewerRowError."""
    try:
        return Credential(
            row[0],
            row[1],
            CredentialKind(row[2]),
            Secret(row[3]),
            moment(row[4]),
            row[5],
            None if row[6] is None else moment(row[6]),
            row[7],
            row[8],
            None if row[9] is None else Secret(row[9]),
            None if row[10] is None else Secret(row[10]),
            None if row[11] is None else moment(row[11]),
            tuple(json.loads(row[12])),
            tuple(json.loads(row[13])),
            limits_of(row[14]),
            None if row[15] is None else Lane(row[15]),
            None if row[16] is None else moment(row[16]),
        )
    except (LookupError, TypeError, ValueError) as unknown:
        raise NewerRowError(_unknown(unknown)) from unknown


def guessing_row(guessed: Guessed) -> Row:
    """Return the values of a row of the throttle."""
    return (
        guessed.subject,
        _encode([microseconds(at) for at in guessed.failures]),
        guessed.locks,
        microseconds(guessed.locked_until),
        microseconds(guessed.changed_at),
    )


def guessing_of(row: Row) -> Guessed:
    """Return what a row of the throttle says."""
    failures = tuple(moment(at) for at in json.loads(row[1]))
    return Guessed(row[0], failures, row[2], moment(row[3]), moment(row[4]))


def limits_json(limits: Limits) -> str:
    """Return limits as their column."""
    return _encode([(limit.unit.value, limit.window.value, limit.most) for limit in limits])


def limits_of(column: str) -> Limits:
    """Return the limits of a column."""
    if column == "[]":
        return ()
    return tuple(
        Limit(Unit(unit), Window(window), most) for unit, window, most in json.loads(column)
    )
