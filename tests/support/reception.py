"""A desk without a world: a conversation in memory, a store that only remembers."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from gatepost.identity.authenticate import Cause, Consequence, InClear, LoginFacts, Verdict
from gatepost.identity.directory import Entry
from gatepost.identity.histories import Histories
from gatepost.model.account import Account, AccountState, Credential, CredentialKind
from gatepost.model.delivery import Delivery, Leased
from gatepost.model.event import Event
from gatepost.model.history import Hold
from gatepost.model.ids import AccountName, CredentialId, SubmissionId, WorkerId
from gatepost.model.secret import Secret
from gatepost.model.settings import LimitSettings, LocalDomainSettings, Role
from gatepost.model.submission import Submission
from gatepost.model.suppression import Suppression, SuppressionClass
from gatepost.model.suppression_subject import subjects_of
from gatepost.net.address import SocketAddress
from gatepost.net.channel_binding import ChannelBinding
from gatepost.net.clock import now
from gatepost.net.tls import client_context
from gatepost.net.tls_channel import TlsInfo
from gatepost.reception.accept import Acceptance
from gatepost.reception.allowances import Allowances
from gatepost.reception.converse import Conversation
from gatepost.reception.desk import Desk, Door
from gatepost.reception.extensions import extensions_for
from gatepost.reception.inside import Inside
from gatepost.reception.later import Later
from gatepost.reception.memory import Memory
from gatepost.reception.relay import local_domains
from gatepost.store.kept_keys import KeptKey
from gatepost.store.later import LEAST_COUNTED
from gatepost.store.protocols import StoreUnavailableError
from gatepost.store.suppressions import AccountRule
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
from gatepost.wire.sasl.mechanisms.cram_md5 import digest_of
from gatepost.wire.sasl.scram_keys import derive_keys
from gatepost.wire.smtp.extensions import Profile
from tests.memory_quotas import MemoryQuotas

DOMAINS = (
    LocalDomainSettings(name="local.test", mailboxes=("alice",), deliver_to="maildir:m"),
    LocalDomainSettings(name="all.test", deliver_to="maildir:a"),
    LocalDomainSettings(name="behind.test", deliver_to="smtp:127.0.0.1:2526"),
)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
APP = AccountName("app@sender.test")
PASSWORD = "correct horse"
MAIN = Credential(CredentialId("c1" * 16), APP, CredentialKind.PASSWORD, Secret("$argon2id$"), NOON)
TOKEN = "good-token"
CERTIFICATE = b"a certificate in DER"
SALT = b"a salt"
ROUNDS = 4096
TLS = TlsInfo(
    version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", bits=256, server_name=None,
    peer_certificate=None, resumed=False,
)  # fmt: skip


class RememberingStore(MemoryQuotas):
    """Only what accepting needs; `fault` is raised by the next writes."""

    def __init__(self) -> None:
        self.submissions: list[Submission] = []
        self.deliveries: list[Delivery] = []
        self.contents: dict[SubmissionId, bytes] = {}
        self.events: list[Event] = []
        self.fault: StoreUnavailableError | None = None
        self.keys: dict[str, KeptKey] = {}

    def kept_key(self, account: AccountName, key: str) -> KeptKey | None:
        return self.keys.get(key)

    def keep_key(self, kept: KeptKey, *, forget_before: datetime) -> None:
        self.keys[kept.key] = kept

    async def read(self, query: Callable[[Any], Any]) -> Any:
        return query(self)

    def stored_for_later(self, account: AccountName, now: datetime) -> int:
        return sum(
            max(each.size, LEAST_COUNTED)
            for each in self.submissions
            if each.account == account and each.release_at and each.release_at > now
        )

    async def write(
        self,
        job: Callable[[Any], Any],
        content: tuple[SubmissionId, Sequence[bytes]] | None = None,
        envelope: object = None,
    ) -> Any:
        if self.fault:
            raise self.fault
        if content:
            self.contents[content[0]] = b"".join(content[1])
        return job(self)

    def add_deliveries(
        self, submission: Submission, deliveries: Sequence[Delivery], lease: object
    ) -> list[Leased]:
        self.submissions.append(submission)
        self.deliveries += deliveries
        return []

    def add_events(self, events: Sequence[Event]) -> None:
        self.events += events


class OneAccount:
    """A directory and an authenticator with APP in them."""

    def __init__(self) -> None:
        self.account = Account(APP, (APP, "@brand.test"), NOON)
        self.cause: Cause | None = None
        self.is_held = False
        self.checked: list[str] = []
        self.failures = 0
        self.most_failures = 3
        self.in_clear: list[InClear] = []

    def note_in_clear(self, sent: InClear) -> None:
        self.in_clear.append(sent)

    def cached(self, name: str) -> Entry | None:
        holds = {MAIN.id: Hold(NOON, "much at once")} if self.is_held else {}
        return Entry(self.account, (MAIN,), holds) if name == APP else None

    async def find(self, name: str) -> Entry | None:
        return self.cached(name)

    def begin(self, login: LoginFacts) -> "OneAttempt":
        return OneAttempt(login, self)

    def judge(self, name: str, *, good: bool) -> Verdict:
        self.checked.append(name)
        if self.cause:
            return Verdict(AccountName(name), self.cause)
        if name != APP:
            return Verdict(AccountName(name), Cause.UNKNOWN_ACCOUNT)
        if not good:
            return Verdict(APP, Cause.WRONG_PASSWORD, self.account)
        if self.account.state is AccountState.SUSPENDED:
            return Verdict(APP, Cause.SUSPENDED, self.account)
        return Verdict(APP, None, self.account, MAIN.id)


class OneAttempt:
    """A login attempt at OneAccount; what its password is good for, its keys are."""

    def __init__(self, login: LoginFacts, people: OneAccount) -> None:
        self.login = login
        self.people = people
        self.verdict = Verdict(AccountName(""), Cause.MALFORMED)

    def may_begin(self) -> Cause | None:
        if self.people.failures < self.people.most_failures:
            return None
        self.verdict = Verdict(AccountName(""), Cause.LOCKED_ADDRESS)
        return Cause.LOCKED_ADDRESS

    async def answer(self, ask: Check) -> Answer:
        name, good = ask.authcid or "", False
        match ask:
            case CheckPassword():
                good = ask.password == PASSWORD
            case FetchScram():
                keys = (derive_keys(ask.algorithm, PASSWORD, SALT, ROUNDS),) if name == APP else ()
                return ScramOffer(SALT, ROUNDS, keys)
            case ReportProof():
                good = ask.key is not None
            case CheckDigest():
                good = ask.digest == digest_of(PASSWORD, ask.challenge)
            case CheckToken():
                name, good = name or APP, ask.token == TOKEN
            case ProveCertificate():
                name, good = name or APP, self.login.certificate == CERTIFICATE
        self.verdict = self.people.judge(name, good=good)
        granted = self.verdict.is_granted
        if isinstance(ask, CheckToken):
            return TokenAnswer(granted, name, b'{"status":"invalid_token"}')
        if isinstance(ask, ProveCertificate):
            return name if granted else None
        return granted

    def conclude(self, outcome: Granted | Denied) -> Verdict:
        if isinstance(outcome, Denied) and self.verdict.is_granted:
            cause = Cause.AUTHZID if outcome.fault is Fault.AUTHZID else Cause.BINDING
            self.verdict = Verdict(self.verdict.name, cause, self.verdict.account)
        cause = self.verdict.cause or Cause.BUSY
        if cause.consequence is Consequence.WRONG:
            self.people.failures += 1
        return self.verdict


class Suppressed:
    """Who is suppressed, for every account; `drops` is what the account wants of it."""

    def __init__(self) -> None:
        self.subjects: tuple[str, ...] = ()
        self.drops = False

    def may_hold(self, address: str) -> bool:
        return any(subject in self.subjects for subject in subjects_of(address))

    def rule(self, account: AccountName) -> AccountRule:
        return AccountRule(account, self.drops)

    async def find(self, address: str, account: AccountName, stream: str) -> Suppression | None:
        reason = "550 5.1.1 no such user"
        return Suppression(address, SuppressionClass.BOUNCED, NOON, account, stream, reason)


class Records(list[Event]):
    record = list.append


class MemoryConnection:
    """What a Conversation talks to; also the script's end (tests.support.dialogue.Line)."""

    def __init__(self, *, tls: bool) -> None:
        self.peer = SocketAddress("192.0.2.7", 40000)
        self.local = SocketAddress("127.0.0.1", 587)
        self.tls: TlsInfo | None = TLS if tls else None
        self.deadline: float | None = None
        self.unread = 0
        self.bound = ChannelBinding(b"e" * 32, b"c" * 32)
        self._in: asyncio.Queue[bytes] = asyncio.Queue()
        self._out = bytearray()
        self._changed = asyncio.Event()
        self.closed = False

    def binding(self) -> ChannelBinding:
        return self.bound if self.tls else ChannelBinding()

    async def read(self) -> bytes:
        return await self._in.get()

    def write(self, octets: bytes) -> None:
        self._out += octets
        self._changed.set()

    async def drain(self) -> None:
        """Whatever was written is taken at once."""

    async def start_tls(self, context: object = None, *, server_side: bool = False) -> None:
        self.tls = TLS

    async def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        self.closed = True
        self._changed.set()

    async def send(self, octets: bytes) -> None:
        await self._in.put(octets)

    async def reply_line(self) -> str | None:
        async with asyncio.timeout(30):
            while b"\r\n" not in self._out:
                if self.closed:
                    return None
                self._changed.clear()
                await self._changed.wait()
        line, _, rest = bytes(self._out).partition(b"\r\n")
        self._out[:] = rest
        return line.decode("latin-1")


class Scene:
    """A desk whose parts a test may turn."""

    def __init__(
        self,
        role: str = "submission",
        *,
        message_size: int = 10_000,
        mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN"),
    ) -> None:
        self.store = RememberingStore()
        self.people = OneAccount()
        self.records = Records()
        self.suppressed = Suppressed()
        self.stopping = False
        self.free = 1 << 40
        self.memory = Memory(1 << 30)
        self.limits = LimitSettings(recipients=100)
        self.role = Role(role)
        self.connection = MemoryConnection(tls=self.role is Role.SUBMISSIONS)
        self.behind: dict[str, bool] = {}
        self.profile = Profile(
            hostname="relay.test",
            message_size=message_size,
            mechanisms=() if self.role is Role.MX else mechanisms,
            extensions=extensions_for(self.role, self.limits, now),
        )

    def desk(self) -> Desk:
        async def ask(forward_path: str, destination: str) -> bool | None:
            return self.behind.get(forward_path)

        people: Any = self.people
        store: Any = self.store
        counters: Any = SimpleNamespace(add=lambda *_: None, add_login_refused=lambda *_: None)
        records: Any = self.records
        suppressed: Any = self.suppressed
        return Desk(
            local=local_domains(DOMAINS),
            inside=Inside(DOMAINS, ask),
            limits=self.limits,
            acceptance=Acceptance(
                store,
                "relay.test",
                self.profile.message_size,
                timedelta(days=5),
                later=Later(store, self.limits.future_release, self.limits.future_release_storage),
            ),
            authenticator=people,
            directory=people,
            histories=Histories(store, people, None),
            allowances=Allowances(store, WorkerId("node/0/1.1/")),
            recorder=records,
            suppressed=suppressed,
            counters=counters,
            memory=self.memory,
            free_space=lambda: self.free,
            stopping=lambda: self.stopping,
        )

    def conversation(self) -> Conversation:
        connection: Any = self.connection
        return Conversation(connection, self.door(), self.desk(), None)

    def door(self) -> Door:
        """Return a listener whose context nobody looks at: tests here speak in clear."""
        return Door(self.role, self.profile, lambda: client_context("opportunistic"))
