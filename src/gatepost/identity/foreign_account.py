"""An account as a directory has it, in the form that our own accounts have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from gatepost.identity.directory import Entry
from gatepost.identity.verdict import directory_credential
from gatepost.model.account import Account, AccountState, Credential, CredentialKind
from gatepost.model.grant import parse_grant
from gatepost.model.ids import AccountName
from gatepost.model.lane import Lane
from gatepost.model.quota import Limit, Limits, Unit, Window
from gatepost.model.secret import Secret
from gatepost.model.wrong import WrongValueError

_NEVER: Final = datetime.fromtimestamp(0, UTC)
_NOTHING: Final = Secret("")
_MOST: Final = 10**9
#: How a directory calls a limit of messages.
_WINDOWS: Final = {"hourly": Window.HOUR, "daily": Window.DAY}


@dataclass(frozen=True, slots=True)
class Usual:
    """What accounts of a directory have, of which it says nothing else."""

    lane: Lane | None = None
    limits: Limits = ()


def account_of(name: AccountName, senders: Sequence[str], *, suspended: bool = False) -> Account:
    """Return an account that may send as `senders` (grants)."""
    state = AccountState.SUSPENDED if suspended else AccountState.ACTIVE
    return Account(name, tuple(dict.fromkeys(senders)), _NEVER, state)


def own_address(name: AccountName) -> tuple[str, ...]:
    """Return the one address that an account owns of which nothing else is said: its name.

    A name may look like a pattern or a whole domain, "*@corp.example" or "@corp.example", and a
    lenient directory may know it: it owns nothing then.
    """
    try:
        grant = parse_grant(name)
    except WrongValueError:
        return ()
    return (grant,) if grant.rpartition("@")[0] and "*" not in grant else ()


def with_policy(account: Account, said: Mapping[str, object]) -> Account:
    """Return an account with the lane and limits that a directory says: "lane", "hourly", "daily".

    Raises:
        ValueError: one of them cannot be; says which.

    """
    lane = said.get("lane")
    try:
        is_missing = lane is None or lane == ""
        chosen = None if is_missing else Lane(str(lane).strip().lower())
    except ValueError:
        msg = f'"lane": "{str(lane)[:40]}" is none of {", ".join(Lane)}'
        raise ValueError(msg) from None
    limits = tuple(
        Limit(Unit.MESSAGES, window, _most(key, said[key]))
        for key, window in _WINDOWS.items()
        if said.get(key) is not None
    )
    return replace(account, lane=chosen, limits=limits)


def _most(key: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST:
        return value
    raise ValueError(f'"{key}": "{str(value)[:40]}" is no number of messages')


def usual(lane: Lane | None, hourly: int | None, daily: int | None) -> Usual:
    """Return what the settings of a directory say."""
    given = ((Window.HOUR, hourly), (Window.DAY, daily))
    limits = tuple(Limit(Unit.MESSAGES, w, most) for w, most in given if most is not None)
    return Usual(lane, limits)


def completed(entry: Entry, usual: Usual) -> Entry:
    """Return an account with what is usual where its directory said nothing."""
    account = entry.account
    said = {(limit.unit, limit.window) for limit in account.limits}
    more = tuple(limit for limit in usual.limits if (limit.unit, limit.window) not in said)
    lane = account.lane or usual.lane
    return replace(entry, account=replace(account, lane=lane, limits=account.limits + more))


def entry_of(
    label: str, account: Account, *, verifier: Secret = _NOTHING, scram: Secret | None = None
) -> Entry:
    """Return an account of a directory with the credential that stands for its word."""
    credential = Credential(
        id=directory_credential(label),
        account=account.name,
        kind=CredentialKind.PASSWORD,
        verifier=verifier,
        created_at=_NEVER,
        label=label,
        scram=scram,
    )
    return Entry(account, (credential,))


def names_of(name: AccountName) -> Mapping[str, str]:
    """Return what a question may be made of: the name, its local part, its domain."""
    local, at, domain = name.rpartition("@")
    return {"name": name, "local": local if at else name, "domain": domain if at else ""}
