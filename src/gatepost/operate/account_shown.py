"""An account as an operator sees it: its credentials, their use, refused logins, and findings.

No verifier and no key among it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from gatepost.events.journal import time_text
from gatepost.model.account import Account, Credential, CredentialKind
from gatepost.model.event import Event
from gatepost.model.grant import EVERYTHING
from gatepost.model.ids import AccountName, CredentialId
from gatepost.model.quota import Limits
from gatepost.operate.accounts import NoSuchAccountError, existing, prepared_name
from gatepost.operate.holds import Held, held_json, holds_of
from gatepost.operate.limits import Limited, limited, limited_json
from gatepost.store.account_protocols import UnreadAccount, UnreadCredential
from gatepost.store.foreign_uses import ForeignUse
from gatepost.store.protocols import Reading, Store
from gatepost.store.rows import NewerRowError

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
    #: How many of them had a right secret that was not good here or then (expired, another network).
    with_right: Mapping[CredentialId, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about an account that is not as it should be, and the mend."""

    what: str
    mend: str


@dataclass(frozen=True, slots=True)
class Holder:
    """An account with its credentials, oldest first. `uses`: logins by somebody else's word (an
    issuer's token, a directory), the last of each.
    """

    account: Account
    credentials: tuple[Credential, ...]
    uses: tuple[ForeignUse, ...] = ()
    refusals: Refusals = Refusals()
    findings: tuple[Finding, ...] = ()
    limits: tuple[Limited, ...] = ()
    holds: tuple[Held, ...] = ()
    unread: tuple[UnreadCredential, ...] = ()


@dataclass(frozen=True, slots=True)
class Guest:
    """An account that is a directory's, and has logged in here: what we know of it."""

    name: AccountName
    uses: tuple[ForeignUse, ...]
    refusals: Refusals = Refusals()


async def show(store: Store, name: str, now: datetime, defaults: Limits = ()) -> Holder:
    """Return one account of ours with all that is to be known of it. `defaults` are the limits
    that the settings set.

    Raises:
        NoSuchAccountError: there is none.
        StoreUnavailableError: the store cannot be read.

    """
    return await store.read(lambda reading: _holder(reading, name, now, defaults))


async def show_any(
    store: Store, name: str, now: datetime, defaults: Limits = ()
) -> Holder | Guest | UnreadAccount:
    """Return one account of ours, be it one that only a newer Gatepost can read, or of a directory if
    it has logged in here. `defaults` are the limits that the settings set.

    Raises:
        NoSuchAccountError: there is neither.
        StoreUnavailableError: the store cannot be read.

    """

    def query(reading: Reading) -> Holder | Guest | UnreadAccount:
        try:
            return _holder(reading, name, now, defaults)
        except NewerRowError:
            wanted = prepared_name(name)
            return next(each for each in reading.unread_accounts() if each.name == wanted)
        except NoSuchAccountError:
            prepared = prepared_name(name)
            uses = tuple(reading.foreign_uses(prepared))
            if not uses:
                raise
            return Guest(prepared, uses, _refusals(reading, prepared, now))

    return await store.read(query)


def _holder(reading: Reading, name: str, now: datetime, defaults: Limits) -> Holder:
    account = existing(reading, name)
    kept = reading.kept_credentials(account.name)
    credentials = kept.known
    keys = [key for key in reading.api_keys() if key.account == account.name]
    return Holder(
        account,
        credentials,
        tuple(reading.foreign_uses(account.name)),
        _refusals(reading, account.name, now),
        findings(account, credentials, now),
        limited(reading, account, (*credentials, *keys), defaults, now),
        holds_of(reading, account.name),
        kept.unread,
    )


def _refusals(reading: Reading, name: AccountName, now: datetime) -> Refusals:
    return _summed_up(reading.refused_logins(now - REFUSALS_KEPT, account=name))


def _summed_up(refused: Iterable[Event]) -> Refusals:
    events = list(refused)
    if not events:
        return Refusals()
    last = events[-1]
    reason, tag = last.facts.get("reason", ""), last.facts.get("tag", "")
    right = Counter(
        CredentialId(str(e.facts["credential"])) for e in events if "credential" in e.facts
    )
    return Refusals(len(events), last.at, str(reason), str(tag), dict(right))


def findings(
    account: Account, credentials: tuple[Credential, ...], now: datetime
) -> tuple[Finding, ...]:
    """Return what an operator should mend."""
    found = []
    if account.exposed_at is not None:
        when = f"{account.exposed_at:%Y-%m-%d}"
        what = (
            f"a password was sent for it without TLS on {when}; nobody looked whether the right one"
        )
        found.append(Finding(what, f'set a new one: "gatepost account password {account.name}"'))
    if EVERYTHING in account.senders:
        what = "it may send as anybody: whoever has its password forges every address"
        found.append(
            Finding(
                what, f"name its addresses, then \"account forbid {account.name} --sender '*'\""
            )
        )
    for credential in credentials:
        words = _words(credential)
        if credential.exposed_at is not None:
            found.append(_exposed(credential, words))
        if credential.kind is CredentialKind.PASSWORD and credential.recoverable:
            found.append(_cram_md5(credential))
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


def _exposed(credential: Credential, words: str) -> Finding:
    what = f"{words} was sent without TLS on {credential.exposed_at:%Y-%m-%d}"
    if credential.kind is CredentialKind.PASSWORD:
        return Finding(what, f'set a new one: "gatepost account password {credential.account}"')
    mend = "revoke it, give its program a new one, and have that use TLS"
    return Finding(what, mend)


def _cram_md5(credential: Credential) -> Finding:
    mend = 'use SCRAM-SHA-256, then set the password without "--cram-md5"'
    used = credential.last_used_at
    if used is not None and credential.last_mechanism == "CRAM-MD5":
        return Finding(f"CRAM-MD5 is in use (last on {used:%Y-%m-%d}): a broken digest", mend)
    return Finding("CRAM-MD5 is allowed: its password is kept recoverable", mend)


def account_json(account: Account | UnreadAccount) -> dict[str, Any]:
    """Return an account as plain values, the shape of `--json`; of one that only a newer Gatepost can
    read what there is to say: then `unread` says why.
    """
    if isinstance(account, UnreadAccount):
        return {"name": account.name, "state": account.state, "unread": account.why}
    return {
        "name": account.name,
        "state": account.state.value,
        "senders": list(account.senders),
        "recipients": list(account.recipients),
        "created_at": time_text(account.created_at),
        "exposed_at": time_text(account.exposed_at) if account.exposed_at else None,
        "app_passwords_only": account.app_passwords_only,
        "lane": account.lane.value if account.lane else None,
        "pool": account.pool,
        "unread": None,
    }


def credential_json(credential: Credential, refused: int | None = None) -> dict[str, Any]:
    """Return a credential as plain values; of its secret only what a certificate shows anyway.

    `refused`: how often it was right, and not good here or then; None where nobody counted.
    """
    used_at, expires_at = credential.last_used_at, credential.expires_at
    shown: dict[str, Any] = {
        "id": credential.id,
        "kind": credential.kind.value,
        "label": credential.label,
        "created_at": time_text(credential.created_at),
        "expires_at": time_text(expires_at) if expires_at else None,
        "networks": list(credential.networks),
        "senders": list(credential.senders),
        "lane": credential.lane.value if credential.lane else None,
        "exposed_at": time_text(credential.exposed_at) if credential.exposed_at else None,
        "scram": credential.scram is not None,
        "last_used_at": time_text(used_at) if used_at else None,
        "last_mechanism": credential.last_mechanism,
        "last_tls": credential.last_tls,
    }
    if refused is not None:
        shown["refused"] = refused
    if credential.kind is CredentialKind.CERTIFICATE:
        shown["fingerprint"] = credential.verifier.reveal()
    elif credential.kind is CredentialKind.PASSWORD:
        shown["cram_md5"] = credential.recoverable is not None
    return shown


def holder_json(holder: Holder | Guest | UnreadAccount) -> dict[str, Any]:
    """Return an account with its credentials as plain values; no verifier among them."""
    if isinstance(holder, UnreadAccount):
        return account_json(holder)
    refusals = holder.refusals
    shown = {
        "other_logins": [_use_json(use) for use in holder.uses],
        "refused_logins": {
            "count": refusals.count,
            "last_at": time_text(refusals.last_at) if refusals.last_at else None,
            "last_reason": refusals.last_reason,
            "last_tag": refusals.last_tag,
        },
    }
    if isinstance(holder, Guest):
        return {"name": holder.name} | shown
    return (
        account_json(holder.account)
        | {
            "credentials": [
                credential_json(c, refusals.with_right.get(c.id, 0)) for c in holder.credentials
            ],
            "unread_credentials": [_unread_json(each) for each in holder.unread],
            "holds": [held_json(each) for each in holder.holds],
            "limits": [limited_json(each) for each in holder.limits],
            "findings": [{"what": f.what, "mend": f.mend} for f in holder.findings],
        }
        | shown
    )


def _unread_json(credential: UnreadCredential) -> dict[str, Any]:
    return {
        "id": credential.id,
        "kind": credential.kind,
        "label": credential.label,
        "unread": credential.why,
    }


def _use_json(use: ForeignUse) -> dict[str, Any]:
    return {
        "by": use.proof,
        "last_used_at": time_text(use.at),
        "last_mechanism": use.mechanism,
        "last_tls": use.tls,
    }


def _words(credential: Credential) -> str:
    kind = credential.kind.value.replace("-", " ")
    return f'{kind} "{credential.label}"' if credential.label else f"its {kind}"
