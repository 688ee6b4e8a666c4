"""Content as the store has it, for those deliveries whose content is not in memory any more."""

import asyncio
from collections.abc import Callable, Sequence

from gatepost.model.delivery import Outcome
from gatepost.model.ids import SubmissionId
from gatepost.returns.outcome import CONTENT_DAMAGED, LOCAL_TROUBLE, deferred, refused
from gatepost.store.protocols import (
    ContentAwayError,
    ContentDamagedError,
    ContentUnreadableError,
    Reading,
    Store,
)

#: What is known of a submission's content: its pieces, or what comes of its deliveries without it.
Content = Sequence[bytes] | Outcome

_GONE = refused(CONTENT_DAMAGED, "the stored content is gone")


class Contents:
    """Reads contents, and knows since when none can be read at all.

    Args:
        store: where they are.
        patience: so long, in seconds, all of them may be away before mail ends whose time is over:
            a disk may come back.

    """

    def __init__(self, store: Store, patience: float) -> None:
        self._store = store
        self._patience = patience
        self._away_since: float | None = None

    async def of(self, wanted: Sequence[SubmissionId]) -> dict[SubmissionId, Content]:
        """Return the contents of some submissions.

        Raises:
            ContentAwayError: none can be read at all.
            StoreUnavailableError: the store cannot be read.

        """
        if not wanted:
            return {}
        try:
            found = await self._store.read(contents_of(wanted))
        except ContentAwayError:
            if self._away_since is None:
                self._away_since = asyncio.get_running_loop().time()
            raise
        self._away_since = None
        return found

    @property
    def are_lost(self) -> bool:
        """Whether they have been away for longer than they may be."""
        if self._away_since is None:
            return False
        return asyncio.get_running_loop().time() - self._away_since >= self._patience


def contents_of(
    wanted: Sequence[SubmissionId],
) -> Callable[[Reading], dict[SubmissionId, Content]]:
    """Return the query for the contents of some submissions."""

    def read(store: Reading) -> dict[SubmissionId, Content]:
        found: dict[SubmissionId, Content] = {}
        for identifier in wanted:
            try:
                octets = store.content(identifier)
            except ContentUnreadableError as trouble:
                words = f"the stored content cannot be read: {trouble}"
                found[identifier] = deferred(LOCAL_TROUBLE, words)
                continue
            except ContentDamagedError as damage:
                words = f"the stored content is damaged: {damage}"
                found[identifier] = refused(CONTENT_DAMAGED, words)
                continue
            found[identifier] = _GONE if octets is None else (octets,)
        return found

    return read
