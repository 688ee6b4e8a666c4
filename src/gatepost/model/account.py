"""Who may log in, with what, and who speaks now."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gatepost.model.ids import AccountName, CredentialId
from gatepost.model.lane import Lane
from gatepost.model.quota import Limits
from gatepost.model.secret import Secret
from gatepost.wire.values import value


class AccountState(StrEnum):
    """A suspended account is told so (525), but only after valid credentials."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class CredentialKind(StrEnum):
    """What sort of secret a credential is."""

    PASSWORD = "password"  # noqa: S105
    APP_PASSWORD = "app-password"  # noqa: S105
    CERTIFICATE = "certificate"


@value(frozen=True, slots=True)
class Account:
    """Somebody or something that may send mail.

    `senders` are what it may send as, `recipients` what it may write to (() for anywhere): grants
    as `model.grant` keeps them.
    """

    name: AccountName
    senders: tuple[str, ...]
    created_at: datetime
    state: AccountState = AccountState.ACTIVE
    #: Somebody sent this account's name and a password in clear, right or not: older programs said
    #: so. What is known for certain stands with the credential.
    exposed_at: datetime | None = None
    #: All SCRAM keys of an account share one salt and one count (decision 17); b"" and 0: it has none.
    salt: bytes = b""
    iterations: int = 0
    #: The main password is good for nothing but its owner's knowledge: log in with an app password.
    app_passwords_only: bool = False
    recipients: tuple[str, ...] = ()
    #: How much it may send; what is not among them is as `[quotas]` says.
    limits: Limits = ()
    #: None: served as transactional, and tried for `[retry] give_up`.
    lane: Lane | None = None
    #: From which pool of source addresses its mail leaves; None: from the default one.
    pool: str | None = None
    #: What the credential of this session may send as, of all that `senders` name; () for all.
    #: Of a session, never stored.
    narrowed: tuple[str, ...] = ()

    @property
    def allowed(self) -> tuple[str, ...]:
        """Return what a refusal names."""
        return self.narrowed or self.senders


@dataclass(frozen=True, slots=True)
class Credential:
    """One secret of an account, and where it is good.

    `verifier`, never the secret: of a password a PHC string ($argon2id$…) or an imported hash, of
    an app password "$blake2b$…", of a certificate "sha256:" and the fingerprint of its DER.
    `networks` are CIDR ranges that it may come from, none for all; `senders` the addresses that
    it may send as, fewer than the account's own, none for all of those.
    """

    id: CredentialId
    account: AccountName
    kind: CredentialKind
    verifier: Secret
    created_at: datetime
    label: str = ""
    last_used_at: datetime | None = None
    last_mechanism: str | None = None
    last_tls: str | None = None
    #: SCRAM keys under the account's salt: see `identity.scram`. None: SCRAM cannot check it.
    scram: Secret | None = None
    #: The password sealed under the master key, for CRAM-MD5; of a certificate its DER in base64.
    recoverable: Secret | None = None
    expires_at: datetime | None = None
    networks: tuple[str, ...] = ()
    senders: tuple[str, ...] = ()
    #: How much may be sent with it, within what the account may send.
    limits: Limits = ()
    #: None: the account's.
    lane: Lane | None = None
    #: The secret itself came in clear: whoever listened knows it.
    exposed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """Who speaks now, proven (RFC 4422 §2)."""

    account: AccountName
    credential: CredentialId
    mechanism: str
