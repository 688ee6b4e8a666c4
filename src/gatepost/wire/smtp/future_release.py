"""When a message is to go out, if not at once (RFC 4865)."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

#: RFC 4865 §3: 1 to 999999999 seconds.
_SECONDS: Final = re.compile(rb"[1-9][0-9]{0,8}")
#: RFC 3339 §5.6, in UTC; a leap second is none that a clock of ours could show.
_DATE_TIME: Final = re.compile(
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|[+-]00:00)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Hold:
    """What HOLDFOR or HOLDUNTIL asked for: one of `seconds` (from now on) and `until`."""

    seconds: int = 0
    until: datetime | None = None

    def release_at(self, now: datetime) -> datetime:
        """Return when the message may go."""
        return self.until or now + timedelta(seconds=self.seconds)

    @property
    def request(self) -> str:
        """Return it as a report tells it (RFC 4865 §5.1.2)."""
        return f"until;{utc_text(self.until)}" if self.until else f"for;{self.seconds}"


def parse_hold_for(value: bytes) -> Hold | None:
    """Read HOLDFOR's value; None when it is none."""
    return Hold(seconds=int(value)) if _SECONDS.fullmatch(value) else None


def parse_hold_until(value: bytes) -> Hold | None:
    """Read HOLDUNTIL's value, a fraction of a second rounded up; None when it is none."""
    found = _DATE_TIME.fullmatch(value)
    if found is None:
        return None
    try:
        until = datetime.fromisoformat(found[1].decode("ascii")).replace(tzinfo=UTC)
        more = timedelta(seconds=1 if (found[2] or b"").strip(b"0") else 0)
        return Hold(until=until + more)
    except (ValueError, OverflowError):
        return None


def utc_text(at: datetime) -> str:
    """Return a time as RFC 3339 writes it in UTC, without fractions of a second."""
    return at.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
