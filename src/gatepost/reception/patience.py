"""How long a session waits for its peer: idle, content too slow, the whole session too old
(RFC 5321 §4.5.3.2). Times are seconds of one clock, as numbers: they are asked for at each read.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self

from gatepost.model.settings import LimitSettings

#: How long content may come as slowly as it likes, before `minimum_rate` is asked of it.
GRACE: Final = timedelta(seconds=30)
_GRACE: Final = GRACE.total_seconds()


@dataclass(frozen=True, slots=True)
class Pace:
    """The settings' bounds: seconds, and octets a second (0: none is asked for)."""

    idle: float
    session: float
    minimum_rate: int

    @classmethod
    def of(cls, limits: LimitSettings) -> Self:
        """Return what the settings say."""
        idle, session = limits.idle.total_seconds(), limits.session.total_seconds()
        return cls(idle, session, limits.minimum_rate)


class Patience:
    """That of one session, which began at `began`. `content_due` is when content must have come on;
    0.0: none is under way.
    """

    __slots__ = ("_pace", "began", "content_due")

    def __init__(self, pace: Pace, began: float) -> None:
        self._pace = pace
        self.began = began
        self.content_due = 0.0

    def until(self, at: float, *, in_content: bool) -> float:
        """Return when to give up a wait that begins at `at`: what comes first of the three."""
        pace = self._pace
        end = min(at + pace.idle, self.began + pace.session)
        if not in_content:
            self.content_due = 0.0  # a pause between chunks is no slowness
            return end
        if not pace.minimum_rate:
            return end
        if not self.content_due:
            self.content_due = at + _GRACE
        return min(end, self.content_due)

    def earn(self, octets: int, at: float) -> None:
        """Put off the end by what content earns at `minimum_rate`, to `idle` from now at most:
        who was fast at first may not trickle for hours on what that earned.
        """
        pace = self._pace
        if pace.minimum_rate:
            due = (self.content_due or at + _GRACE) + octets / pace.minimum_rate
            self.content_due = min(due, at + max(_GRACE, pace.idle))

    def content_over(self) -> None:
        """Ask for no more content."""
        self.content_due = 0.0

    def is_old(self, at: float) -> bool:
        """Tell whether the session has had all its time."""
        return at - self.began >= self._pace.session
