"""Accounts that may more than an operator may have meant, read from a database as it stands; those that
cannot log in by what is offered to them; and those that only a newer Gatepost can read.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gatepost.model.grant import EVERYTHING
from gatepost.operate.check_finding import Finding, Grade
from gatepost.store.protocols import Reading

#: So many accounts are named.
_NAMED: Final = 3
#: What `wide_grants` reads.
ACCOUNTS: Final = "SELECT name, senders, state FROM account ORDER BY name"


@dataclass(frozen=True, slots=True)
class WideGrant:
    """An account that may send as anybody; `what` and `mend` are for a person."""

    account: str
    what: str
    mend: str


def wide_grants(rows: Iterable[Sequence[Any]]) -> Iterator[WideGrant]:
    """Yield the accounts that may send as anybody, of the rows of ACCOUNTS."""
    for name, senders, state in rows:
        if EVERYTHING in json.loads(senders):
            still = "" if state == "active" else f" ({state} now)"
            yield WideGrant(
                name,
                f"MAY SEND AS ANYBODY{still}: whoever has its password forges every address",
                f"name its addresses: gatepost account allow {name} --sender @example.com, then"
                f" gatepost account forbid {name} --sender '*'",
            )


def link_findings(reading: Reading, public_url: str | None) -> Iterator[Finding]:
    """Yield the accounts whose mail shall have links to unsubscribe, where there can be none."""
    names = sorted(rule.account for rule in reading.account_rules() if rule.links)
    if names and not public_url:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        what = f"the mail of {names[0]}{more} shall have links to unsubscribe, and gets none"
        mend = "set it to what leads to [http] address from outside, as https://mail.example"
        yield Finding(Grade.WARNING, "http.public_url", what, mend)


def keyless_findings(reading: Reading, mechanisms: Sequence[str]) -> Iterator[Finding]:
    """Yield the accounts whose right passwords SCRAM would refuse, be it offered or not yet."""
    names = reading.keyless_accounts()
    if not names:
        return
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    who = f"{', '.join(names[:_NAMED])}{more}"
    if not any(name.startswith("SCRAM-") for name in mechanisms):
        what = f"{who}: no SCRAM keys yet (imported hashes); SCRAM is not offered"
        yield Finding(Grade.FINE, "auth.mechanisms", what)
        return
    what = f"{who}: no SCRAM keys (imported hashes); clients that choose SCRAM hear 535"
    mend = (
        "one login with PLAIN or LOGIN makes an account's keys; until all have them,"
        ' mechanisms = ["PLAIN", "LOGIN"] in [auth] offers nothing else'
    )
    yield Finding(Grade.WARNING, "auth.mechanisms", what, mend)


def unread_findings(reading: Reading) -> Iterator[Finding]:
    """Yield the accounts and credentials that this program cannot read."""
    for account in reading.unread_accounts():
        what = f"its logins are answered 454 here: {account.why}"
        mend = "update this Gatepost to the version of the one that wrote it"
        yield Finding(Grade.WARNING, f"account {account.name}", what, mend)
    for each in reading.unread_credentials():
        label = f' "{each.label}"' if each.label else ""
        what = f"its {each.kind}{label} logs in nowhere here: {each.why}"
        mend = "update this Gatepost to the version of the one that wrote it"
        yield Finding(Grade.WARNING, f"account {each.account}", what, mend)
