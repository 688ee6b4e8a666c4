"""Durations, sizes and rates as people write them: "5 min", "25 MiB", "100 B/s"."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

_SECONDS: Final[Mapping[str, float]] = {
    "ms": 0.001, "s": 1, "sec": 1, "second": 1, "seconds": 1,
    "min": 60, "minute": 60, "minutes": 60, "h": 3600, "hour": 3600, "hours": 3600,
    "d": 86400, "day": 86400, "days": 86400, "w": 604800, "week": 604800, "weeks": 604800,
}  # fmt: skip
_OCTETS: Final[Mapping[str, int]] = {
    "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30,
}  # fmt: skip
#: Twelve digits are 31 000 years or a terabyte: more is a slip, and would overflow a timedelta.
_QUANTITY: Final = re.compile(
    r"\s*(\d{1,12}(?:\.\d{1,12})?)\s*([a-z]+)\s*", re.ASCII | re.IGNORECASE
)
_LONGEST: Final = timedelta(days=36_500)

_A_DURATION: Final = 'a duration such as "30 s", "5 min", "4 h", "5 d"'
_A_SIZE: Final = 'a size such as "25 MiB", "10 MB", "512 KiB"'
_A_RATE: Final = 'a rate such as "100 B/s", "1 KiB/s"'


def parse_duration(value: object) -> timedelta:
    """Read "5 min", "4 h", "0 s".

    Raises:
        ValueError: no such form; the words say what to write.

    """
    if isinstance(value, timedelta):
        return value
    seconds = _product(value, _SECONDS, _A_DURATION)
    if seconds > _LONGEST.total_seconds():
        msg = "should be at most 100 years"
        raise ValueError(msg)
    return timedelta(seconds=seconds)


def parse_size(value: object) -> int:
    """Read "25 MiB" or a bare number of octets.

    Raises:
        ValueError: no such form; the words say what to write.

    """
    return _octets(value, _A_SIZE)


def parse_rate(value: object) -> int:
    """Read "100 B/s" or a bare number of octets per second.

    Raises:
        ValueError: no such form; the words say what to write.

    """
    if isinstance(value, str):
        amount, slash, per = value.partition("/")
        if not slash or per.strip() != "s":
            msg = f"should be {_A_RATE}"
            raise ValueError(msg)
        return int(_product(amount, _OCTETS, _A_RATE))
    return _octets(value, _A_RATE)


def duration_words(duration: timedelta) -> str:
    """Return "5 min", "1 h 30 min", "2 d 4 h": the two largest units, for a person."""
    seconds = round(abs(duration.total_seconds()))
    parts = []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        number, seconds = divmod(seconds, length)
        if number:
            parts.append(f"{number} {unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"


def size_words(octets: int) -> str:
    """Return "312 B", "10.0 KiB", "25.0 MiB"."""
    size = float(octets)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{octets} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def _octets(value: object, wanted: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return int(_product(value, _OCTETS, wanted))


def _product(value: object, units: Mapping[str, float], wanted: str) -> float:
    found = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    factor = units.get(found[2].lower()) if found else None
    if found is None or factor is None:
        msg = f"should be {wanted}"
        raise ValueError(msg)
    return float(found[1]) * factor
