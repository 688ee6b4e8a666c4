"""Reports that a fault of ours, or content that is away, kept from being sent: when they are tried again."""

from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

#: Seconds until the second try, doubled each time; and at most.
_FIRST: Final = 20.0
_LONGEST: Final = 900.0
#: After so many failures, the better part of an hour, a report goes without what it is about; and after
#: so many seconds it is given up: what passes (no memory, no thread, a full disk) has passed by then.
_WHOLE: Final = 8
_GIVEN_UP: Final = 6 * 3600.0
#: So many are remembered.
_MOST: Final = 10_000

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class _Stumbled:
    since: float
    again: float
    count: int = 1


class Stumbling(Generic[K]):
    """What stumbled, by key. Times in seconds of one clock that is never set."""

    def __init__(self) -> None:
        self._found: dict[K, _Stumbled] = {}

    def waits(self, key: K, at: float) -> bool:
        """Tell whether it is too early for another try."""
        found = self._found.get(key)
        return found is not None and at < found.again

    def is_to_be_bare(self, key: K) -> bool:
        """Tell whether it is tried without what it is about."""
        found = self._found.get(key)
        return found is not None and found.count >= _WHOLE

    def is_hopeless(self, key: K, at: float) -> bool:
        """Tell whether it has been tried for hours."""
        found = self._found.get(key)
        return found is not None and at - found.since >= _GIVEN_UP

    def note(self, key: K, at: float) -> None:
        """Note that it stumbled."""
        found = self._found.pop(key, None)
        if found is None:
            if len(self._found) >= _MOST:
                del self._found[next(iter(self._found))]
            self._found[key] = _Stumbled(at, at + _FIRST)
        else:
            pause = min(_FIRST * 2.0 ** min(found.count, 16), _LONGEST)
            self._found[key] = replace(found, again=at + pause, count=found.count + 1)

    def forget(self, key: K) -> None:
        """Forget it: it went, or was given up."""
        self._found.pop(key, None)
