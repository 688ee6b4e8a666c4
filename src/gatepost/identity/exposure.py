"""A password that came in clear is known to whoever listened: flag the credential that it is of.

Only a right one says anything: else whoever knows an account's name could have it flagged. It is
looked at behind the reply (538, whatever came), so that the client learns nothing of it; a wrong one
is counted by the throttle as any guess is, and a locked client's is not looked at.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gatepost.identity.directory import Directory
from gatepost.identity.matching import Given, Matcher
from gatepost.identity.throttle import Throttle
from gatepost.identity.turns import BusyError, OutdatedError
from gatepost.model.account import Credential
from gatepost.model.event import Event, EventKind
from gatepost.model.ids import AccountName
from gatepost.net.address import one_client
from gatepost.net.clock import now
from gatepost.store.protocols import Store, StoreUnavailableError, Transaction
from gatepost.wire.sasl.prep import prepare_name, saslprep

#: Looks that may be under way in a worker; a stranger can cause any number. What comes beside them is
#: not looked at: a program that is set up wrongly comes again.
_MOST: Final = 20


@dataclass(frozen=True, slots=True)
class InClear:
    """What was sent before TLS, as it came, and from where."""

    name: str
    password: str
    client_address: str


class Exposures:
    """Looks at what came in clear. One per worker."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        matcher: Matcher,
        throttle: Throttle,
        *,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._store = store
        self._directory = directory
        self._matcher = matcher
        self._throttle = throttle
        self._clock = clock
        self._under_way: set[asyncio.Task[None]] = set()

    def note(self, sent: InClear) -> None:
        """Begin to look, unless too many looks are under way. Nobody waits for it."""
        if len(self._under_way) < _MOST:
            task = asyncio.get_running_loop().create_task(self._look(sent), name="exposure")
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def wait(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _look(self, sent: InClear) -> None:
        try:
            name = AccountName(prepare_name(sent.name))
            password = saslprep(sent.password)
        except ValueError:
            return
        with contextlib.suppress(StoreUnavailableError, BusyError, OutdatedError):
            if credential := await self._right(name, password, sent.client_address):
                await self._flag(credential, sent.client_address)

    async def _right(
        self, name: AccountName, password: str, client_address: str
    ) -> Credential | None:
        """Return the credential that was sent, if it was a right one that is not flagged yet."""
        throttle = self._throttle

        def is_locked() -> bool:
            return throttle.lock(client_address, name) is not None

        if is_locked():
            return None
        entry = await self._directory.find(name)
        given = Given(name, password, one_client(client_address), is_locked)
        match = await self._matcher.find(given, entry)
        if match.credential is None:
            throttle.note_failure(client_address, name)
            return None
        return match.credential if match.credential.exposed_at is None else None

    async def _flag(self, credential: Credential, client_address: str) -> None:
        at = self._clock()
        facts = {
            "client": client_address,
            "credential": credential.label or credential.kind.value,
            "reason": "it was sent before TLS",
        }

        def job(transaction: Transaction) -> None:
            if transaction.note_exposed(credential.id, at):
                kind = EventKind.ACCOUNT_EXPOSED
                transaction.add_events([Event(kind, at, account=credential.account, facts=facts)])

        await self._store.write(job)
        self._directory.drop(credential.account)
