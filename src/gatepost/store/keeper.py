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

    def commit(self, runs: Sequence[Run], places: Mapping[SubmissionId, Any]) -> list[Any]:
        """Run jobs and commit them together; return what they returned.

        Raises:
            StoreUnavailableError: nothing was written, whatever the jobs are.
            Exception: one of the jobs raised it; nothing was written.

        """
        ...

    def forsake(self, late: Sequence[int]) -> None:
        """Hear for which jobs of the last commit, by number, nobody waited until its end: what was
        handed to them is in no hands. Never raises.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections. Never raises."""
        ...
