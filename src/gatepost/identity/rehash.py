"""A password that was just proven, kept better than before: argon2id and SCRAM keys instead of an
imported hash, SCRAM keys where there were none. In the background; nobody waits for it.
"""

import asyncio
import logging
from dataclasses import replace
from typing import Final

from gatepost.identity.directory import Directory
from gatepost.identity.master_key import MasterKey
from gatepost.identity.passwords import PasswordChecker, hash_password
from gatepost.identity.scram import ITERATIONS, derive_keys
from gatepost.identity.turns import BusyError
from gatepost.model.account import Account, Credential
from gatepost.model.ids import CredentialId
from gatepost.model.secret import Secret
from gatepost.store.protocols import Store, StoreUnavailableError, Transaction

_log: Final = logging.getLogger(__name__)


def with_salt(account: Account, key: MasterKey) -> Account:
    """Return an account that has a salt and a count for its SCRAM keys; its own, if it had."""
    if account.salt:
        return account
    return replace(account, salt=key.salt(account.name), iterations=ITERATIONS)


class Rehasher:
    """Does it once per credential at a time."""

    def __init__(
        self, store: Store, directory: Directory, checker: PasswordChecker, key: MasterKey
    ) -> None:
        self._store = store
        self._directory = directory
        self._checker = checker
        self._key = key
        self._tasks: dict[CredentialId, asyncio.Task[None]] = {}

    def rehash(self, account: Account, credential: Credential, password: str) -> None:
        """Begin, if it is not under way. `password` is prepared, and was right."""
        if credential.id in self._tasks:
            return
        task = asyncio.create_task(self._rehash(account, credential, password), name="rehash")
        self._tasks[credential.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(credential.id, None))

    async def wait(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _rehash(self, account: Account, credential: Credential, password: str) -> None:
        salted = with_salt(account, self._key)

        def compute() -> tuple[Secret, Secret]:
            keys = derive_keys(password, salted.salt, salted.iterations)
            return hash_password(password), keys

        def job(transaction: Transaction, verifier: Secret, scram: Secret) -> None:
            now = transaction.account(account.name)
            current = next(
                (c for c in transaction.credentials(account.name) if c.id == credential.id), None
            )
            if now is None or current is None or current.verifier != credential.verifier:
                return  # changed meanwhile
            if (now.salt or salted.salt) != salted.salt:
                return
            transaction.put_account(replace(now, salt=salted.salt, iterations=salted.iterations))
            transaction.put_credential(replace(current, verifier=verifier, scram=scram))

        try:
            verifier, scram = await self._checker.compute(compute)
            await self._store.write(lambda transaction: job(transaction, verifier, scram))
        except (BusyError, StoreUnavailableError) as trouble:
            _log.info("a password is rehashed at its next login: %s", trouble or "busy")
            return
        self._directory.drop(account.name)
