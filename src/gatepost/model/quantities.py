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
_QUANTITY: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]+)\s*")


def parse_duration(value: object) -> timedelta:
    """Read "5 min", "4 h", "0 s".

    Raises:
        ValueError: no such form; the words say what to write.

    """
    if isinstance(value, timedelta):
        return value
    number, factor = _split(value, _SECONDS, 'a duration such as "30 s", "5 min", "4 h", "5 d"')
    return timedelta(seconds=number * factor)


def parse_size(value: object) -> int:
    """Read "25 MiB" or a bare number of octets.

    Raises:
        ValueError: no such form; the words say what to write.

    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    number, factor = _split(value, _OCTETS, 'a size such as "25 MiB", "10 MB", "512 KiB"')
    return int(number * factor)


def parse_rate(value: object) -> int:
    """Read "100 B/s" or a bare number of octets per second.

    Raises:
        ValueError: no such form; the words say what to write.

    """
    wanted = 'a rate such as "100 B/s", "1 KiB/s"'
    if isinstance(value, str):
        amount, slash, per = value.partition("/")
        if not slash or per.strip() != "s":
            msg = f"should be {wanted}"
            raise ValueError(msg)
        number, factor = _split(amount, _OCTETS, wanted)
        return int(number * factor)
    return parse_size(value)


def _split(value: object, units: Mapping[str, float], wanted: str) -> tuple[float, float]:
    found = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    factor = units.get(found[2].lower()) if found else None
    if found is None or factor is None:
        msg = f"should be {wanted}"
        raise ValueError(msg)
    return float(found[1]), factor
