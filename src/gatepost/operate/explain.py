"""Why was this login refused, really: from the tag of a 535 to its true cause, and what to say.

The tag stands in the reply that the client got. Causes are looked for in the events of the last
7 days (decision 14).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from gatepost.events.crowd import MANY
from gatepost.events.journal import time_text
from gatepost.identity.verdict import Cause
from gatepost.model.event import Event
from gatepost.operate.account_shown import REFUSALS_KEPT
from gatepost.store.protocols import Store

#: For each cause: what to tell the user, and what the operator can do.
_ADVICE: Final[dict[Cause, tuple[str, str]]] = {
    Cause.UNKNOWN_ACCOUNT: (
        "Check the user name: there is no such account here.",
        'see the names with "gatepost account list"',
    ),
    Cause.WRONG_PASSWORD: (
        "The name is right, the password is not: type it anew, or use an app password.",
        'set a new one with "gatepost account password NAME"',
    ),
    Cause.NO_SCRAM_KEYS: (
        'Choose another method in the mail program for once: PLAIN ("normal password") over TLS.',
        "one login with PLAIN, or a new password, makes the keys for SCRAM",
    ),
    Cause.NO_CRAM_SECRET: (
        "Switch the mail program from CRAM-MD5 to SCRAM-SHA-256, or to PLAIN over TLS.",
        'or allow it: "gatepost account password NAME --cram-md5"',
    ),
    Cause.EXPIRED: (
        "This app password or certificate has expired: get a new one.",
        'make one with "gatepost account app-password add NAME --label L"',
    ),
    Cause.ADDRESS_NOT_ALLOWED: (
        "This app password is good only from certain networks, and not from where you are.",
        'make one for that network: "gatepost account app-password add NAME --label L --from CIDR"',
    ),
    Cause.BAD_TOKEN: (
        "Sign in anew in the program, so that it fetches a new token.",
        "look at what was wrong with the token, and at [auth.oauth]",
    ),
    Cause.NO_CERTIFICATE: (
        "Choose the client certificate in the mail program.",
        "the listener must say client_certificates = true, and the client must show one",
    ),
    Cause.UNKNOWN_CERTIFICATE: (
        "This client certificate is not registered (any more).",
        'register it with "gatepost account certificate add NAME FILE"',
    ),
    Cause.OTHER_ACCOUNT: (
        "The user name is not the one that the token or certificate belongs to.",
        "the name in the program must be the account's, or empty",
    ),
    Cause.MALFORMED: (
        "The program speaks this method wrongly, or sent an empty password: update it.",
        "try another mechanism; a probe shows whether this server is well",
    ),
    Cause.AUTHZID: (
        'Leave the authorization name ("log in as") empty.',
        "nobody may act for another account here",
    ),
    Cause.BINDING: (
        "Something on the way opens the TLS connection: try from another network.",
        "look for a proxy that ends TLS before this server",
    ),
    Cause.APP_PASSWORD_REQUIRED: (
        "The password is right, but this account needs an app password.",
        'make one with "gatepost account app-password add NAME --label L"',
    ),
    Cause.SUSPENDED: (
        "The account is suspended.",
        'let it send again with "gatepost account resume NAME"',
    ),
    Cause.LOCKED_PAIR: (
        "Too many wrong passwords from your address: stop the program that tries, wait, go on.",
        'or let it go on now: "gatepost account unlock NAME"',
    ),
    Cause.LOCKED_ADDRESS: (
        "Too many wrong logins from your address: stop the program that tries, wait, go on.",
        'or let it go on now: "gatepost account unlock ADDRESS"',
    ),
    Cause.LOCKED_NETWORK: (
        "Too many wrong logins from your network: wait, or come from elsewhere.",
        'or let it go on now: "gatepost account unlock ADDRESS"',
    ),
    Cause.BUSY: (
        "Nothing is wrong with the password: try again in a minute.",
        "more logins came at once than this machine can check: look at who sends them",
    ),
    Cause.STORE_AWAY: (
        "Nothing is wrong with the password: try again later.",
        'the store could not be read: see "gatepost check" and the log',
    ),
    Cause.MASTER_KEY: (
        "Nothing is wrong with the password: the operator has to mend something.",
        "restore the file of master_key, or set the password anew with --cram-md5",
    ),
    Cause.PROVIDER_AWAY: (
        "Nothing is wrong with the sign-in: try again later.",
        "the issuer in [auth.oauth] could not be reached: see the log",
    ),
    Cause.DIRECTORY_AWAY: (
        "Nothing is wrong with the password: try again later.",
        'see the reason, then "gatepost check", which asks every directory',
    ),
    Cause.NEWER_ACCOUNT: (
        "Nothing is wrong with the password: try again later.",
        "a newer Gatepost wrote this account: update this one; the reason says what it cannot read",
    ),
    Cause.NEWER_CREDENTIAL: (
        "Nothing is wrong as far as can be told: try again later, or use an app password.",
        "update this Gatepost: it cannot check every credential of NAME, as the reason says",
    ),
}
#: The same where the account is a directory's, as its reason says.
_DIRECTORY_ADVICE: Final[dict[Cause, tuple[str, str]]] = {
    Cause.WRONG_PASSWORD: (
        "The password is not the one in the directory: type it anew.",
        "it is set in the directory that the reason names, not here",
    ),
    Cause.SUSPENDED: (
        "The account is suspended.",
        "it is suspended in the directory that the reason names, not here",
    ),
    Cause.NO_SCRAM_KEYS: (
        'Choose another method in the mail program: PLAIN ("normal password") over TLS.',
        "its directory keeps no SCRAM keys; offer PLAIN and LOGIN alone if all accounts are there",
    ),
    Cause.UNKNOWN_ACCOUNT: (
        'Check the user name, and choose PLAIN ("normal password") over TLS in the mail program.',
        "no account here has this name, and a directory can check it by PLAIN or LOGIN only",
    ),
}
_MOST_CROWDS: Final = 5
_DIRECTORY: Final = 'directory "'
#: Causes in the order in which their words are looked for: the longest first.
_CAUSES: Final = sorted(Cause, key=lambda cause: -len(cause.value))


@dataclass(frozen=True, slots=True)
class Explanation:
    """One refused login. `cause` is None for words of another version of Gatepost."""

    tag: str
    at: datetime
    reason: str
    cause: Cause | None
    account: str | None
    name: str
    client: str
    mechanism: str
    tls: str

    @property
    def tell_user(self) -> str:
        """Return what to tell who could not log in."""
        return self._advice[0] if self.cause else "Ask the operator."

    @property
    def mend(self) -> str:
        """Return what the operator can do."""
        words = self._advice[1]
        words = words.replace("NAME", self.account or self.name or "NAME")
        return words.replace("ADDRESS", self.client)

    @property
    def _advice(self) -> tuple[str, str]:
        if self.cause is None:
            return "", "see the reason"
        own = _ADVICE[self.cause]
        return _DIRECTORY_ADVICE.get(self.cause, own) if _DIRECTORY in self.reason else own

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "tag": self.tag,
            "at": time_text(self.at),
            "cause": self.cause.value if self.cause else None,
            "reason": self.reason,
            "account": self.account,
            "name": self.name,
            "client": self.client,
            "mechanism": self.mechanism,
            "tls": self.tls,
            "tell_user": self.tell_user,
            "mend": self.mend,
        }


async def explain(store: Store, tag: str, now: datetime) -> Explanation | None:
    """Return the refused login of a tag; None when there was none in the last 7 days.

    Raises:
        StoreUnavailableError: the store cannot be read.

    """
    wanted = tag.strip().strip("[]").lower()
    since = now - REFUSALS_KEPT
    if wanted == MANY:
        return None
    found = await store.read(lambda reading: reading.refused_logins(since, tag=wanted))
    return _explanation(found[-1], wanted) if found else None


@dataclass(frozen=True, slots=True)
class Crowded:
    """Refused logins of one client in the minute that ended at `at`, which were too many to be told
    one by one: their tags are not known, their causes are counted.
    """

    at: datetime
    client: str
    count: int
    causes: str

    @property
    def words(self) -> str:
        """Return one line."""
        when = f"{self.at:%Y-%m-%d %H:%M} UTC"
        return f"{self.count} of {self.client} in the minute before {when}: {self.causes}"


async def crowds(store: Store, now: datetime) -> tuple[Crowded, ...]:
    """Return what a tag may be among that is not known, the latest first; a few.

    Raises:
        StoreUnavailableError: the store cannot be read.

    """
    since = now - REFUSALS_KEPT
    found = await store.read(lambda reading: reading.refused_logins(since, tag=MANY))
    return tuple(_crowded(event) for event in reversed(found[-_MOST_CROWDS:]))


def _crowded(event: Event) -> Crowded:
    facts = event.facts
    count = facts.get("count", 0)
    return Crowded(
        event.at,
        str(facts.get("client", "")),
        count if isinstance(count, int) else 0,
        str(facts.get("causes", "")),
    )


def _explanation(event: Event, tag: str) -> Explanation:
    def fact(key: str) -> str:
        return str(event.facts.get(key, ""))

    reason = fact("reason")
    cause = next((each for each in _CAUSES if reason.startswith(each.value)), None)
    return Explanation(
        tag=tag,
        at=event.at,
        reason=reason,
        cause=cause,
        account=event.account,
        name=fact("name"),
        client=fact("client"),
        mechanism=fact("mechanism"),
        tls=fact("tls"),
    )
