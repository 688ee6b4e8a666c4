"""An account as an operator sees it: its credentials, their use, refused logins, and findings.

No verifier and no key among it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from gatepost.events.journal import time_text
from gatepost.model.account import Account, Credential, CredentialKind
from gatepost.operate.accounts import existing
from gatepost.store.protocols import Reading, Store

#: True causes of refused logins are looked for so far back (decision 14).
REFUSALS_KEPT: Final = timedelta(days=7)
#: Something that nobody has used for so long is worth a question.
_UNUSED: Final = timedelta(days=30)
_SOON: Final = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Refusals:
    """Logins of an account that were refused in the last 7 days: how many, and the last one."""

    count: int = 0
    last_at: datetime | None = None
    last_reason: str = ""
    last_tag: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about an account that is not as it should be, and the mend."""

    what: str
    mend: str


@dataclass(frozen=True, slots=True)
class Holder:
    """An account with its credentials, oldest first."""

    account: Account
    credentials: tuple[Credential, ...]
    refusals: Refusals = Refusals()
    findings: tuple[Finding, ...] = ()


async def show(store: Store, name: str, now: datetime) -> Holder:
    """Return one account with all that is to be known of it.

    Raises:
        NoSuchAccountError: there is none.
        StoreUnavailableError: the store cannot be read.

    """

    def query(reading: Reading) -> Holder:
        account = existing(reading, name)
        credentials = tuple(reading.credentials(account.name))
        refused = reading.refused_logins(now - REFUSALS_KEPT, account=account.name)
        refusals = Refusals()
        if refused:
            last = refused[-1]
            reason, tag = last.facts.get("reason", ""), last.facts.get("tag", "")
            refusals = Refusals(len(refused), last.at, str(reason), str(tag))
        return Holder(account, credentials, refusals, findings(account, credentials, now))

    return await store.read(query)


def findings(
    account: Account, credentials: tuple[Credential, ...], now: datetime
) -> tuple[Finding, ...]:
    """Return what an operator should mend."""
    found = []
    if account.exposed_at is not None:
        what = f"its password was sent without TLS on {account.exposed_at:%Y-%m-%d}"
        found.append(Finding(what, f'set a new one: "gatepost account password {account.name}"'))
    for credential in credentials:
        words = _words(credential)
        if credential.kind is CredentialKind.PASSWORD and credential.recoverable:
            what = "CRAM-MD5 is allowed: its password is kept recoverable"
            mend = 'use SCRAM-SHA-256, then set the password without "--cram-md5"'
            found.append(Finding(what, mend))
        if credential.kind is not CredentialKind.CERTIFICATE and credential.scram is None:
            mend = "one login with PLAIN makes the keys, or set the password anew"
            found.append(Finding(f"{words} has no SCRAM keys", mend))
        if credential.expires_at is not None and credential.expires_at <= now:
            found.append(Finding(f"{words} has expired", "revoke it, or replace it"))
        elif credential.expires_at is not None and credential.expires_at <= now + _SOON:
            what = f"{words} expires on {credential.expires_at:%Y-%m-%d}"
            found.append(Finding(what, "replace it before"))
        unused = not account.app_passwords_only or credential.kind is not CredentialKind.PASSWORD
        if unused and credential.last_used_at is None and credential.created_at <= now - _UNUSED:
            what = f"{words} was never used since {credential.created_at:%Y-%m-%d}"
            found.append(Finding(what, "remove what nobody needs"))
    return tuple(found)


def account_json(account: Account) -> dict[str, Any]:
    """Return an account as plain values, the shape of `--json`."""
    return {
        "name": account.name,
        "state": account.state.value,
        "senders": list(account.senders),
        "created_at": time_text(account.created_at),
        "exposed_at": time_text(account.exposed_at) if account.exposed_at else None,
        "app_passwords_only": account.app_passwords_only,
    }


def credential_json(credential: Credential) -> dict[str, Any]:
    """Return a credential as plain values; of its secret only what a certificate shows anyway."""
    used_at, expires_at = credential.last_used_at, credential.expires_at
    shown: dict[str, Any] = {
        "id": credential.id,
        "kind": credential.kind.value,
        "label": credential.label,
        "created_at": time_text(credential.created_at),
        "expires_at": time_text(expires_at) if expires_at else None,
        "networks": list(credential.networks),
        "senders": list(credential.senders),
        "scram": credential.scram is not None,
        "last_used_at": time_text(used_at) if used_at else None,
        "last_mechanism": credential.last_mechanism,
        "last_tls": credential.last_tls,
    }
    if credential.kind is CredentialKind.CERTIFICATE:
        shown["fingerprint"] = credential.verifier.reveal()
    elif credential.kind is CredentialKind.PASSWORD:
        shown["cram_md5"] = credential.recoverable is not None
    return shown


def holder_json(holder: Holder) -> dict[str, Any]:
    """Return an account with its credentials as plain values; no verifier among them."""
    refusals = holder.refusals
    return account_json(holder.account) | {
        "credentials": [credential_json(c) for c in holder.credentials],
        "refused_logins": {
            "count": refusals.count,
            "last_at": time_text(refusals.last_at) if refusals.last_at else None,
            "last_reason": refusals.last_reason,
            "last_tag": refusals.last_tag,
        },
        "findings": [{"what": f.what, "mend": f.mend} for f in holder.findings],
    }


def _words(credential: Credential) -> str:
    kind = credential.kind.value.replace("-", " ")
    return f'{kind} "{credential.label}"' if credential.label else f"its {kind}"
