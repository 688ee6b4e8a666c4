"""A store with accounts in it, and an Authenticator over it, whose clock a test turns."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gatepost.identity.app_passwords import hash_app_password
from gatepost.identity.attempt import Checks, LoginAttempt
from gatepost.identity.authenticate import Authenticator
from gatepost.identity.cram import CramChecker, context_of
from gatepost.identity.directory import Directory
from gatepost.identity.legacy import verify_password
from gatepost.identity.master_key import MasterKey
from gatepost.identity.matching import Matcher
from gatepost.identity.passwords import PasswordChecker
from gatepost.identity.rehash import Rehasher, with_salt
from gatepost.identity.scram import derive_keys
from gatepost.identity.shared_checks import SharedChecks
from gatepost.identity.throttle import Throttle
from gatepost.identity.uses import LastUses
from gatepost.identity.verdict import Cause, LoginFacts, Verdict
from gatepost.identity.verified import VerifiedCredentials
from gatepost.model.account import Account, Credential, CredentialKind
from gatepost.model.ids import AccountName, CredentialId, WorkerId
from gatepost.model.secret import Secret
from gatepost.store.sqlite import SqliteStore, open_sqlite
from gatepost.wire.sasl.exchange import (
    Algorithm,
    CheckPassword,
    Denied,
    Fault,
    FetchScram,
    Granted,
    ReportProof,
    ScramOffer,
)
from gatepost.wire.sasl.scram_keys import client_proof, derive_client_keys, find_proven

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
NAME = AccountName("app@example.com")
PASSWORD = "correct horse"
APP_PASSWORD = Secret("abcd-efgh-ijkl-mnop-qrst-uvwx-yz23-4567")
HERE = "192.0.2.7"
KEY = MasterKey(bytes(range(32)))
#: PBKDF2 as it is at home takes 0.1 s a password.
FEW = 4096


def right_or_wrong(verifier: Secret, password: str) -> bool:
    """argon2 without its cost: "$argon2id$plain:PASSWORD" is a verifier too."""
    if verifier.reveal().startswith("$argon2id$plain:"):
        return verifier == Secret(f"$argon2id$plain:{password}")
    return False if verifier.reveal().startswith("$argon2") else verify_password(verifier, password)


@dataclass
class People:
    """Accounts, and who answers for them. `now` moves when a test says so."""

    store: SqliteStore
    tokens: Any = None
    foreign: Any = None
    now: datetime = NOON
    asked: list[Secret] = field(default_factory=list)

    def __post_init__(self) -> None:
        store = self.store
        self.directory = Directory(store, clock=self.seconds)
        self.checker = PasswordChecker(verify=self._verify)
        self.throttle = Throttle(store, clock=self.seconds)
        self.uses = LastUses(store, interval=0.01)
        self.rehasher = Rehasher(store, self.directory, self.checker, KEY)
        self.authenticator = Authenticator(
            Checks(
                directory=self.directory,
                matcher=Matcher(
                    checker=self.checker,
                    verified=VerifiedCredentials(clock=self.seconds),
                    shared=SharedChecks(),
                    rehasher=self.rehasher,
                ),
                key=KEY,
                cram=CramChecker(KEY),
                throttle=self.throttle,
                uses=self.uses,
                tokens=self.tokens,
                foreign=self.foreign,
            ),
            clock=lambda: self.now,
        )

    def _verify(self, verifier: Secret, password: str) -> bool:
        self.asked.append(verifier)
        return right_or_wrong(verifier, password)

    def seconds(self) -> float:
        return self.now.timestamp()

    def later(self, **more: float) -> None:
        self.now += timedelta(**more)

    async def put(self, account: Account, *credentials: Credential) -> None:
        def job(transaction: Any) -> None:
            transaction.put_account(account)
            for credential in credentials:
                transaction.put_credential(credential)

        await self.store.write(job)
        self.directory.drop()

    def begin(self, mechanism: str = "PLAIN", client: str = HERE, **more: Any) -> LoginAttempt:
        facts = LoginFacts(client, mechanism, "TLSv1.3 TLS_AES_256_GCM_SHA384", **more)
        return self.authenticator.begin(facts)

    async def plain(self, name: str, password: str, client: str = HERE) -> Verdict:
        """Play PLAIN."""
        attempt = self.begin(client=client)
        if attempt.may_begin():
            return attempt.verdict
        good = await attempt.answer(CheckPassword(name, password))
        return attempt.conclude(Granted(name) if good else Denied(Fault.CREDENTIALS, name))

    async def cause(self, name: str, password: str, client: str = HERE) -> Cause | None:
        return (await self.plain(name, password, client)).cause

    async def scram(
        self, name: str, password: str, algorithm: Algorithm = "SHA-256", client: str = HERE
    ) -> tuple[Verdict, ScramOffer]:
        """Play the part of SCRAM that identity sees."""
        attempt = self.begin(f"SCRAM-{algorithm}", client)
        offer = await attempt.answer(FetchScram(name, algorithm))
        assert isinstance(offer, ScramOffer)
        keys = derive_client_keys(algorithm, password, offer.salt, offer.iterations)
        proof = client_proof(algorithm, keys.client_key, b"all that was said")
        found = find_proven(algorithm, offer.keys, b"all that was said", proof)
        good = await attempt.answer(ReportProof(name, found))
        return attempt.conclude(Granted(name) if good else Denied(Fault.CREDENTIALS, name)), offer


def account(name: AccountName = NAME, **more: Any) -> Account:
    return replace(with_salt(Account(name, (name,), NOON), KEY), iterations=FEW, **more)


def main(password: str = PASSWORD, of: Account | None = None, **more: Any) -> Credential:
    """Return a main password with SCRAM keys."""
    of = of or account()
    made = Credential(
        CredentialId(f"main-{of.name}"), of.name, CredentialKind.PASSWORD,
        Secret(f"$argon2id$plain:{password}"), NOON,
        scram=derive_keys(password, of.salt, of.iterations),
    )  # fmt: skip
    return replace(made, **more)


def app_password(secret: Secret = APP_PASSWORD, **more: Any) -> Credential:
    of = account()
    made = Credential(
        CredentialId("app"), NAME, CredentialKind.APP_PASSWORD, hash_app_password(secret), NOON,
        label="printer", scram=derive_keys(secret.reveal(), of.salt, of.iterations),
    )  # fmt: skip
    return replace(made, **more)


def sealed(password: str = PASSWORD) -> Secret:
    return KEY.seal(password, context_of(NAME))


def digest(password: str, challenge: bytes) -> str:
    return hmac.new(password.encode(), challenge, hashlib.md5).hexdigest()


async def open_people(directory: Path, accounts: Sequence[Any] = (), **more: Any) -> People:
    return People(await open_sqlite(directory, WorkerId("node/0/1")), **more)
