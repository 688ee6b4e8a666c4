"""Accounts and credentials by name, kept in memory for as long as they are true.

Changes take effect within 1 s (decision 5): whoever polls the store's `data_version` every 200 ms
passes it on, and what was read before the last change is then read again once it is 0.6 s old. Not
at once: under load the database changes with every poll, the accounts hardly ever.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from gatepost.identity.verdict import TOKEN_CREDENTIAL
from gatepost.model.account import Account, Credential
from gatepost.model.history import Hold, history_id
from gatepost.model.ids import AccountName, CredentialId
from gatepost.store.account_protocols import UnreadCredential
from gatepost.store.protocols import Reading, Store, StoreUnavailableError
from gatepost.store.rows import NewerRowError
from gatepost.wire.values import changed

#: With the poll's 0.2 s and the time of a read, this stays below 1 s.
_STALE_AFTER: Final = 0.6

#: By `history_id`.
Holds = Mapping[CredentialId, Hold]


class NewerAccountError(StoreUnavailableError):
    """A newer program wrote this account's row, and only it can read it: for this account the store
    is away.
    """


@dataclass(frozen=True, slots=True)
class Entry:
    """An account with its credentials, oldest first."""

    account: Account
    credentials: tuple[Credential, ...]
    #: Which credentials are held, and why.
    holds: Holds = field(default_factory=dict)
    #: Credentials that only a newer program can check.
    unread: tuple[UnreadCredential, ...] = ()

    def hold(self, credential_id: CredentialId) -> Hold | None:
        """Return the hold on a credential, which may stand for somebody else's word."""
        if not self.holds:
            return None
        return self.holds.get(history_id(credential_id, self.account.name))

    def credential(self, credential_id: CredentialId) -> Credential | None:
        """Return one of them."""
        return next((c for c in self.credentials if c.id == credential_id), None)

    def speaking_by(self, credential_id: CredentialId, now: datetime) -> Account | None:
        """Return the account as one session may use it: its senders, or the fewer ones of the
        credential that the session logged in with, and that one's lane. None when that was revoked,
        or has expired.

        Raises:
            NewerAccountError: a newer program has changed the credential, and only it can read it.

        """
        if credential_id == TOKEN_CREDENTIAL:
            return self.account
        for unread in self.unread:
            if unread.id == credential_id:
                raise NewerAccountError(unread.why)
        found = self.credential(credential_id)
        if found is None or (found.expires_at is not None and found.expires_at <= now):
            return None
        if not found.senders and found.lane is None:
            return self.account
        lane = found.lane or self.account.lane
        return changed(self.account, narrowed=found.senders, lane=lane)


@dataclass(frozen=True, slots=True)
class _Known:
    """What a read found (None: no such account), and when. `holds` there are for accounts of
    others, too.
    """

    entry: Entry | None
    read_at: float
    holds: Holds
    #: Why only a newer program can read the account; "" where we can.
    unread: str = ""


class Directory:
    """Finds accounts. Known ones and unknown names are kept apart, each at most so many: asking
    for made-up names pushes no real account out.
    """

    def __init__(
        self,
        store: Store,
        *,
        size: int = 20_000,
        unknown: int = 5_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._clock = clock
        self._size = size
        self._unknown_size = unknown
        self._known: OrderedDict[AccountName, _Known] = OrderedDict()
        self._unknown: OrderedDict[AccountName, _Known] = OrderedDict()
        self._certificates: tuple[float, dict[str, Credential]] | None = None
        self._version: int | None = None
        self._changed_at = clock()

    async def find(self, name: AccountName) -> Entry | None:
        """Return an account as it is now, at most 1 s old; None where there is none.

        Raises:
            NewerAccountError: there is one, and only a newer program can read it.
            StoreUnavailableError: the store cannot be read and we do not know.

        """
        known = self._fresh(name)
        if known is None:
            read_at = self._clock()
            known = await self._store.read(lambda reading: _read(reading, name, read_at))
            self._keep(name, known)
        if known.unread:
            raise NewerAccountError(known.unread)
        return known.entry

    def cached(self, name: AccountName) -> Entry | None:
        """Return an account without asking the store; None where `find` is needed to know."""
        known = self._fresh(name)
        return known.entry if known else None

    def holds(self, name: AccountName) -> Holds | None:
        """Return which credentials of an account, ours or not, are held; None where `find` is
        needed to know.
        """
        known = self._fresh(name)
        return known.holds if known else None

    async def certificates(self) -> Mapping[str, Credential]:
        """Return all registered client certificates by fingerprint ("sha256:…"), as they are now.

        Raises:
            StoreUnavailableError: the store cannot be read and we do not know.

        """
        if self._certificates is None or self._is_stale(self._certificates[0]):
            read_at = self._clock()
            found = await self._store.read(lambda reading: reading.certificates())
            self._certificates = (read_at, {c.verifier.reveal(): c for c in found})
        return self._certificates[1]

    def note_version(self, data_version: int) -> None:
        """Pass on what `Store.data_version` says; a new number makes what we know grow stale."""
        if data_version != self._version:
            self._version = data_version
            self._changed_at = self._clock()

    def drop(self, name: AccountName | None = None) -> None:
        """Forget one account, or all, after a change of our own."""
        if name is None:
            self._known.clear()
            self._unknown.clear()
            self._certificates = None
        else:
            self._known.pop(name, None)
            self._unknown.pop(name, None)

    def _fresh(self, name: AccountName) -> _Known | None:
        known = self._known.get(name) or self._unknown.get(name)
        if known is None:
            return None
        return None if self._is_stale(known.read_at) else known

    def _is_stale(self, read_at: float) -> bool:
        return read_at <= self._changed_at and self._clock() - read_at >= _STALE_AFTER

    def _keep(self, name: AccountName, known: _Known) -> None:
        self.drop(name)
        is_there = known.entry or known.unread
        shelf, size = (self._known, self._size) if is_there else (self._unknown, self._unknown_size)
        shelf[name] = known
        while len(shelf) > size:
            shelf.popitem(last=False)


def _read(reading: Reading, name: AccountName, read_at: float) -> _Known:
    held = reading.held_histories(name)
    holds = {each.credential: each.hold for each in held if each.hold is not None}
    try:
        account = reading.account(name)
    except NewerRowError as why:
        return _Known(None, read_at, holds, str(why))
    if account is None:
        return _Known(None, read_at, holds)
    kept = reading.kept_credentials(name)
    return _Known(Entry(account, kept.known, holds, kept.unread), read_at, holds)
