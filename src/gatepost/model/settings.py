"""Every option there is, typed, with its default and its bounds: the one place to look.

`settings_file` reads them from TOML. Relative paths are resolved when a file is loaded.
Durations are written "5 min", sizes "25 MiB", rates "100 B/s" (`quantities`).
"""

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gatepost.model.quantities import parse_duration, parse_rate, parse_size

Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Size = Annotated[int, BeforeValidator(parse_size)]
Rate = Annotated[int, BeforeValidator(parse_rate)]


class Section(BaseModel):
    """A table of the file: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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

    address: str
    role: Role


class AuthSettings(Section):
    """How one may log in."""

    mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN")


class LimitSettings(Section):
    """Bounds on everything a stranger can make grow; per node (decision 4)."""

    message_size: Size = 25 * 2**20
    recipients: int = Field(default=1000, ge=100)  # RFC 5321 §4.5.3.1.8
    connections: int = Field(default=10_000, ge=1)
    connections_per_address: int = Field(default=100, ge=1)
    idle: Duration = timedelta(minutes=5)  # RFC 5321 §4.5.3.2.7
    handshake: Duration = timedelta(seconds=30)
    session: Duration = timedelta(hours=1)
    minimum_rate: Rate = 100
    authentication_failures: int = Field(default=10, ge=1)


class LocalDomainSettings(Section):
    """A domain whose mail the mx role takes without login.

    `deliver_to`: "maildir:DIRECTORY" (relative to data_dir), "lmtp:HOST:PORT", "smtp:HOST:PORT".
    """

    name: str
    mailboxes: tuple[str, ...] = ("*",)
    deliver_to: str


class RouteSettings(Section):
    """Recipient domains that go another way than their own MX. The first match wins."""

    match: tuple[str, ...] = Field(min_length=1)
    via: str
    tls: Literal["opportunistic", "required", "never", "implicit"] | None = None
    username: str | None = None
    password_file: Path | None = None
    mechanism: Literal["PLAIN", "LOGIN"] | None = None


class RetrySettings(Section):
    """When to try again (RFC 5321 §4.5.4.1)."""

    first: Duration = timedelta(minutes=5)
    longest: Duration = timedelta(hours=4)
    give_up: Duration = timedelta(days=5)
    warn: Duration = timedelta(hours=4)


class RetentionSettings(Section):
    """How long things are kept after they are settled."""

    content: Duration = timedelta(0)
    captured: Duration = timedelta(days=7)
    events: Duration = timedelta(days=30)


class DnsSettings(Section):
    """Resolvers as "IP:PORT"; none: the system's."""

    resolvers: tuple[str, ...] = ()


class LogSettings(Section):
    """What `serve` writes to standard error."""

    format: Literal["text", "json"] = "text"


class Settings(Section):
    """The whole file."""

    hostname: str
    data_dir: Path = Path("state")
    store: str = "sqlite"
    workers: int = Field(default=0, ge=0, le=256)
    postmaster: str | None = None
    tls: TlsSettings
    listeners: tuple[ListenerSettings, ...] = Field(min_length=1)
    auth: AuthSettings = AuthSettings()
    limits: LimitSettings = LimitSettings()
    local_domains: tuple[LocalDomainSettings, ...] = ()
    routes: tuple[RouteSettings, ...] = ()
    retry: RetrySettings = RetrySettings()
    retention: RetentionSettings = RetentionSettings()
    dns: DnsSettings = DnsSettings()
    log: LogSettings = LogSettings()
