"""One login: what its mechanism asks, and what it comes to, with the true cause (design §6).

An attempt never raises for trouble of the world: it says no, and the verdict says why. Failures
are counted when it is concluded; an answer that was ready only after a lock began is not told.
"""

import logging
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import ip_address, ip_network
from typing import Final, Protocol

from gatepost.identity.app_passwords import verify_app_password
from gatepost.identity.certificates import fingerprint
from gatepost.identity.cram import CramChecker
from gatepost.identity.directory import Directory, Entry
from gatepost.identity.legacy import is_current
from gatepost.identity.master_key import MasterKey, MasterKeyError
from gatepost.identity.passwords import BusyError, OutdatedError, PasswordChecker
from gatepost.identity.rehash import Rehasher
from gatepost.identity.scram import ITERATIONS, keys_for
from gatepost.identity.throttle import Throttle
from gatepost.identity.uses import LastUses
from gatepost.identity.verdict import (
    TOKEN_CREDENTIAL,
    Cause,
    Consequence,
    LoginFacts,
    Verdict,
    is_foreign,
)
from gatepost.identity.verified import VerifiedCredentials
from gatepost.model.account import AccountState, Credential, CredentialKind
from gatepost.model.ids import AccountName
from gatepost.net.address import one_client
from gatepost.store.foreign_uses import ForeignUse
from gatepost.store.protocols import StoreUnavailableError, Use
from gatepost.wire.sasl.exchange import (
    Answer,
    Check,
    CheckDigest,
    CheckPassword,
    CheckToken,
    Denied,
    Fault,
    FetchScram,
    Granted,
    ProveCertificate,
    ReportProof,
    ScramOffer,
    TokenAnswer,
)
from gatepost.wire.sasl.prep import prepare_name

_log: Final = logging.getLogger(__name__)

_FAULTS: Final = {
    Fault.CREDENTIALS: Cause.WRONG_PASSWORD,
    Fault.MALFORMED: Cause.MALFORMED,
    Fault.AUTHZID: Cause.AUTHZID,
    Fault.BINDING: Cause.BINDING,
}


class TokenError(Exception):
    """A token that is not good; says which claim, never the token."""


class TokenIssuerAwayError(Exception):
    """Who could say whether a token is good cannot be reached: 454."""


class Tokens(Protocol):
    """Knows whose a bearer token is."""

    async def holder(self, token: str, at: datetime) -> str:
        """Return the account's name that a token stands for. Raises TokenError,
        TokenIssuerAwayError.
        """
        ...

    def challenge(self) -> bytes:
        """Return the JSON that a refused client is shown (RFC 7628 §3.2.2)."""
        ...


@dataclass(frozen=True, slots=True)
class Checks:
    """What the attempts of a worker share."""

    directory: Directory
    checker: PasswordChecker
    verified: VerifiedCredentials
    key: MasterKey
    cram: CramChecker
    throttle: Throttle
    uses: LastUses
    rehasher: Rehasher
    tokens: Tokens | None = None


class LoginAttempt:
    """Answers the asks of one exchange. `verdict` is what is known by now."""

    def __init__(self, facts: LoginFacts, at: datetime, checks: Checks) -> None:
        self._facts = facts
        self._at = at
        self._checks = checks
        self._offered: tuple[Credential, ...] = ()
        self._concluded = False
        self.verdict = Verdict(AccountName(""), Cause.MALFORMED)

    def may_begin(self) -> Cause | None:
        """Return why this address may not try at all now; None: it may. (The pair of account and
        address is looked at when the account is named.)
        """
        lock = self._checks.throttle.lock(self._facts.client_address)
        if lock is None:
            return None
        self.verdict = _locked(AccountName(""), lock.cause, lock.until)
        return lock.cause

    async def answer(self, ask: Check) -> Answer:
        """Answer one ask, in the type that it wants. Raises nothing for trouble of the world."""
        name = _prepared(ask.authcid or "")
        try:
            match ask:
                case CheckPassword():
                    return await self._check_password(name, ask.password)
                case FetchScram():
                    return await self._fetch_scram(name, ask)
                case ReportProof():
                    return await self._report_proof(name, ask)
                case CheckDigest():
                    return await self._check_digest(name, ask)
                case CheckToken():
                    return await self._check_token(name, ask)
                case ProveCertificate():
                    return await self._prove_certificate(name)
        except BusyError:
            self.verdict = Verdict(name, Cause.BUSY)
        except StoreUnavailableError as trouble:
            _log.warning("login not checked: %s", trouble)
            self.verdict = Verdict(name, Cause.STORE_AWAY)
        except MasterKeyError as trouble:
            _log.error("login not checked: %s", trouble)
            self.verdict = Verdict(name, Cause.MASTER_KEY)
        return self._no(ask)

    def conclude(self, outcome: Granted | Denied) -> Verdict:
        """Return what the login came to when its mechanism has ended; counts it, once."""
        verdict = self.verdict
        if isinstance(outcome, Denied) and self._is_about_more(outcome):
            cause = _FAULTS[outcome.fault]
            name = AccountName(outcome.authcid) or verdict.name
            verdict = Verdict(name, cause, verdict.account, detail=outcome.what)
        elif (
            isinstance(outcome, Granted) and verdict.is_granted and outcome.authcid != verdict.name
        ):
            verdict = replace(verdict, cause=Cause.AUTHZID)
        lock = self._checks.throttle.lock(self._facts.client_address, verdict.name or None)
        if lock is not None and not self._concluded:
            verdict = _locked(verdict.name, lock.cause, lock.until, verdict)
        if not self._concluded:
            self._concluded = True
            self._count(verdict)
        self.verdict = verdict
        return verdict

    def _is_about_more(self, outcome: Denied) -> bool:
        """Tell whether the mechanism knows a cause that the checks do not."""
        if outcome.fault is Fault.CREDENTIALS:
            return self.verdict.is_granted
        return self.verdict.is_granted or self.verdict.cause is Cause.MALFORMED

    def _count(self, verdict: Verdict) -> None:
        facts = self._facts
        if verdict.cause is None:
            self._note_use(verdict)
        elif verdict.cause.consequence is Consequence.WRONG:
            self._checks.throttle.note_failure(facts.client_address, verdict.name or None)

    def _note_use(self, verdict: Verdict) -> None:
        proof, facts, uses = verdict.credential, self._facts, self._checks.uses
        if proof is None:
            return
        if is_foreign(proof):
            uses.note_foreign(ForeignUse(verdict.name, proof, self._at, facts.mechanism, facts.tls))
        else:
            uses.note(Use(proof, self._at, facts.mechanism, facts.tls))

    # -- the asks

    async def _check_password(self, name: AccountName, password: str) -> bool:
        if self._is_locked(name):
            return False
        entry = await self._checks.directory.find(name)
        try:
            credential = await self._matching(name, password, entry)
        except OutdatedError:
            return False  # locked while it waited: the verdict says so
        return self._judge(name, entry, credential)

    async def _matching(
        self, name: AccountName, password: str, entry: Entry | None
    ) -> Credential | None:
        """Return whose secret this is. App passwords cost nothing; a wrong one costs one argon2,
        whether there is such an account or not.
        """
        checks = self._checks
        for credential in _of(entry, CredentialKind.APP_PASSWORD):
            if verify_app_password(credential.verifier, password):
                return credential
        mains = _of(entry, CredentialKind.PASSWORD)
        for credential in mains:
            if checks.verified.knows(name, password, credential.verifier):
                return credential
        client = one_client(self._facts.client_address)

        def outdated() -> bool:
            return self._is_locked(name)

        for credential in mains:
            if await checks.checker.verify(
                credential.verifier, password, client=client, outdated=outdated
            ):
                checks.verified.remember(name, password, credential.verifier)
                if entry and not (credential.scram and is_current(credential.verifier)):
                    checks.rehasher.rehash(entry.account, credential, password)
                return credential
        if not mains:
            await checks.checker.verify_nobody(password, client=client, outdated=outdated)
        return None

    async def _fetch_scram(self, name: AccountName, ask: FetchScram) -> ScramOffer:
        entry = None if self._is_locked(name) else await self._checks.directory.find(name)
        salt, iterations = self._checks.key.salt(name), ITERATIONS
        keys = []
        offered = []
        if entry is not None and entry.account.salt:
            salt, iterations = entry.account.salt, entry.account.iterations
            for credential in entry.credentials:
                found = keys_for(credential.scram, ask.algorithm) if credential.scram else None
                if found is not None:
                    keys.append(found)
                    offered.append(credential)
        self._offered = tuple(offered)
        return ScramOffer(salt, iterations, tuple(keys))

    async def _report_proof(self, name: AccountName, ask: ReportProof) -> bool:
        if self._is_locked(name):
            return False
        entry = await self._checks.directory.find(name)
        if ask.key is not None:
            return self._judge(name, entry, self._offered[ask.key])
        if entry is not None and not self._offered:
            mains = _of(entry, CredentialKind.PASSWORD)
            imported = any(not is_current(c.verifier) for c in mains)
            detail = (
                "its password was imported: one login with PLAIN makes the keys"
                if imported
                else "set its password anew, and the keys are made"
            )
            self.verdict = Verdict(name, Cause.NO_SCRAM_KEYS, entry.account, detail=detail)
            return False
        return self._judge(name, entry, None)

    async def _check_digest(self, name: AccountName, ask: CheckDigest) -> bool:
        if self._is_locked(name):
            return False
        entry = await self._checks.directory.find(name)
        mains = _of(entry, CredentialKind.PASSWORD)
        credential = self._checks.cram.matching(name, mains, ask.challenge, ask.digest)
        if entry is not None and not any(c.recoverable for c in mains):
            self.verdict = Verdict(name, Cause.NO_CRAM_SECRET, entry.account)
            return False
        return self._judge(name, entry, credential)

    async def _check_token(self, name: AccountName, ask: CheckToken) -> TokenAnswer:
        tokens = self._checks.tokens
        if tokens is None or self._is_locked(name):
            if tokens is None:
                self.verdict = Verdict(name, Cause.BAD_TOKEN, detail="no issuer is configured")
            return TokenAnswer(False, error=b'{"status":"invalid_token"}')
        refused = TokenAnswer(False, error=tokens.challenge())
        try:
            holder = _prepared(await tokens.holder(ask.token, self._at))
        except TokenError as problem:
            entry = await self._checks.directory.find(name) if name else None
            account = entry.account if entry else None
            self.verdict = Verdict(name, Cause.BAD_TOKEN, account, detail=str(problem))
            return refused
        except TokenIssuerAwayError as problem:
            _log.warning("token not checked: %s", problem)
            self.verdict = Verdict(name, Cause.PROVIDER_AWAY, detail=str(problem))
            return refused
        entry = await self._checks.directory.find(holder)
        if name and name != holder:
            self.verdict = Verdict(name, Cause.OTHER_ACCOUNT, detail=f"the token is {holder}'s")
        elif entry is None:
            self.verdict = Verdict(holder, Cause.UNKNOWN_ACCOUNT, detail="the token is good")
        elif entry.account.state is AccountState.SUSPENDED:
            self.verdict = Verdict(holder, Cause.SUSPENDED, entry.account)
        else:
            self.verdict = Verdict(holder, None, entry.account, TOKEN_CREDENTIAL)
            return TokenAnswer(True, holder)
        return refused

    async def _prove_certificate(self, name: AccountName) -> str | None:
        if self._is_locked(name):
            return None
        if self._facts.certificate is None:
            self.verdict = Verdict(name, Cause.NO_CERTIFICATE)
            return None
        mark = fingerprint(self._facts.certificate).reveal()
        credential = (await self._checks.directory.certificates()).get(mark)
        if credential is None:
            self.verdict = Verdict(name, Cause.UNKNOWN_CERTIFICATE, detail=mark)
            return None
        entry = await self._checks.directory.find(credential.account)
        if name and name != credential.account:
            detail = f"the certificate is {credential.account}'s"
            self.verdict = Verdict(name, Cause.OTHER_ACCOUNT, detail=detail)
            return None
        known = entry.credential(credential.id) if entry else None
        return credential.account if self._judge(credential.account, entry, known) else None

    # -- rules

    def _is_locked(self, name: AccountName) -> bool:
        """Look whether this account, from this address, has to wait; then that is the verdict."""
        lock = self._checks.throttle.lock(self._facts.client_address, name or None)
        if lock is not None:
            self.verdict = _locked(name, lock.cause, lock.until)
        return lock is not None

    def _judge(self, name: AccountName, entry: Entry | None, credential: Credential | None) -> bool:
        """Set the verdict: a secret that was right may still not be good here, or now.

        Suspension and the need of an app password are told only to those who had a right secret.
        """
        if entry is None:
            self.verdict = Verdict(name, Cause.UNKNOWN_ACCOUNT)
        elif credential is None:
            self.verdict = Verdict(name, Cause.WRONG_PASSWORD, entry.account)
        else:
            cause, detail = self._restriction(entry, credential)
            self.verdict = Verdict(name, cause, entry.account, credential.id, detail)
        return self.verdict.is_granted

    def _restriction(self, entry: Entry, credential: Credential) -> tuple[Cause | None, str]:
        account = entry.account
        label = f'"{credential.label}" ' if credential.label else ""
        if credential.expires_at is not None and credential.expires_at <= self._at:
            return Cause.EXPIRED, f"{label}expired at {credential.expires_at:%Y-%m-%d %H:%M} UTC"
        if credential.networks and not _is_within(self._facts.client_address, credential.networks):
            return Cause.ADDRESS_NOT_ALLOWED, f"{label}is for {', '.join(credential.networks)}"
        if account.app_passwords_only and credential.kind is CredentialKind.PASSWORD:
            return Cause.APP_PASSWORD_REQUIRED, ""
        return (Cause.SUSPENDED, "") if account.state is AccountState.SUSPENDED else (None, "")

    def _no(self, ask: Check) -> Answer:
        match ask:
            case FetchScram():
                return ScramOffer(self._checks.key.salt(_prepared(ask.authcid)), ITERATIONS)
            case CheckToken():
                return TokenAnswer(False, error=b'{"status":"temporarily_unavailable"}')
            case ProveCertificate():
                return None
            case _:
                return False


def _prepared(name: str) -> AccountName:
    try:
        return AccountName(prepare_name(name))
    except ValueError:
        return AccountName(name)


def _of(entry: Entry | None, kind: CredentialKind) -> tuple[Credential, ...]:
    return tuple(c for c in entry.credentials if c.kind is kind) if entry else ()


def _is_within(client_address: str, networks: tuple[str, ...]) -> bool:
    try:
        address = ip_address(client_address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in ip_network(network) for network in networks)


def _locked(
    name: AccountName, cause: Cause, until: datetime, before: Verdict | None = None
) -> Verdict:
    detail = f"until {until:%Y-%m-%d %H:%M:%S} UTC"
    return Verdict(name, cause, before.account if before else None, detail=detail)
