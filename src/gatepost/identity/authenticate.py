"""Are these credentials good, whose are they, and if not: why really (design §6).

One `Authenticator` per worker; each AUTH command is one `LoginAttempt` of it.
"""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime

from gatepost.identity.attempt import Checks, LoginAttempt
from gatepost.identity.bearer import Tokens
from gatepost.identity.cram import CramChecker
from gatepost.identity.directory import Directory
from gatepost.identity.exposure import Exposures, InClear
from gatepost.identity.foreign import Everybody, ForeignDirectories
from gatepost.identity.legacy import verify_password
from gatepost.identity.master_key import MasterKey
from gatepost.identity.matching import Matcher
from gatepost.identity.passwords import PasswordChecker
from gatepost.identity.rehash import Rehasher
from gatepost.identity.shared_checks import SharedChecks
from gatepost.identity.throttle import ADDRESS_LIMIT, Throttle
from gatepost.identity.uses import LastUses
from gatepost.identity.verdict import Cause, Consequence, LoginFacts, Verdict
from gatepost.identity.verified import VerifiedCredentials
from gatepost.net.clock import now
from gatepost.store.protocols import Store, StoreUnavailableError

__all__ = [
    "Authenticator",
    "Cause",
    "Consequence",
    "InClear",
    "LoginAttempt",
    "LoginFacts",
    "Verdict",
    "build_authenticator",
]

MakeForeign = Callable[[PasswordChecker], ForeignDirectories | None]


class Authenticator:
    """Answers for one worker."""

    def __init__(
        self,
        checks: Checks,
        *,
        exposures: Exposures | None = None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._checks = checks
        self._exposures = exposures
        self._clock = clock

    def begin(self, login: LoginFacts) -> LoginAttempt:
        """Return an attempt to log in. Ask `may_begin` first, and `conclude` it at the end."""
        return LoginAttempt(login, self._clock(), self._checks)

    def note_in_clear(self, sent: InClear) -> None:
        """Take note of a name and password that came before TLS; nobody waits for what it comes to."""
        if self._exposures is not None:
            self._exposures.note(sent)

    async def note_version(self, data_version: int) -> None:
        """Pass on what `Store.data_version` says: accounts and locks may have changed."""
        self._checks.directory.note_version(data_version)
        with contextlib.suppress(StoreUnavailableError):
            await self._checks.throttle.note_version(data_version)

    async def run(self) -> None:
        """Write failures and last uses as they come, until cancelled; then what is left."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._checks.throttle.run(), name="throttle")
                group.create_task(self._checks.uses.run(), name="last uses")
        finally:
            if self._checks.foreign is not None:
                await self._checks.foreign.close()

    @property
    def accounts(self) -> Everybody:
        """Return who knows the accounts that may have logged in, without a password."""
        return Everybody(self._checks.directory, self._checks.foreign)

    def close(self) -> None:
        """End the threads."""
        self._checks.matcher.checker.close()


def build_authenticator(
    store: Store,
    directory: Directory,
    key: MasterKey,
    *,
    authentication_failures: int = ADDRESS_LIMIT,
    tokens: Tokens | None = None,
    foreign: MakeForeign = lambda _: None,
) -> Authenticator:
    """Return an Authenticator with its own pool and caches; call it after the fork, on the loop.

    `foreign` makes the directories that are asked besides, given who checks hashes.
    """
    checker = PasswordChecker(verify=verify_password)
    matcher = Matcher(
        checker=checker,
        verified=VerifiedCredentials(),
        shared=SharedChecks(),
        rehasher=Rehasher(store, directory, checker, key),
    )
    throttle = Throttle(store, address_limit=authentication_failures)
    return Authenticator(
        Checks(
            directory=directory,
            matcher=matcher,
            key=key,
            cram=CramChecker(key),
            throttle=throttle,
            uses=LastUses(store),
            tokens=tokens,
            foreign=foreign(checker),
        ),
        exposures=Exposures(store, directory, matcher, throttle),
    )
