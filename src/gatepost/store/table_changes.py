"""The changes that a job may make in tables that are the same in every database."""

from datetime import datetime
from typing import Final

from gatepost.model.ids import AccountName
from gatepost.store.account_table import AccountTableChanges
from gatepost.store.api_key_table import ApiKeyTableChanges
from gatepost.store.bulk_table import BulkTableChanges
from gatepost.store.domain_table import DomainTableChanges
from gatepost.store.foreign_use_table import ForeignUseTableChanges
from gatepost.store.history_table import HistoryTableChanges
from gatepost.store.kept_key_table import KeptKeyTableChanges
from gatepost.store.key_mark_table import KeyMarkTableChanges
from gatepost.store.pause_table import PauseTableChanges
from gatepost.store.presence_table import PresenceTableChanges
from gatepost.store.quota_table import QuotaTableChanges
from gatepost.store.statements import upsert_one
from gatepost.store.suppression_table import SuppressionTableChanges

_PUT_POSITION: Final = upsert_one("counter", "name, value", "name")
#: A claim is the time at which it ends.
_CLAIM: Final = (
    "INSERT INTO counter (name, value) VALUES (?1, ?2) ON CONFLICT (name)"
    " DO UPDATE SET value = excluded.value WHERE counter.value <= ?3 OR counter.value = ?4"
)
_PROLONG: Final = "UPDATE counter SET value = ?2 WHERE name = ?1 AND value = ?3"


class TableChanges(
    AccountTableChanges,
    ApiKeyTableChanges,
    BulkTableChanges,
    DomainTableChanges,
    ForeignUseTableChanges,
    HistoryTableChanges,
    KeptKeyTableChanges,
    KeyMarkTableChanges,
    PauseTableChanges,
    PresenceTableChanges,
    QuotaTableChanges,
    SuppressionTableChanges,
):
    """All but the queue, the events and the contents."""

    def remove_account(self, name: AccountName) -> bool:
        """Remove with all that belongs to it."""
        self._run("DELETE FROM credential WHERE account = ?", (name,))
        self.forget_foreign_uses(name)
        self.forget_claims_of(name)
        self.forget_suppressions_of(name)
        self.forget_api_keys_of(name)
        return self._change("DELETE FROM account WHERE name = ?", (name,)) > 0

    def set_position(self, reader: str, position: int) -> None:
        """Remember how far a reader has come."""
        self._run(_PUT_POSITION, (f"reader/{reader}", position))

    def claim_reader(self, reader: str, claim: int, now: datetime, until: datetime) -> int:
        """Go on alone for a reader."""
        end = self._stored(until)
        wanted = (f"claim/{reader}", end, self._stored(now), claim)
        return end if self._change(_CLAIM, wanted) else 0

    def advance_reader(self, reader: str, position: int, claim: int, until: datetime) -> int:
        """Remember how far a reader has come, and prolong the claim."""
        end = self._stored(until)
        if not self._change(_PROLONG, (f"claim/{reader}", end, claim)):
            return 0
        if position > self.position(reader):
            self.set_position(reader, position)
        return end

    def position(self, reader: str) -> int:
        """Return how far a reader has come."""
        raise NotImplementedError

    def _stored(self, at: datetime) -> int:
        """Return a time of ours as the store's clock has it."""
        raise NotImplementedError
