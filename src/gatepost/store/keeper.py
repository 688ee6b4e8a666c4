"""What the writer's batches are made durable with: over SQLite and segments, or over PostgreSQL."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from gatepost.model.ids import SubmissionId
from gatepost.store.envelope import Envelope
from gatepost.store.protocols import Transaction

Content = tuple[SubmissionId, Sequence[bytes]]
Run = Callable[[Transaction], Any]


class Keeper(Protocol):
    """What the writer thread works with. All of it is called in that thread only, for one batch at a
    time.
    """

    def keep(
        self, contents: Sequence[Content], envelopes: Sequence[Envelope | None]
    ) -> Mapping[SubmissionId, Any]:
        """Make contents durable, or ready to be, each with its envelope beside it where one was
        given; return what `commit` has to know of each.

        Raises:
            StoreUnavailableError: none of them can be stored.

        """
        ...

    def commit(
        self, runs: Sequence[Run], places: Mapping[SubmissionId, Any], *, is_logged: bool = False
    ) -> list[Any]:
        """Run jobs and commit them together; return what they returned. `is_logged`: what was kept
        for them suffices to write their rows anew, so that these need not be on the disk yet.

        Raises:
            StoreUnavailableError: nothing was written, whatever the jobs are.
            Exception: one of the jobs raised it; nothing was written.

        """
        ...

    def disown(self) -> None:
        """Hear that not all that was kept last is told of by rows: it is not to come back.

        Raises:
            StoreUnavailableError: it might, after a loss of power.

        """
        ...

    def sync(self) -> None:
        """Have on the disk what is committed.

        Raises:
            StoreUnavailableError: it is not, and is tried again.

        """
        ...

    def sync_within(self) -> float | None:
        """Return in how many seconds `sync` is due; None: all is on the disk."""
        ...

    def forsake(self, late: Sequence[int]) -> None:
        """Hear for which jobs of the last commit, by number, nobody waited until its end: what was
        handed to them is in no hands. Never raises.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections. Never raises."""
        ...
