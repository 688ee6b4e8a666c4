"""When and how each credential was used last, and each proof that is not ours: gathered, and
written every few seconds.
"""

import asyncio
import logging
from typing import Final

from gatepost.model.ids import AccountName, CredentialId
from gatepost.store.account_protocols import Use
from gatepost.store.foreign_uses import ForeignUse
from gatepost.store.protocols import Store, StoreUnavailableError, Transaction

_log: Final = logging.getLogger(__name__)

#: Seconds between two writes.
_WRITE: Final = 5.0


class LastUses:
    """The last uses that one worker saw; one row per credential, however often it logs in."""

    def __init__(self, store: Store, *, interval: float = _WRITE) -> None:
        self._store = store
        self._interval = interval
        self._uses: dict[CredentialId, Use] = {}
        self._foreign: dict[tuple[AccountName, CredentialId], ForeignUse] = {}
        self._wake = asyncio.Event()

    def note(self, use: Use) -> None:
        """Take a use; never waits, never fails."""
        self._uses[use.credential] = use
        self._wake.set()

    def note_foreign(self, use: ForeignUse) -> None:
        """Take a use of a proof that is not ours, likewise."""
        self._foreign[use.account, use.proof] = use
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
        foreign, self._foreign = self._foreign, {}
        if not uses and not foreign:
            return

        def job(transaction: Transaction) -> None:
            transaction.note_uses(uses.values())
            transaction.note_foreign_uses(foreign.values())

        try:
            await self._store.write(job)
        except StoreUnavailableError as trouble:
            waiting = len(uses) + len(foreign)
            _log.warning("last uses of %d credentials wait: %s", waiting, trouble)
            self._uses = uses | self._uses
            self._foreign = foreign | self._foreign
            self._wake.set()
        except Exception:  # noqa: BLE001 - the top of a task: what was to be written is lost
            _log.exception("last uses were not written: a fault of ours")
