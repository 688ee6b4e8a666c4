"""What a login came to: granted, or refused for one true cause.

The cause is for events and the operator (`gatepost explain`). The wire hears only its consequence,
and says the same words, after the same time, for an unknown account and for a wrong password.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import Final

from gatepost.model.account import Account
from gatepost.model.ids import AccountName, CredentialId


class Consequence(Enum):
    """What follows from a cause on the wire; `reception` has the reply for each."""

    #: 535: these credentials are wrong, whatever is wrong with them.
    WRONG = auto()
    #: 534: the main password is right, and not good here.
    APP_PASSWORD_REQUIRED = auto()
    #: 525: the credentials are right, the account is suspended.
    SUSPENDED = auto()
    #: 454: too many failures of this account from this address.
    LOCKED_PAIR = auto()
    #: 421: too many failures from this address or its network.
    LOCKED_OUT = auto()
    #: 454: our own trouble; the credentials may be right.
    OUR_TROUBLE = auto()


class Cause(StrEnum):
    """The true cause of a refused login. Words are stable: events carry them."""

    UNKNOWN_ACCOUNT = "unknown account"
    WRONG_PASSWORD = "wrong password"  # noqa: S105
    NO_SCRAM_KEYS = "no SCRAM keys"
    NO_CRAM_SECRET = "CRAM-MD5 is not allowed for this account"  # noqa: S105
    EXPIRED = "expired credential"
    ADDRESS_NOT_ALLOWED = "address not allowed"
    BAD_TOKEN = "bad token"  # noqa: S105
    NO_CERTIFICATE = "no client certificate"
    UNKNOWN_CERTIFICATE = "unknown client certificate"
    OTHER_ACCOUNT = "belongs to another account"
    MALFORMED = "malformed message"
    AUTHZID = "authzid is not its own"
    BINDING = "channel binding does not match"
    APP_PASSWORD_REQUIRED = "an app password is required"  # noqa: S105
    SUSPENDED = "suspended"
    LOCKED_PAIR = "locked out after too many failures of this account from this address"
    LOCKED_ADDRESS = "locked out after too many failures from this address"
    LOCKED_NETWORK = "locked out after too many failures from this network"
    BUSY = "too many logins at once"
    STORE_AWAY = "storage is not available"
    MASTER_KEY = "the master key does not fit"
    PROVIDER_AWAY = "the token's issuer cannot be reached"
    DIRECTORY_AWAY = "a directory cannot be asked"
    NEWER_ACCOUNT = "only a newer Gatepost can read this account"
    NEWER_CREDENTIAL = "only a newer Gatepost can check a credential of this account"

    @property
    def consequence(self) -> Consequence:
        """Return what the wire hears of it."""
        return _CONSEQUENCES.get(self, Consequence.WRONG)

    @property
    def is_guess(self) -> bool:
        """Tell whether the throttle counts it: the secret was none that we know."""
        return self.consequence is Consequence.WRONG or self is Cause.NEWER_CREDENTIAL


_CONSEQUENCES: Final = {
    Cause.APP_PASSWORD_REQUIRED: Consequence.APP_PASSWORD_REQUIRED,
    Cause.SUSPENDED: Consequence.SUSPENDED,
    Cause.LOCKED_PAIR: Consequence.LOCKED_PAIR,
    Cause.LOCKED_ADDRESS: Consequence.LOCKED_OUT,
    Cause.LOCKED_NETWORK: Consequence.LOCKED_OUT,
    Cause.BUSY: Consequence.OUR_TROUBLE,
    Cause.STORE_AWAY: Consequence.OUR_TROUBLE,
    Cause.MASTER_KEY: Consequence.OUR_TROUBLE,
    Cause.PROVIDER_AWAY: Consequence.OUR_TROUBLE,
    Cause.DIRECTORY_AWAY: Consequence.OUR_TROUBLE,
    Cause.NEWER_ACCOUNT: Consequence.OUR_TROUBLE,
    Cause.NEWER_CREDENTIAL: Consequence.OUR_TROUBLE,
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a login came to. `cause` is None for yes, and then `account` and `credential` are there.

    `account` is also there where its password was wrong or it is suspended. `name` is prepared,
    or as given where it cannot be. `detail` says more about the cause, never a secret. A token has
    no credential of ours: then `credential` is "oauth", and "directory/NAME" for a directory's word.
    """

    name: AccountName
    cause: Cause | None = None
    account: Account | None = None
    credential: CredentialId | None = None
    detail: str = ""

    @property
    def is_granted(self) -> bool:
        """True when the credentials are good and the account may be used."""
        return self.cause is None

    @property
    def reason(self) -> str:
        """Return the cause in words, with its detail; "" for yes. Events carry it."""
        if self.cause is None:
            return ""
        return f"{self.cause.value}: {self.detail}" if self.detail else self.cause.value


@dataclass(frozen=True, slots=True)
class LoginFacts:
    """Where a login comes from: the client's address, the mechanism, TLS as "TLSv1.3 CIPHER", and
    the client's certificate in DER, where it has shown one that is trusted.
    """

    client_address: str
    mechanism: str
    tls: str = ""
    certificate: bytes | None = None


#: Stands for the credential where an issuer's token was one.
TOKEN_CREDENTIAL: Final = CredentialId("oauth")
_DIRECTORY: Final = "directory/"


def directory_credential(directory: str) -> CredentialId:
    """Return what stands for the credential where a directory said that a password is right."""
    return CredentialId(_DIRECTORY + directory)


def is_foreign(credential: CredentialId) -> bool:
    """Tell whether this stands for a proof that is not among our credentials."""
    return credential == TOKEN_CREDENTIAL or credential.startswith(_DIRECTORY)
