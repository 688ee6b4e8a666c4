"""Message-ID and Date as we write them (RFC 5322 §3.3, §3.6.4)."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip


def message_id(identifier: str, hostname: str) -> str:
    """Return "<identifier@hostname>"; unique because the identifier is."""
    return f"<{identifier}@{hostname}>"


def format_date(at: datetime) -> str:
    """Return "Mon, 23 Nov 2026 23:15:00 +0000" (RFC 5322 §3.3), for an aware datetime.

    Written by hand because strftime speaks the machine's language; in UTC once for each second.

    Raises:
        ValueError: `at` has no time zone.

    """
    if at.tzinfo is UTC:
        return _in_utc(at.year, at.month, at.day, at.hour, at.minute, at.second)
    return _written(at)


@lru_cache(maxsize=16)
def _in_utc(year: int, month: int, day: int, hour: int, minute: int, second: int) -> str:
    return _written(datetime(year, month, day, hour, minute, second, tzinfo=UTC))


def _written(at: datetime) -> str:
    offset = at.utcoffset()
    if offset is None:
        msg = "a date without a time zone"
        raise ValueError(msg)
    minutes = round(offset.total_seconds() / 60)
    sign, minutes = ("-", -minutes) if minutes < 0 else ("+", minutes)
    return (
        f"{_DAYS[at.weekday()]}, {at.day:02d} {_MONTHS[at.month - 1]} {at.year:04d} "
        f"{at.hour:02d}:{at.minute:02d}:{at.second:02d} {sign}{minutes // 60:02d}{minutes % 60:02d}"
    )
