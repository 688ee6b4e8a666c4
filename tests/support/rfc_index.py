"""The index of RFC sections that tests show, from their `rfc` marks.

`pytest --collect-only --rfc-index FILE` writes it as JSON: {"5321#4.5.4.1": ["tests/…::test_…"]}.
"""

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest

_SECTION = re.compile(r"\d{3,4}#[0-9A-Z]+(\.[0-9A-Z]+)*")


def index(items: Sequence[pytest.Item]) -> dict[str, list[str]]:
    """Return section -> names of the tests that show it, parameters left out, both in order.

    Raises:
        pytest.UsageError: a mark names no section.

    """
    found: defaultdict[str, set[str]] = defaultdict(set)
    for item in items:
        for mark in item.iter_markers("rfc"):
            for section in mark.args:
                if not isinstance(section, str) or not _SECTION.fullmatch(section):
                    msg = f"{item.nodeid}: rfc mark {section!r} should look like '5321#4.5.4.1'"
                    raise pytest.UsageError(msg)
                found[section].add(item.nodeid.split("[")[0])
    return {section: sorted(found[section]) for section in sorted(found, key=_order)}


def write(items: Sequence[pytest.Item], path: Path) -> None:
    """Write the index as JSON."""
    path.write_text(json.dumps(index(items), indent=1))


def _order(section: str) -> tuple[int, tuple[tuple[int, str], ...]]:
    """Sort 4.9 before 4.10, and sections before appendices."""
    number, _, rest = section.partition("#")
    parts = tuple((int(p), "") if p.isdigit() else (10**6, p) for p in rest.split("."))
    return int(number), parts
