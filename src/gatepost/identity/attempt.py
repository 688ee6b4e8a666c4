"""One login: what its mechanism asks, and what it comes to, with the true cause (design §6).

An attempt never raises for trouble of the world: it says no, and the verdict says why. Failures
are counted when it is concluded; an answer that was ready only after a lock began is not told.
"""

import logging
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from gatepost.identity.bearer import TokenError, TokenIssuerAwayError, Tokens
from gatepost.identity.certificates import fingerprint
from gatepost.identity.cram import CramChecker
from gatepost.identity.directory import Directory, Entry, NewerAccountError
from gatepost.identity.foreign import Asker, DirectoryAwayError, ForeignDirectories, Heard
from gatepost.identity.keepers import Keepers
from gatepost.identity.master_key import MasterKey, MasterKeyError
from gatepost.identity.matching import Given, Matcher, of_kind
from gatepost.identity.restriction import restriction
from gatepost.identity.scram import ITERATIONS, offer_of, why_no_keys
from gatepost.identity.throttle import Throttle
from gatepost.identity.turns import BusyError, OutdatedError
from gatepost.identity.uses import LastUses
from gatepost.identity.verdict import (
    TOKEN_CREDENTIAL,
    Cause,
    Consequence,
    LoginFacts,
    Verdict,
    is_foreign,
)
from gatepost.model.account import AccountState, Credential, CredentialKind
from gatepost.model.ids import AccountName
from gatepost.net.address import one_client
from gatepost.store.account_protocols import Use
from gatepost.store.foreign_uses import ForeignUse
from gatepost.store.protocols import StoreUnavailableError
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


@dataclass(frozen=True, slots=True)
class Checks:
    """What the attempts of a worker share."""

    directory: Directory
    matcher: Matcher
    key: MasterKey
    cram: CramChecker
    throttle: Throttle
    uses: LastUses
    tokens: Tokens | None = None
    foreign: ForeignDirectories | None = None


_TROUBLES: Final = (BusyError, DirectoryAwayError, StoreUnavailableError, MasterKeyError)


class LoginAttempt:
    """Answers the asks of one exchange. `verdict` is what is known by now."""

    def __init__(self, facts: LoginFacts, at: datetime, checks: Checks) -> None:
        self._facts = facts
        self._at = at
        self._checks = checks
        self._offered: tuple[Credential, ...] = ()
        self._concluded = False
        self._keepers = Keepers(checks.directory, checks.foreign)
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
                    return await self._paced(self._check_password(name, ask.password))
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
        except _TROUBLES as trouble:
            self.verdict = _troubled(name, trouble)
        return self._no(ask)

    def conclude(self, outcome: Granted | Denied) -> Verdict:
        """Return what the login came to when its mechanism has ended; counts it, once."""
        verdict = self.verdict
        if self._concluded:
            return verdict
        if isinstance(outcome, Denied) and self._is_about_more(outcome):
            cause = _FAULTS[outcome.fault]
            name = AccountName(outcome.authcid) or verdict.name
            verdict = Verdict(name, cause, verdict.account, detail=outcome.what)
        elif (
            isinstance(outcome, Granted) and verdict.is_granted and outcome.authcid != verdict.name
        ):
            verdict = replace(verdict, cause=Cause.AUTHZID)
        return self._end(verdict)

    def _end(self, verdict: Verdict) -> Verdict:
        """Settle the verdict, and count it; what was ready only after a lock began is not told."""
        lock = self._checks.throttle.lock(self._facts.client_address, verdict.name or None)
        if lock is not None:
            verdict = _locked(verdict.name, lock.cause, lock.until, verdict)
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
        elif verdict.cause.is_guess:
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
            if entry is None and self._checks.foreign is not None:
                heard = await self._checks.foreign.check(name, password, self._asker(name))
                if heard is not None:
                    return self._judge_heard(name, heard)
            match = await self._checks.matcher.find(self._given(name, password), entry)
        except OutdatedError:
            return False  # locked while it waited: the verdict says so
        return self._judge(name, entry, match.credential, match.unsure)

    async def _paced(self, check: Awaitable[bool]) -> bool:
        """Where directories are asked, tell every refusal at the same times, whoever kept the name.
        It counts before it waits: else a hundred guesses would be under way before the first one
        is counted.
        """
        foreign = self._checks.foreign
        if foreign is None:
            return await check
        begun = foreign.now()
        is_right = await check
        cause = self.verdict.cause
        if cause is not None and cause.consequence is Consequence.WRONG:
            self._end(self.verdict)
            await foreign.pace(begun)
        return is_right

    def _asker(self, name: AccountName) -> Asker:
        return Asker(one_client(self._facts.client_address), lambda: self._is_locked(name))

    def _judge_heard(self, name: AccountName, heard: Heard) -> bool:
        """Set the verdict by what a directory said of a password."""
        account = heard.entry.account if heard.entry is not None else None
        if heard.right and heard.entry is not None:
            return self._judge(name, heard.entry, heard.entry.credentials[0])
        words = f": {heard.words}" if heard.words else ""
        detail = f'directory "{heard.directory}"{words}'
        self.verdict = Verdict(name, Cause.WRONG_PASSWORD, account, detail=detail)
        return False

    def _given(self, name: AccountName, password: str) -> Given:
        client = one_client(self._facts.client_address)
        return Given(name, password, client, lambda: self._is_locked(name))

    async def _fetch_scram(self, name: AccountName, ask: FetchScram) -> ScramOffer:
        entry = None if self._is_locked(name) else await self._keepers.of_keys(name)
        offer, self._offered = offer_of(entry, ask.algorithm, self._checks.key.salt(name))
        return offer

    async def _report_proof(self, name: AccountName, ask: ReportProof) -> bool:
        if self._is_locked(name):
            return False
        entry = await self._keepers.of_keys(name, to_judge=True)
        if ask.key is not None:
            return self._judge(name, entry, self._offered[ask.key])
        if entry is not None and not self._offered:
            self.verdict = _wrong(name, entry, Cause.NO_SCRAM_KEYS, why_no_keys(entry))
            return False
        if entry is None and (detail := self._keepers.without_keys(name)):
            self.verdict = Verdict(name, Cause.UNKNOWN_ACCOUNT, detail=detail)
            return False
        return self._judge(name, entry, None)

    async def _check_digest(self, name: AccountName, ask: CheckDigest) -> bool:
        if self._is_locked(name):
            return False
        entry = await self._checks.directory.find(name)
        mains = of_kind(entry, CredentialKind.PASSWORD)
        credential = self._checks.cram.matching(name, mains, ask.challenge, ask.digest)
        if entry is not None and not any(c.recoverable for c in mains):
            self.verdict = _wrong(name, entry, Cause.NO_CRAM_SECRET)
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
            holder = _said(await tokens.holder(ask.token, self._at))
        except TokenError as problem:
            entry = await self._checks.directory.find(name) if name else None
            account = entry.account if entry else None
            self.verdict = Verdict(name, Cause.BAD_TOKEN, account, detail=str(problem))
            return refused
        except TokenIssuerAwayError as problem:
            _log.warning("token not checked: %s", problem)
            self.verdict = Verdict(name, Cause.PROVIDER_AWAY, detail=str(problem))
            return refused
        entry = await self._keepers.find(holder)
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

    def _judge(
        self,
        name: AccountName,
        entry: Entry | None,
        credential: Credential | None,
        unsure: str = "",
    ) -> bool:
        """Set the verdict: a secret that was right may still not be good here, or now; what we cannot
        check (`unsure`: why) is not called wrong.

        Suspension and the need of an app password are told only to those who had a right secret.
        """
        if entry is None:
            self.verdict = Verdict(name, Cause.UNKNOWN_ACCOUNT)
        elif credential is None:
            self.verdict = _wrong(name, entry, Cause.WRONG_PASSWORD, unsure=unsure)
        else:
            client = self._facts.client_address
            cause, detail = restriction(entry.account, credential, client, self._at)
            self.verdict = Verdict(name, cause, entry.account, credential.id, detail)
        return self.verdict.is_granted

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


def _said(holder: str) -> AccountName:
    """Return the account that an issuer names, which must be written as accounts are: two users
    of his whose names look alike here are not one.
    """
    name = _prepared(holder)
    if name != holder:
        raise TokenError(f"the holder's name is not written as an account's is: {name}")
    return name


def _prepared(name: str) -> AccountName:
    try:
        return AccountName(prepare_name(name))
    except ValueError:
        return AccountName(name)


def _troubled(name: AccountName, trouble: Exception) -> Verdict:
    """Return what trouble of our own makes of a login."""
    if isinstance(trouble, BusyError):
        return Verdict(name, Cause.BUSY)
    _log.warning("login not checked: %s", trouble)
    if isinstance(trouble, NewerAccountError):
        return Verdict(name, Cause.NEWER_ACCOUNT, detail=str(trouble))
    if isinstance(trouble, DirectoryAwayError):
        return Verdict(name, Cause.DIRECTORY_AWAY, detail=str(trouble))
    if isinstance(trouble, MasterKeyError):
        return Verdict(name, Cause.MASTER_KEY)
    return Verdict(name, Cause.STORE_AWAY)


def _wrong(
    name: AccountName, entry: Entry, cause: Cause, detail: str = "", *, unsure: str = ""
) -> Verdict:
    """Return what a secret comes to that is none of those that we know: of an account that has others
    we cannot say that it is wrong.
    """
    secrets = [c for c in entry.unread if c.kind != CredentialKind.CERTIFICATE.value]
    if secrets:
        unsure = f'{secrets[0].kind} "{secrets[0].label}": {secrets[0].why}'
    if unsure:
        return Verdict(name, Cause.NEWER_CREDENTIAL, entry.account, detail=unsure)
    return Verdict(name, cause, entry.account, detail=detail)


def _locked(
    name: AccountName, cause: Cause, until: datetime, before: Verdict | None = None
) -> Verdict:
    detail = f"until {until:%Y-%m-%d %H:%M:%S} UTC"
    return Verdict(name, cause, before.account if before else None, detail=detail)
