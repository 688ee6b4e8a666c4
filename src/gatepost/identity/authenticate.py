"""Are these credentials good, whose are they, and if not: why really (design §6).

The cause is for events and the operator. The wire says the same words, after the same time, for
an unknown account and for a wrong password.
"""

import logging
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gatepost.identity.directory import Directory, Entry
from gatepost.identity.passwords import BusyError, PasswordChecker
from gatepost.identity.verified import VerifiedCredentials
from gatepost.model.account import Account, AccountState, Credential, CredentialKind
from gatepost.model.ids import AccountName, CredentialId
from gatepost.store.protocols import StoreUnavailableError
from gatepost.wire.sasl.prep import prepare_name, saslprep

_log: Final = logging.getLogger(__name__)


class Cause(StrEnum):
    """The true cause of a refused login."""

    UNKNOWN_ACCOUNT = "unknown account"
    WRONG_PASSWORD = "wrong password"  # noqa: S105
    SUSPENDED = "suspended"
    BUSY = "too many logins at once"
    STORE_AWAY = "storage is not available"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check came to. `cause` is None for yes, and then `account` and `credential` are there.

    `account` is also there where its password was wrong or it is suspended. `name` is prepared,
    or as given where it cannot be.
    """

    name: AccountName
    cause: Cause | None = None
    account: Account | None = None
    credential: CredentialId | None = None

    @property
    def is_granted(self) -> bool:
        """True when the credentials are good and the account may be used."""
        return self.cause is None


class Authenticator:
    """Answers for one worker."""

    def __init__(
        self, directory: Directory, checker: PasswordChecker, verified: VerifiedCredentials
    ) -> None:
        self._directory = directory
        self._checker = checker
        self._verified = verified

    async def check_password(self, name: str, password: str) -> Verdict:
        """Check a name and a password as they came from the client.

        A suspended account is told so only when the password was right: else the answer would
        tell strangers which accounts there are. Raises nothing for trouble of the world.
        """
        try:
            prepared, secret = AccountName(prepare_name(name)), saslprep(password)
        except ValueError:
            prepared, secret = AccountName(name), ""
        try:
            entry = await self._directory.find(prepared) if secret else None
            return await self._judge(prepared, secret, entry)
        except BusyError:
            return Verdict(prepared, Cause.BUSY)
        except StoreUnavailableError as trouble:
            _log.warning("login not checked: %s", trouble)
            return Verdict(prepared, Cause.STORE_AWAY)

    async def _judge(self, name: AccountName, password: str, entry: Entry | None) -> Verdict:
        if entry is None:
            await self._checker.verify_nobody(password)
            return Verdict(name, Cause.UNKNOWN_ACCOUNT)
        credential = await self._matching(name, password, entry)
        if credential is None:
            return Verdict(name, Cause.WRONG_PASSWORD, entry.account)
        if entry.account.state is AccountState.SUSPENDED:
            return Verdict(name, Cause.SUSPENDED, entry.account, credential.id)
        return Verdict(name, None, entry.account, credential.id)

    async def _matching(self, name: AccountName, password: str, entry: Entry) -> Credential | None:
        passwords = [c for c in entry.credentials if c.kind is CredentialKind.PASSWORD]
        for credential in passwords:
            if self._verified.knows(name, password, credential.verifier):
                return credential
        for credential in passwords:
            if await self._checker.verify(credential.verifier, password):
                self._verified.remember(name, password, credential.verifier)
                return credential
        if not passwords:
            await self._checker.verify_nobody(password)
        return None

    def close(self) -> None:
        """End the threads."""
        self._checker.close()


def build_authenticator(directory: Directory, *, threads: int = 2) -> Authenticator:
    """Return an Authenticator with its own pool and cache; call it after the fork."""
    return Authenticator(directory, PasswordChecker(threads=threads), VerifiedCredentials())
