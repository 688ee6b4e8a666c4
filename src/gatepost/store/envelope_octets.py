"""An envelope (`store.envelope`) as octets.

Version 1, numbers in network order: the submission's, those of each delivery, then all texts in UTF-8,
parted by NUL. Made for every message that is accepted: a dozen texts are joined and encoded at once.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from gatepost.model.delivery import Delivery, DeliveryState
from gatepost.model.ids import AccountName, CredentialId, DeliveryId, SubmissionId
from gatepost.model.lane import Lane
from gatepost.model.quota import account_subject, credential_subject
from gatepost.model.submission import Origin, Submission
from gatepost.store.envelope import Envelope
from gatepost.store.rows import microseconds, moment
from gatepost.wire.smtp.notification import NO_WISHES, Notify, RecipientWishes, Ret

#: Of what `encode` makes. A reader skips what it does not know.
VERSION: Final = 1

#: received_at, release_at (0: none), eight_bit (as its column) and who counts it, priority, ret, how many
#: deliveries.
_SUBMISSION: Final = struct.Struct(">qqBbBI")
#: next_attempt_at, expires_at, attempts, notify (-1: nothing was said), warned.
_DELIVERY: Final = struct.Struct(">qqIbB")
_SUBMISSION_TEXTS: Final = 9
_DELIVERY_TEXTS: Final = 8
_RETS: Final = (None, *Ret)
_PARTS: Final = "\0"
#: Bits beside eight_bit's: it counts in the account's quotas, in the credential's. Older programs skip them.
_BY_ACCOUNT: Final = 8
_BY_CREDENTIAL: Final = 16


class NoEnvelopeError(Exception):
    """These octets are none that we wrote, or of a version that we do not know."""


@lru_cache(maxsize=128)
def _numbers(count: int) -> struct.Struct:
    """Return the form of all numbers of a message with so many deliveries."""
    return struct.Struct(_SUBMISSION.format + _DELIVERY.format[1:] * count)


def encode(envelope: Envelope) -> bytes:
    """Return an envelope's octets. Never raises."""
    submission, deliveries = envelope.submission, envelope.deliveries
    received, release_at = submission.received_at, submission.release_at
    received_at = microseconds(received)
    numbers = [
        received_at,
        0 if release_at is None else microseconds(release_at),
        submission.eight_bit | submission.binary << 1 | submission.utf8 << 2 | _counted(envelope),
        submission.priority,
        0 if submission.ret is None else _RETS.index(submission.ret),
        len(deliveries),
    ]
    # The enumerations are texts, too: to look up a number by one takes longer than to write it.
    texts = [
        submission.id,
        submission.reverse_path,
        submission.origin,
        submission.account or "",
        submission.message_id,
        submission.client,
        submission.envid,
        submission.hold,
        submission.credential or "",
    ]
    for delivery in deliveries:
        wishes, at = delivery.wishes, delivery.next_attempt_at
        numbers += (
            received_at if at is received else microseconds(at),
            microseconds(delivery.expires_at),
            delivery.attempts,
            -1 if wishes.notify is None else wishes.notify.value,
            delivery.warned,
        )
        texts += (
            delivery.id,
            delivery.forward_path,
            delivery.destination,
            delivery.state,
            delivery.lane,
            delivery.reason,
            wishes.orcpt,
            delivery.pool,
        )
    if _PARTS in submission.message_id:  # a foreign header may hold anything
        texts = [text.replace(_PARTS, "") for text in texts]
    return _numbers(len(deliveries)).pack(*numbers) + _PARTS.join(texts).encode(
        "utf-8", "surrogatepass"
    )


def _counted(envelope: Envelope) -> int:
    if not envelope.counted:
        return 0
    account, credential = envelope.submission.account, envelope.submission.credential
    bits = 0
    if account is not None and account_subject(account) in envelope.counted:
        bits |= _BY_ACCOUNT
    if credential is not None and credential_subject(credential) in envelope.counted:
        bits |= _BY_CREDENTIAL
    return bits


def decode(octets: bytes, size: int, *, is_certain: bool = False) -> Envelope:
    """Return what `encode` was given; `size` is that of the content.

    Raises:
        NoEnvelopeError: nothing else, whatever the octets are.

    """
    try:
        return _decode(octets, size, is_certain)
    except (struct.error, ValueError, IndexError, OverflowError) as error:
        raise NoEnvelopeError(str(error)) from error


def _decode(octets: bytes, size: int, is_certain: bool) -> Envelope:
    received_at, release_at, eight_bit, priority, ret, count = _SUBMISSION.unpack_from(octets)
    at = _SUBMISSION.size
    rest = at + count * _DELIVERY.size
    if rest > len(octets):
        raise NoEnvelopeError("cut")
    texts = octets[rest:].decode("utf-8", "surrogatepass").split(_PARTS)
    if len(texts) != _SUBMISSION_TEXTS + count * _DELIVERY_TEXTS:
        raise NoEnvelopeError("other texts")
    submission = Submission(
        id=SubmissionId(texts[0]),
        reverse_path=texts[1],
        size=size,
        received_at=moment(received_at),
        origin=Origin(texts[2]),
        account=AccountName(texts[3]) if texts[3] else None,
        message_id=texts[4],
        client=texts[5],
        eight_bit=bool(eight_bit & 1),
        binary=bool(eight_bit & 2),
        utf8=bool(eight_bit & 4),
        ret=_RETS[ret],
        envid=texts[6],
        priority=priority,
        hold=texts[7],
        release_at=moment(release_at) if release_at else None,
        credential=CredentialId(texts[8]) if texts[8] else None,
    )
    deliveries = tuple(
        _delivery(
            submission,
            octets[at + n * _DELIVERY.size : at + (n + 1) * _DELIVERY.size],
            texts[_SUBMISSION_TEXTS + n * _DELIVERY_TEXTS :][:_DELIVERY_TEXTS],
        )
        for n in range(count)
    )
    by_account = account_subject(texts[3]) if eight_bit & _BY_ACCOUNT else None
    by_credential = credential_subject(texts[8]) if eight_bit & _BY_CREDENTIAL else None
    counted = tuple(each for each in (by_account, by_credential) if each is not None)
    return Envelope(submission, deliveries, is_certain, counted=counted)


def _delivery(submission: Submission, octets: bytes, texts: Sequence[str]) -> Delivery:
    next_attempt_at, expires_at, attempts, notify, warned = _DELIVERY.unpack(octets)
    name, forward_path, destination, state, lane, reason, orcpt, pool = texts
    wishes = NO_WISHES
    if notify >= 0 or orcpt:
        wishes = RecipientWishes(None if notify < 0 else Notify(notify), orcpt)
    return Delivery(
        id=DeliveryId(name),
        submission_id=submission.id,
        forward_path=forward_path,
        destination=destination,
        next_attempt_at=moment(next_attempt_at),
        expires_at=moment(expires_at),
        state=DeliveryState(state),
        attempts=attempts,
        reason=reason,
        warned=bool(warned),
        lane=Lane(lane),
        wishes=wishes,
        pool=pool,
        account=submission.account or "",
    )
