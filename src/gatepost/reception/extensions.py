"""Which extensions each role offers besides those that every listener does: EHLO keywords."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from gatepost.model.settings import LimitSettings, Role
from gatepost.wire.smtp.extensions import DSN, FUTURERELEASE, LIMITS, MT_PRIORITY
from gatepost.wire.smtp.future_release import utc_text


def extensions_for(
    role: Role, limits: LimitSettings, now: Callable[[], datetime]
) -> Mapping[str, str | Callable[[], str]]:
    """Return the keywords, with what EHLO says behind each.

    All but LIMITS are for those who have logged in: no stranger shall make us write reports to whom he names
    as his sender, hold his mail, or take the place of others'. (RFC 4865 §4.2 and RFC 6710 §4.1
    say so themselves; a relay that finds no DSN here reports on its own, RFC 3461 §5.2.2.)

    Args:
        role: the listener's.
        limits: FUTURERELEASE is not offered where `future_release` is no time at all.
        now: the time, UTC.

    """
    found: dict[str, str | Callable[[], str]] = {LIMITS: f"RCPTMAX={limits.recipients}"}
    if role is Role.MX:
        return found
    found |= {DSN: "", MT_PRIORITY: ""}
    if future_release := limits.future_release:
        found[FUTURERELEASE] = _Furthest(future_release, now)
    return found


class _Furthest:
    """What FUTURERELEASE says (RFC 4865 §4): how far off, and until when; made once a second."""

    __slots__ = ("_at", "_by", "_now", "_says")

    def __init__(self, by: timedelta, now: Callable[[], datetime]) -> None:
        self._by = by
        self._now = now
        self._at: datetime | None = None
        self._says = ""

    def __call__(self) -> str:
        at = self._now().replace(microsecond=0)
        if at != self._at:
            self._at = at
            self._says = f"{int(self._by.total_seconds())} {utc_text(at + self._by)}"
        return self._says
