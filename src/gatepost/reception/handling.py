"""How urgent a message is, when it may go and who is told: decided once, when it is accepted.

A client asks by MAIL and RCPT parameters, or by two header fields that never leave this machine:

    Gatepost-Lane: bulk                          may only lower the account's lane (decision 21)
    Gatepost-Send-At: 2026-12-24T08:00:00+01:00  RFC 3339, or a date as in the Date field
"""

from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from gatepost.model.lane import Lane, less_urgent
from gatepost.wire.smtp.commands import Mail, Rcpt
from gatepost.wire.smtp.future_release import Hold, utc_text
from gatepost.wire.smtp.notification import NO_WISHES, RecipientWishes, Ret
from gatepost.wire.smtp.replies import BAD_CONTENT, BAD_HOLD, Reply
from gatepost.wire.values import value

LANE_FIELD: Final = b"gatepost-lane"
SEND_AT_FIELD: Final = b"gatepost-send-at"

#: RFC 6710 §5: priorities that we do not tell apart count as the next higher one that we do.
_HIGHEST: Final[Mapping[Lane, int]] = {Lane.OTP: 9, Lane.TRANSACTIONAL: 3, Lane.BULK: -1}
#: What is passed on for a message whose client said nothing.
_USUAL: Final[Mapping[Lane, int]] = {Lane.OTP: 4, Lane.TRANSACTIONAL: 0, Lane.BULK: -4}


@value(frozen=True, slots=True)
class Requests:
    """What MAIL and RCPT asked for; `wishes` by forward-path, of those that have any."""

    ret: Ret | None = None
    envid: str = ""
    hold: Hold | None = None
    priority: int | None = None
    wishes: Mapping[str, RecipientWishes] = field(default_factory=dict)


NO_REQUESTS: Final = Requests()


@value(frozen=True, slots=True)
class Urgency:
    """In which lane a message goes. `named` is that lane where somebody chose one: then its own
    time to give up holds. `priority` is passed on (RFC 6710 §4.2).
    """

    lane: Lane = Lane.TRANSACTIONAL
    named: Lane | None = None
    priority: int = 0


@value(frozen=True, slots=True)
class Handling:
    """What was decided. `release_at` is None for now; `hold` is what was asked for, "" or as in
    RFC 4865 §5.1.2.
    """

    urgency: Urgency
    hold: str = ""
    release_at: datetime | None = None


def requests_of(mail: Mail | None, rcpts: Iterable[Rcpt]) -> Requests:
    """Gather what an envelope asked for."""
    wishes = {r.forward_path.text: r.wishes for r in rcpts if r.wishes is not NO_WISHES}
    if mail is None:
        return Requests(wishes=wishes)
    said = (mail.ret, mail.envid or None, mail.hold, mail.priority)
    if not wishes and said == (None, None, None, None):
        return NO_REQUESTS
    return Requests(mail.ret, mail.envid, mail.hold, mail.priority, wishes)


def urgency(base: Lane | None, priority: int | None = None, wished: Lane | None = None) -> Urgency:
    """Return in which lane a message goes.

    Args:
        base: the credential's lane, else the account's; None: nobody chose one.
        priority: what MT-PRIORITY said. It may only lower the lane, and counts for no more than
            the lane's own (RFC 6710 §4.1).
        wished: what the header said; it may only lower the lane, too.

    """
    lane = base or Lane.TRANSACTIONAL
    if priority is not None:
        lane = less_urgent(lane, _lane_of(priority))
    if wished is not None:
        lane = less_urgent(lane, wished)
    named = lane if base is not None or lane is Lane.BULK else None
    passed_on = _USUAL[lane] if priority is None else min(priority, _HIGHEST[lane])
    return Urgency(lane, named, passed_on)


def judge_hold(hold: Hold, now: datetime, furthest: timedelta) -> Reply | None:
    """Refuse to hold a message for longer than EHLO says (RFC 4865 §4.2)."""
    if hold.release_at(now) <= now + furthest:
        return None
    return BAD_HOLD.about(f"until {utc_text(now + furthest)} at most")


def decide(
    requests: Requests,
    fields: Mapping[bytes, bytes],
    base: Lane | None,
    now: datetime,
    furthest: timedelta,
) -> Handling | Reply:
    """Decide how a message is handled, or refuse its header.

    Args:
        requests: of the envelope.
        fields: the bodies of our own header fields, by name in lower case.
        base: as in `urgency`.
        now: UTC.
        furthest: how far ahead a message may be released.

    """
    wished = _wished_lane(fields)
    hold = _hold(requests.hold, fields, now, furthest)
    if isinstance(wished, Reply):
        return wished
    if isinstance(hold, Reply):
        return hold
    chosen = urgency(base, requests.priority, wished)
    if hold is None:
        return Handling(chosen)
    release_at = hold.release_at(now)
    return Handling(chosen, hold.request, release_at if release_at > now else None)


def _lane_of(priority: int) -> Lane:
    return next(lane for lane in reversed(Lane) if priority <= _HIGHEST[lane])


def _wished_lane(fields: Mapping[bytes, bytes]) -> Lane | Reply | None:
    body = fields.get(LANE_FIELD)
    if body is None:
        return None
    try:
        return Lane(body.strip().decode("ascii").lower())
    except ValueError:
        lanes = ", ".join(Lane)
        return BAD_CONTENT.about(f"Gatepost-Lane is none of {lanes}")


def _hold(
    asked: Hold | None, fields: Mapping[bytes, bytes], now: datetime, furthest: timedelta
) -> Hold | Reply | None:
    body = fields.get(SEND_AT_FIELD)
    if body is None:
        return asked
    if asked is not None:
        return BAD_CONTENT.about("Gatepost-Send-At beside HOLDFOR or HOLDUNTIL: give one of them")
    at = parse_moment(body.strip())
    if at is None:
        return BAD_CONTENT.about("Gatepost-Send-At is no time such as 2026-12-24T08:00:00+01:00")
    if at > now + furthest:
        latest = utc_text(now + furthest)
        return BAD_CONTENT.about(f"Gatepost-Send-At is too far ahead: {latest} at most")
    return Hold(until=at)


def parse_moment(text: bytes) -> datetime | None:
    """Read a time with its zone (RFC 3339, or RFC 5322 §3.3), a fraction of a second rounded up;
    None when it is none.
    """
    try:
        words = text.decode("ascii")
        try:
            at = datetime.fromisoformat(words)
        except ValueError:
            at = parsedate_to_datetime(words)
        if at.tzinfo is None:
            return None
        whole = at.astimezone(UTC).replace(microsecond=0)
        return whole + timedelta(seconds=1) if at.microsecond else whole
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
