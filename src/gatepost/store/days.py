"""Days as tables are named by them: delivery_20260131, event_20260131 (UTC)."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

_DAY_TABLE: Final = re.compile(r"(delivery|event)_(\d{8})", re.ASCII)


def day_of(microseconds: int) -> str:
    """Return the day of a time as its tables are named: "20260131"."""
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).strftime("%Y%m%d")


def day_tables(names: Iterable[Sequence[Any]]) -> list[str]:
    """Return the daily tables among rows of names."""
    return [name for (name,) in names if _DAY_TABLE.fullmatch(name)]


def table_day(table: str) -> date:
    """Return which day a daily table is for."""
    return datetime.strptime(table[-8:], "%Y%m%d").replace(tzinfo=UTC).date()
