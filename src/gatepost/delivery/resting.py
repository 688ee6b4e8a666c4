"""Sites that refused us a session, left alone for a while: each new message would be a call again.

RFC 5321 §4.5.4.1 speaks of not trying a host again at once. Per worker and source address; only in
memory, so that a start calls everybody. Pure; `at` in seconds of one clock that is never set, `now` in UTC.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gatepost.delivery.bounds import Bounds
from gatepost.model.delivery import ASKED_FOR, Leased, Outcome, OutcomeKind
from gatepost.returns.outcome import MOST_TEXT
from gatepost.returns.settlement import Result
from gatepost.wire.smtp.reply_reader import Answered
from gatepost.wire.values import changed

#: So many are remembered; those that refused us first are forgotten first.
_MOST: Final = 10_000
_WAITS: Final = "the next hop refused us a moment ago, and is left alone for a while"
_OVER: Final = "the next hop refused us while this message waited, and was left alone"


@dataclass(frozen=True, slots=True)
class Rest:
    """A site is left alone: since when, until when, and what it said."""

    since: datetime
    until: datetime
    said: Outcome


@dataclass(frozen=True, slots=True)
class _Noted:
    since: float
    length: float
    said: Outcome

    @property
    def until(self) -> float:
        return self.since + self.length


class Resting:
    """Which sites are left alone, by a key of each site and source."""

    def __init__(self, bounds: Bounds) -> None:
        self._first = bounds.rest
        self._longest = bounds.longest_rest
        self._noted: dict[str, _Noted] = {}

    def rest(self, key: str, at: float, now: datetime) -> Rest | None:
        """Return how a site rests; None: it may be called."""
        noted = self._noted.get(key)
        if noted is None or noted.until <= at:
            return None
        since = now - timedelta(seconds=at - noted.since)
        return Rest(since, since + timedelta(seconds=noted.length), noted.said)

    def note(self, key: str, outcome: Outcome, at: float) -> None:
        """Take note of what came of a call. A site that refused a session for good rests, for twice
        as long as the last time, where that was not long ago.
        """
        if outcome.answered is not Answered.SESSION or outcome.code < 500:
            return
        former = self._noted.pop(key, None)
        length = self._first
        if former is not None and at < former.until + self._longest:
            length = min(2 * former.length, self._longest)
        if len(self._noted) >= _MOST:
            del self._noted[next(iter(self._noted))]
        self._noted[key] = _Noted(at, length, outcome)

    def served(self, key: str) -> None:
        """Take note that a site granted a session."""
        self._noted.pop(key, None)


def is_called_for(leased: Leased, rest: Rest) -> bool:
    """Tell whether an operator has asked for an attempt since the site refused us."""
    delivery = leased.delivery
    return delivery.reason == ASKED_FOR and delivery.next_attempt_at > rest.since


def put_off(leased: Leased, rest: Rest, now: datetime, *, counted: bool) -> Result:
    """Return what becomes of a delivery whose site rests, and is not called for it.

    What was never tried does not expire before its site was called while it waited: the session was
    refused to it, too.
    """
    delivery, submission = leased.delivery, leased.submission
    waits_since = submission.release_at or submission.received_at
    if delivery.expires_at <= now and (delivery.attempts > 0 or waits_since < rest.since):
        return Result(leased, _with(rest.said, _OVER), attempted=counted, expired=True)
    return Result(leased, _with(rest.said, _WAITS), attempted=counted, rests_until=rest.until)


def _with(said: Outcome, words: str) -> Outcome:
    text = f"{words}: {said.words}"[:MOST_TEXT]
    return changed(said, kind=OutcomeKind.DEFERRED, code=0, text=text)
