"""Whose secret is this password: which credential of an account, if any."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from gatepost.identity.app_passwords import verify_app_password
from gatepost.identity.directory import Entry
from gatepost.identity.legacy import is_current
from gatepost.identity.passwords import NOBODY, PasswordChecker
from gatepost.identity.rehash import Rehasher
from gatepost.identity.shared_checks import SharedChecks
from gatepost.identity.verified import VerifiedCredentials
from gatepost.model.account import Credential, CredentialKind
from gatepost.model.ids import AccountName
from gatepost.model.secret import Secret

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Given:
    """A prepared name and password, in whose turn they are checked, and what says that nobody wants
    to know any more.
    """

    name: AccountName
    password: str
    client: str
    outdated: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Match:
    """The credential whose secret it is; None: none that we can check. `unsure` says which of the
    account's verifiers this program cannot check, "" where it is sure.
    """

    credential: Credential | None = None
    unsure: str = ""


@dataclass(frozen=True, slots=True)
class Matcher:
    """Looks, and remembers what was right."""

    checker: PasswordChecker
    verified: VerifiedCredentials
    shared: SharedChecks
    rehasher: Rehasher

    async def find(self, given: Given, entry: Entry | None) -> Match:
        """Return whose secret this is. App passwords cost nothing; a wrong one costs one argon2,
        whether there is such an account or not, and beside a hash of another system too.

        Raises:
            BusyError, OutdatedError: as `PasswordChecker.verify` does.

        """
        if known := self._known(given, entry):
            return Match(known)
        mains = of_kind(entry, CredentialKind.PASSWORD)
        unsure = ""
        for credential in mains:
            try:
                is_right = await self._verify(given, credential.verifier)
            except (ValueError, ImportError) as problem:
                _log.warning("a password of %s cannot be checked: %s", given.name, problem)
                unsure = str(problem)
                continue
            if is_right:
                self.verified.remember(given.name, given.password, credential.verifier)
                if entry and not (credential.scram and is_current(credential.verifier)):
                    self.rehasher.rehash(entry.account, credential, given.password)
                return Match(credential)
        if not any(is_current(credential.verifier) for credential in mains):
            await self._verify(given, NOBODY)
        return Match(None, unsure)

    def _known(self, given: Given, entry: Entry | None) -> Credential | None:
        """Return the credential that this is found to be without argon2."""
        for credential in of_kind(entry, CredentialKind.APP_PASSWORD):
            if verify_app_password(credential.verifier, given.password):
                return credential
        for credential in of_kind(entry, CredentialKind.PASSWORD):
            if self.verified.knows(given.name, given.password, credential.verifier):
                return credential
        return None

    async def _verify(self, given: Given, verifier: Secret) -> bool:
        """Have a password checked in this client's turn, or share another's look at the same."""

        def check() -> Awaitable[bool]:
            return self.checker.verify(
                verifier, given.password, client=given.client, outdated=given.outdated
            )

        mark = self.verified.mark(given.name, given.password, verifier)
        return await self.shared.run(mark, check)


def of_kind(entry: Entry | None, kind: CredentialKind) -> tuple[Credential, ...]:
    """Return an account's credentials of one kind."""
    return tuple(c for c in entry.credentials if c.kind is kind) if entry else ()
