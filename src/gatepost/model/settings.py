"""Every option there is, typed, with its default and its bounds: the one place to look.

`settings_file` reads them from TOML. Relative paths are resolved when a file is loaded.
Durations are written "5 min", sizes "25 MiB", rates "100 B/s" (`quantities`). What a text may
say, and what goes with what, is checked in `settings_checks`.
"""

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    model_validator,
)

from gatepost.model import settings_checks as checks
from gatepost.model import settings_directory_checks as directory_checks
from gatepost.model import settings_egress_checks as egress_checks
from gatepost.model.domain_name import (
    parse_address,
    parse_domain,
    parse_full_domain,
    parse_mailbox,
)
from gatepost.model.grant import TAG
from gatepost.model.pool_name import pool_or_system
from gatepost.model.quantities import parse_rate, parse_size
from gatepost.model.quota import Limit, Limits, Unit, Window
from gatepost.model.section import Duration, LongDuration, Section
from gatepost.model.settings_balancers import balancer
from gatepost.model.settings_directory import DirectorySettings
from gatepost.model.settings_egress import EgressSettings, PoolRuleSettings
from gatepost.model.store_place import Kept
from gatepost.model.via import parse_pattern
from gatepost.model.wrong import wrong

_KEPT = Kept()

Size = Annotated[int, BeforeValidator(parse_size)]
Rate = Annotated[int, BeforeValidator(parse_rate)]
Quota = Annotated[int | None, Field(ge=1, le=10**9)]


class Role(StrEnum):
    """What a listener is for."""

    SUBMISSION = "submission"
    SUBMISSIONS = "submissions"
    MX = "mx"


class CertificateSettings(Section):
    """One certificate chain and its key, PEM files."""

    certificate: Path
    private_key: Path


class TlsSettings(CertificateSettings):
    """The default certificate, and further ones chosen by SNI (their subjectAltNames)."""

    more: tuple[CertificateSettings, ...] = ()


class ListenerSettings(Section):
    """One port. `address` is "HOST:PORT", IPv6 as "[::1]:PORT"."""

    address: Annotated[str, AfterValidator(checks.listen_address)]
    role: Role
    client_certificates: bool = False
    proxy_protocol_from: tuple[Annotated[str, AfterValidator(balancer)], ...] = ()

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.client_certificates and self.role is Role.MX:
            msg = "nobody logs in on an mx listener"
            mend = "remove it, or set it on a submission listener"
            raise wrong(msg, mend, "client_certificates")
        return self


class OauthSettings(Section):
    """Bearer tokens, for XOAUTH2 and OAUTHBEARER: who issues them, and what they must say."""

    issuer: Annotated[str, AfterValidator(checks.web_address)] | None = None
    jwks_url: Annotated[str, AfterValidator(checks.web_address)] | None = None
    jwks_file: Path | None = None
    audience: Annotated[str, Field(min_length=1)]
    account_claim: Annotated[str, Field(min_length=1)] = "email"
    require_email_verified: bool = True
    algorithms: Annotated[
        tuple[str, ...], Field(min_length=1), AfterValidator(checks.token_algorithms)
    ] = ("RS256", "PS256", "ES256", "EdDSA")
    leeway: Duration = timedelta(seconds=60)
    introspection_url: Annotated[str, AfterValidator(checks.web_address)] | None = None
    client_id: str | None = None
    client_secret_file: Path | None = None

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        sources = (self.issuer, self.jwks_url, self.jwks_file, self.introspection_url)
        checks.oauth(sources, self.client_id, self.client_secret_file, self.introspection_url)
        return self


class AuthSettings(Section):
    """How one may log in."""

    mechanisms: Annotated[tuple[str, ...], AfterValidator(checks.mechanisms)] = (
        "PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "XOAUTH2", "OAUTHBEARER",
        "EXTERNAL",
    )  # fmt: skip
    oauth: OauthSettings | None = None
    directories: Annotated[
        tuple[DirectorySettings, ...], AfterValidator(directory_checks.directories)
    ] = ()


class LimitSettings(Section):
    """Bounds on everything a stranger can make grow; per node (decision 4)."""

    message_size: Size = 25 * 2**20
    recipients: int = Field(default=1000, ge=100)  # RFC 5321 §4.5.3.1.8
    connections: int = Field(default=10_000, ge=1)
    connections_per_address: int = Field(default=100, ge=1)
    connections_per_network: int = Field(default=2000, ge=1)
    idle: LongDuration = timedelta(minutes=5)  # RFC 5321 §4.5.3.2.7
    handshake: LongDuration = timedelta(seconds=30)
    session: LongDuration = timedelta(hours=1)
    minimum_rate: Rate = 100
    authentication_failures: int = Field(default=10, ge=1)
    future_release: Annotated[Duration, AfterValidator(checks.not_too_far)] = timedelta(days=30)
    future_release_storage: Size = 2**30


class QuotaSettings(Section):
    """How much an account may send that has no limit of its own for a unit and window; none:
    as much as it likes.
    """

    messages_per_minute: Quota = None
    messages_per_hour: Quota = None
    messages_per_day: Quota = None
    messages_per_month: Quota = None
    recipients_per_minute: Quota = None
    recipients_per_hour: Quota = None
    recipients_per_day: Quota = None
    recipients_per_month: Quota = None

    @property
    def limits(self) -> Limits:
        """Return those that are set."""
        named = {(u, w): getattr(self, f"{u}_per_{w}") for u in Unit for w in Window}
        return tuple(Limit(*key, most) for key, most in named.items() if most is not None)


class BreakerSettings(Section):
    """When a credential is held that does something sudden (`identity.breaker`)."""

    enabled: bool = True
    recipients: int = Field(default=1000, ge=1)
    factor: int = Field(default=10, ge=2)
    refused: int = Field(default=100, ge=1)
    share: int = Field(default=30, ge=1, le=100)
    networks: int = Field(default=20, ge=1)
    known_for: LongDuration = timedelta(days=7)


class LocalDomainSettings(Section):
    """A domain whose mail the mx role takes without login.

    `deliver_to`: "maildir:DIRECTORY" (relative to data_dir), "lmtp:HOST:PORT", "smtp:HOST:PORT".
    """

    name: Annotated[str, AfterValidator(parse_domain)]
    mailboxes: tuple[Annotated[str, AfterValidator(parse_mailbox)], ...] = Field(
        ("*",), min_length=1
    )
    deliver_to: Annotated[str, AfterValidator(checks.deliver_to)]
    verify_recipients: bool | None = None

    @property
    def asks_behind(self) -> bool:
        """Whether the server behind is asked for each recipient: where that one alone knows them."""
        is_server = not self.deliver_to.startswith("maildir:")
        return is_server and (
            "*" in self.mailboxes if self.verify_recipients is None else self.verify_recipients
        )

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        checks.verified_recipients(self.verify_recipients, self.deliver_to)
        return self


class SubmissionSettings(Section):
    """What is done to a message of one who logged in before it is signed (RFC 6409 §8)."""

    long_lines: Literal["encode", "refuse", "pass"] = "encode"
    bare_line_ends: Literal["normalise", "refuse"] = "normalise"
    hide_client: bool = False


class InboundSettings(Section):
    """What the mx role does about SPF, DKIM and DMARC of the mail that it takes."""

    verify: bool = True
    dmarc: Literal["observe", "enforce"] = "observe"
    dns_trouble: Literal["accept", "defer"] = "accept"
    reports_per_hour: int = Field(default=100, ge=0)

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if not self.verify and (self.dmarc == "enforce" or self.dns_trouble == "defer"):
            msg = "nothing is verified, so nothing can be refused or deferred for it"
            raise wrong(msg, "set verify = true", "verify")
        return self


class RefreshSettings(Section):
    """How an upstream's access tokens are had for a refresh token (RFC 6749 §6)."""

    token_url: Annotated[str, AfterValidator(checks.web_address)]
    client_id: Annotated[str, Field(min_length=1)]
    client_secret_file: Path | None = None
    refresh_token_file: Path
    scope: str = ""


Patterns = tuple[Annotated[str, AfterValidator(parse_pattern)], ...]


class AlignmentSettings(Section):
    """What becomes of submissions that DMARC will not find aligned, by the domain of From."""

    mode: Literal["observe", "warn", "enforce"] = "observe"
    observe: Patterns = ()
    warn: Patterns = ()
    enforce: Patterns = ()

    def mode_for(self, domain: str) -> Literal["observe", "warn", "enforce"]:
        """Return the mode for a domain in A-labels: the strictest list that names it, else `mode`."""
        if _matches(self.enforce, domain):
            return "enforce"
        if _matches(self.warn, domain):
            return "warn"
        return "observe" if _matches(self.observe, domain) else self.mode


def _matches(patterns: tuple[str, ...], domain: str) -> bool:
    return any(
        pattern in {"*", domain} or (pattern.startswith("*.") and domain.endswith(pattern[1:]))
        for pattern in patterns
    )


class RouteSettings(Section):
    """Recipient domains that go another way than their own MX. The first match wins."""

    match: Patterns = Field(min_length=1)
    via: Annotated[str, AfterValidator(checks.via)]
    tls: Literal["opportunistic", "required", "never", "implicit"] | None = None
    username: str | None = None
    password_file: Path | None = None
    token_command: Annotated[str, AfterValidator(checks.command)] | None = None
    mechanism: checks.UpstreamMechanism | None = None
    oauth: RefreshSettings | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    pool: Annotated[str, AfterValidator(pool_or_system)] | None = None

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        given = {
            "password_file": self.password_file,
            "token_command": self.token_command,
            "oauth": self.oauth,
            "mechanism": self.mechanism,
            "client_certificate": self.client_certificate,
            "client_key": self.client_key,
        }
        checks.route(self.via, self.tls, self.username, given)
        egress_checks.route(self.via, self.pool)
        return self


class RetrySettings(Section):
    """When to try again (RFC 5321 §4.5.4.1)."""

    first: LongDuration = timedelta(minutes=5)
    longest: LongDuration = timedelta(hours=4)
    give_up: LongDuration = timedelta(days=5)
    warn: LongDuration = timedelta(hours=4)

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        checks.retry(self.first, self.longest, self.give_up)
        return self


class DomainsSettings(Section):
    """Sending domains: the label of their return paths' domains, what is done while a key is not
    published, how many messages lie between two whose signatures are verified (0: none is), and
    how often the DNS is looked at (0: never).
    """

    return_path: Annotated[str, AfterValidator(checks.label)] = "bounces"
    unpublished_key: Literal["sign", "refuse", "hold"] = "sign"
    verify_sample: int = Field(default=1000, ge=0)
    check_every: Duration = timedelta(hours=6)

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if not self.check_every and self.unpublished_key != "sign":
            msg = "nobody looks whether keys are published"
            raise wrong(msg, 'set check_every, such as "6 h"', "check_every")
        return self


class PolicySettings(Section):
    """What may be sent. `tags`: the characters that part a tag from a local part (RFC 5233)."""

    tags: Annotated[str, AfterValidator(checks.tags)] = TAG


class SuppressionSettings(Section):
    """When a recipient is suppressed without anybody's asking."""

    invalid_recipients: bool = True


class LaneSettings(Section):
    """How long each lane is tried, where that is less than `[retry] give_up`."""

    otp: LongDuration = timedelta(minutes=15)
    transactional: LongDuration = timedelta(days=2)


class RetentionSettings(Section):
    """How long things are kept after they are settled."""

    content: Duration = _KEPT.content
    captured: Duration = _KEPT.captured
    idempotency_keys: LongDuration = timedelta(days=1)
    events: Duration = _KEPT.events


class DnsSettings(Section):
    """Resolvers as "IP:PORT"; none: the system's."""

    resolvers: tuple[Annotated[str, AfterValidator(checks.resolver)], ...] = ()
    local_exchangers: bool = False


class HttpSettings(Section):
    """The process that answers HTTP; without the section there is none."""

    address: Annotated[str, AfterValidator(checks.listen_address)] = "127.0.0.1:8025"
    public_url: Annotated[str, AfterValidator(checks.public_url)] | None = None
    trusted_proxies: tuple[Annotated[str, AfterValidator(checks.network)], ...] = ()
    connections_per_address: int = Field(default=100, ge=1, le=500)


class LogSettings(Section):
    """What `serve` writes to standard error."""

    format: Literal["text", "json"] = "text"


class Settings(Section):
    """The whole file."""

    hostname: Annotated[str, AfterValidator(parse_full_domain)]
    node: Annotated[str, AfterValidator(checks.node)] | None = None
    data_dir: Path = Path("state")
    store: Annotated[str, AfterValidator(checks.store)] = Field(default="sqlite", repr=False)
    store_password_file: Path | None = None
    workers: int = Field(default=0, ge=0, le=256)
    master_key: Path = Path("master.key")
    postmaster: Annotated[str, AfterValidator(parse_address)] | None = None
    tls: TlsSettings
    listeners: Annotated[
        tuple[ListenerSettings, ...],
        Field(min_length=1),
        AfterValidator(checks.listeners),
    ]
    auth: AuthSettings = AuthSettings()
    limits: LimitSettings = LimitSettings()
    quotas: QuotaSettings = QuotaSettings()
    breaker: BreakerSettings = BreakerSettings()
    local_domains: Annotated[
        tuple[LocalDomainSettings, ...], AfterValidator(checks.local_domains)
    ] = ()
    submission: SubmissionSettings = SubmissionSettings()
    inbound: InboundSettings = InboundSettings()
    alignment: AlignmentSettings = AlignmentSettings()
    routes: tuple[RouteSettings, ...] = ()
    egress: Annotated[tuple[EgressSettings, ...], AfterValidator(egress_checks.once)] = ()
    pool_rules: tuple[PoolRuleSettings, ...] = ()
    retry: RetrySettings = RetrySettings()
    policy: PolicySettings = PolicySettings()
    domains: DomainsSettings = DomainsSettings()
    suppression: SuppressionSettings = SuppressionSettings()
    lanes: LaneSettings = LaneSettings()
    retention: RetentionSettings = RetentionSettings()
    dns: DnsSettings = DnsSettings()
    http: HttpSettings | None = None
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        taken = {each.address for each in self.listeners if not each.address.endswith(":0")}
        if self.http is not None and self.http.address in taken:
            msg = f'"{self.http.address}" has a listener already'
            raise wrong(msg, "one port has one role: choose another", "http", "address")
        egress_checks.known(self.pool_rules, [p for each in self.egress for p in each.pools])
        return self
