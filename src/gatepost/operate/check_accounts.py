"""Accounts that may more than an operator may have meant, read from a database as it stands."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gatepost.model.grant import EVERYTHING

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
