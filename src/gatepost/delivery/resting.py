"""Sites that refused us a session, left alone for a while: each new message would be a call again.

RFC 5321 §4.5.4.1 speaks of not trying a host again at once. Per worker and source address; only in
memory, so that a start calls everybody. Pure; times in seconds of one clock that is never set.
"""

from dataclasses import dataclass
from typing import Final

from gatepost.delivery.bounds import Bounds
from gatepost.model.delivery import Outcome, OutcomeKind
from gatepost.returns.outcome import MOST_TEXT
from gatepost.wire.smtp.reply_reader import Answered
from gatepost.wire.values import changed

#: So many are remembered; those that refused us first are forgotten first.
_MOST: Final = 10_000
_WORDS: Final = "it refused us a moment ago, and is left alone for a while"


@dataclass(frozen=True, slots=True)
class _Rest:
    until: float
    length: float
    outcome: Outcome


class Resting:
    """Which sites are left alone, by a key of each site and source."""

    def __init__(self, bounds: Bounds) -> None:
        self._first = bounds.rest
        self._longest = bounds.longest_rest
        self._rests: dict[str, _Rest] = {}

    def outcome(self, key: str, at: float) -> Outcome | None:
        """Return what becomes of mail for a site that rests; None: it may be called."""
        rest = self._rests.get(key)
        return None if rest is None or rest.until <= at else rest.outcome

    def note(self, key: str, outcome: Outcome, at: float) -> None:
        """Take note of what came of a call. A site that refused a session for good rests, for twice
        as long as the last time.
        """
        if outcome.answered is not Answered.SESSION or outcome.code < 500:
            return
        former = self._rests.pop(key, None)
        length = self._first if former is None else min(2 * former.length, self._longest)
        text = f"{_WORDS}: {outcome.words}"[:MOST_TEXT]
        waits = changed(outcome, kind=OutcomeKind.DEFERRED, code=0, text=text)
        if len(self._rests) >= _MOST:
            del self._rests[next(iter(self._rests))]
        self._rests[key] = _Rest(at + length, length, waits)

    def served(self, key: str) -> None:
        """Take note that a site granted a session."""
        self._rests.pop(key, None)
