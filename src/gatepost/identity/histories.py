"""What each credential did, gathered by a worker and added up in the store; holds what breaks out.

A credential is looked at a few seconds after it did something, over all workers together. What a
worker has not written when it dies is not counted.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from gatepost.identity.breaker import Bounds, News, alarm, held, is_no_address, learn
from gatepost.identity.directory import Directory
from gatepost.model.delivery import DeliveryState
from gatepost.model.event import Event, EventKind, Fact
from gatepost.model.history import History, Hold, history_id
from gatepost.model.ids import AccountName, CredentialId, DeliveryId
from gatepost.model.spender import words_for
from gatepost.net.address import network_of
from gatepost.net.clock import now
from gatepost.store.protocols import Reading, Settlement, Store, StoreUnavailableError, Transaction
from gatepost.store.rows import NewerRowError
from gatepost.wire.records.organisation import organisation_of

_log: Final = logging.getLogger(__name__)

#: Seconds between two writes.
_WRITE: Final = 2.0
#: Credentials that may wait for a store that is away; what more do is not counted.
_MOST: Final = 10_000
_ENDED: Final = (DeliveryState.DELIVERED, DeliveryState.REFUSED)


class Histories:
    """What credentials do, as one worker sees it. Without `bounds` nothing is counted."""

    def __init__(
        self, store: Store, directory: Directory, bounds: Bounds | None, *, interval: float = _WRITE
    ) -> None:
        self._store = store
        self._directory = directory
        self._bounds = bounds
        self._interval = interval
        self._news: dict[tuple[CredentialId, AccountName], News] = {}
        self._wake = asyncio.Event()

    def note_login(self, account: AccountName, credential: CredentialId, client: str) -> None:
        """Take note of a login from a client's address."""
        if news := self._of(account, credential):
            news.networks.add(network_of(client))

    def note_accepted(self, account: AccountName, credential: CredentialId, count: int) -> None:
        """Take note of an accepted message and its number of recipients."""
        if news := self._of(account, credential):
            news.recipients += count

    def heard(self, settlements: Sequence[Settlement], ours: set[DeliveryId]) -> None:
        """Take note of deliveries that have ended (a listener of `returns.settle`)."""
        for settlement in settlements:
            if settlement.held.id in ours and settlement.state in _ENDED:
                self._note_ended(settlement)

    def _note_ended(self, settlement: Settlement) -> None:
        message = settlement.submission
        if message is None or message.account is None or message.credential is None:
            return
        if news := self._of(message.account, message.credential):
            news.ended += 1
            if settlement.state is DeliveryState.REFUSED and is_no_address(settlement.outcome):
                news.note_refused(organisation_of(settlement.destination))

    async def run(self) -> None:
        """Write what comes, until cancelled; then what is left."""
        try:
            while True:
                await self._wake.wait()
                await asyncio.sleep(self._interval)
                await self._try_flush()
        finally:
            await self.flush()

    async def _try_flush(self) -> None:
        try:
            await self.flush()
        except Exception:  # noqa: BLE001 - the top of a task: what it was about is not counted
            _log.exception("what credentials did was not counted")

    async def flush(self) -> None:
        """Write what is new and hold what breaks out; keeps it when the store is away."""
        self._wake.clear()
        news, self._news = self._news, {}
        bounds = self._bounds
        if not news or bounds is None:
            return
        at = now()
        try:
            accounts = await self._store.write(lambda tx: add_up(tx, news, at, bounds))
        except StoreUnavailableError as trouble:
            _log.warning("what %d credentials did waits: %s", len(news), trouble)
            for key, later in self._news.items():
                news[key] = news[key].plus(later) if key in news else later
            self._news = news
            self._wake.set()
            return
        for account in accounts:
            self._directory.drop(account)

    def _of(self, account: AccountName, credential: CredentialId) -> News | None:
        if self._bounds is None:
            return None
        key = (history_id(credential, account), account)
        news = self._news.get(key)
        if news is None and len(self._news) < _MOST:
            news = self._news[key] = News()
            self._wake.set()
        return news


def add_up(
    transaction: Transaction,
    news: dict[tuple[CredentialId, AccountName], News],
    at: datetime,
    bounds: Bounds,
) -> set[AccountName]:
    """Write histories with what is new; return the accounts of which a credential is held now."""
    accounts = set()
    for (credential, account), new in news.items():
        known = transaction.history(credential) or History(credential, account, at)
        history = learn(replace(known, account=account), new, at, bounds)
        if history.hold is None and (because := alarm(history, at, bounds)):
            history = held(history, because, at)
            transaction.add_events(
                [_event(transaction, history, history.hold or Hold(at, because))]
            )
            accounts.add(account)
        transaction.put_history(history, at)
    return accounts


def credential_words(reading: Reading, history: History) -> str:
    """Return what an operator calls a credential: its label, its kind, or whose word it is."""
    kept = reading.kept_credentials(history.account)
    for credential in kept.known:
        if credential.id == history.credential:
            return credential.label or credential.kind.value
    for unread in kept.unread:
        if unread.id == history.credential:
            return unread.label or unread.kind
    words = history.credential.removesuffix(f"/{history.account}")
    kind, _, key_id = words.partition("/")
    try:
        key = reading.api_key(key_id) if kind == "api" else None
    except NewerRowError:
        return words
    return words_for(key) if key else words


def _event(transaction: Transaction, history: History, hold: Hold) -> Event:
    facts: dict[str, Fact] = {
        "credential": credential_words(transaction, history),
        "reason": hold.because,
    }
    return Event(EventKind.CREDENTIAL_HELD, hold.at, account=history.account, facts=facts)
