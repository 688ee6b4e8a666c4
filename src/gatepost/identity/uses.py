"""When and how each credential was used last: gathered, and written every few seconds."""

import asyncio
import logging
from typing import Final

from gatepost.model.ids import CredentialId
from gatepost.store.protocols import Store, StoreUnavailableError, Use

_log: Final = logging.getLogger(__name__)

#: Seconds between two writes.
_WRITE: Final = 5.0


class LastUses:
    """The last uses that one worker saw; one row per credential, however often it logs in."""

    def __init__(self, store: Store, *, interval: float = _WRITE) -> None:
        self._store = store
        self._interval = interval
        self._uses: dict[CredentialId, Use] = {}
        self._wake = asyncio.Event()

    def note(self, use: Use) -> None:
        """Take a use; never waits, never fails."""
        self._uses[use.credential] = use
        self._wake.set()

    async def run(self) -> None:
        """Write what comes, until cancelled; then write what is left."""
        try:
            while True:
                await self._wake.wait()
                await asyncio.sleep(self._interval)
                await self.flush()
        finally:
            await self.flush()

    async def flush(self) -> None:
        """Write all that waits; keeps it when the store is away."""
        self._wake.clear()
        uses, self._uses = self._uses, {}
        if not uses:
            return
        try:
            await self._store.write(lambda transaction: transaction.note_uses(uses.values()))
        except StoreUnavailableError as trouble:
            _log.warning("last uses of %d credentials wait: %s", len(uses), trouble)
            self._uses = uses | self._uses
            self._wake.set()
