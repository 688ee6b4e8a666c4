"""What a supervisor asks of those whose processes it keeps alive."""

from collections.abc import Sequence
from typing import Protocol

from gatepost.node.child import Child
from gatepost.node.handover import Successor


class Business(Protocol):
    """What the processes are there for."""

    def work(self, me: Child) -> int:
        """Be a worker, in the child, with its own end of the pipe; by the settings before the reload
        that is under way where it is a stopgap. Return the exit status.
        """
        ...

    def named(self, index: int) -> str:
        """Return what the log calls the worker of an index."""
        ...

    def bury(self, child: Child) -> None:
        """Hear of a worker that died, before another takes its place."""
        ...

    def tick_of(self, child: Child) -> int:
        """Return a number that changes while a worker's loop turns; 0 before it does."""
        ...

    def ready(self) -> None:
        """Hear that all workers serve; once."""
        ...

    def reload(self) -> bool:
        """Read the configuration at SIGHUP; True asks for new workers in the place of all."""
        ...

    def reloaded(self) -> None:
        """Hear that all new workers serve, and that the former ones end."""
        ...

    def not_reloaded(self, why: str) -> None:
        """Hear that the new ones came to nothing: the former ones go on as they were."""
        ...

    def watch(self) -> dict[str, object] | None:
        """Look around, every two seconds; return a message for all workers, or None."""
        ...

    def succeed(self, living: Sequence[Child]) -> Successor:
        """Start the program that is to take our place, at SIGUSR2. Raises OSError."""
        ...

    def succeeded(self, pid: int) -> None:
        """Hear that it serves: we shall end."""
        ...

    def not_succeeded(self, why: str) -> None:
        """Hear that it came to nothing: we go on."""
        ...

    def stop(self) -> None:
        """Hear that the end begins."""
        ...

    def dismiss(self) -> None:
        """Tell those who still come that we end; again and again until all workers have ended."""
        ...

    def close(self) -> None:
        """Close the ports, last of all: nobody waits at them."""
        ...
