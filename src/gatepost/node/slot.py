"""One worker's place: who fills it, who is to fill it next, and who leaves it."""

import os
import signal
from dataclasses import dataclass, field

from gatepost.node.child import Child


@dataclass(slots=True)
class Slot:
    """A place, how often who filled it failed at once, and when to fill it again."""

    child: Child | None = None
    failures: int = 0
    due_at: float = 0.0
    #: Its child goes by settings of the past: another is to take its place.
    is_outdated: bool = False
    #: That other one, until it takes the place. It may serve before.
    fresh: Child | None = None
    retiring: list[Child] = field(default_factory=list)

    def living(self) -> list[Child]:
        """Return all who are alive here."""
        return [each for each in (self.child, self.fresh, *self.retiring) if each is not None]

    @property
    def is_vacant(self) -> bool:
        """True where nobody serves, nor is about to: a newcomer fills the place once it serves."""
        return self.child is None and not (self.fresh is not None and self.fresh.is_ready)

    def renew(self, end_by: float) -> None:
        """Give the place to the newcomer: who filled it ends."""
        former, self.child, self.fresh, self.is_outdated = self.child, self.fresh, None, False
        self._retire(former, end_by)

    def keep(self, end_by: float) -> None:
        """Leave the place to who fills it: the newcomer ends."""
        newcomer, self.fresh, self.is_outdated = self.fresh, None, False
        self._retire(newcomer, end_by)

    def lose(self, child: Child) -> bool:
        """Forget one who died; True when that was nobody's wish."""
        if child in self.retiring:
            self.retiring.remove(child)
            return False
        if child is self.fresh:
            self.fresh = None
        else:
            self.child = None
        return True

    def _retire(self, child: Child | None, end_by: float) -> None:
        if child is not None:
            child.end_by = end_by
            self.retiring.append(child)
            os.kill(child.pid, signal.SIGTERM)
