"""Routes that no mail can take: the first that matches wins, and nothing fails."""

from collections.abc import Iterator

from gatepost.model.settings import Settings
from gatepost.operate.check_finding import Finding, Grade


def route_findings(settings: Settings) -> Iterator[Finding]:
    """Yield the routes of which an earlier one takes all."""
    taken: list[tuple[str, int]] = []
    for number, route in enumerate(settings.routes, 1):
        before = [first for first in (_taker(pattern, taken) for pattern in route.match) if first]
        if len(before) == len(route.match):
            what = f"no mail takes it: route no. {max(before)} comes first, and takes all that it matches"
            mend = "put it before that one (the first match wins), or take it out"
            yield Finding(Grade.WARNING, f"routes no. {number}", what, mend)
        if route.via != "hold":  # what it holds takes another route when it is released
            taken += [(pattern.lower(), number) for pattern in route.match]


def _taker(pattern: str, taken: list[tuple[str, int]]) -> int:
    """Return the number of the first route that takes all that a pattern matches; 0 for none."""
    wanted = pattern.lower()
    return next((number for earlier, number in taken if _covers(earlier, wanted)), 0)


def _covers(earlier: str, pattern: str) -> bool:
    if earlier.startswith("*."):
        return pattern == earlier or pattern.endswith(earlier[1:])
    return earlier in {"*", pattern}
