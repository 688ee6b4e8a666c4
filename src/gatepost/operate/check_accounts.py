"""Accounts that may more than an operator may have meant, read from a database as it stands."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import apsw

from gatepost.model.grant import EVERYTHING

_ACCOUNTS: Final = "SELECT name, senders, state FROM account ORDER BY name"


@dataclass(frozen=True, slots=True)
class WideGrant:
    """An account that may send as anybody; `what` and `mend` are for a person."""

    account: str
    what: str
    mend: str


def wide_grants(connection: apsw.Connection) -> Iterator[WideGrant]:
    """Yield the accounts that may send as anybody.

    Raises:
        apsw.Error: this is no database of ours, or cannot be read.

    """
    for name, senders, state in connection.execute(_ACCOUNTS):
        if EVERYTHING in json.loads(senders):
            still = "" if state == "active" else f" ({state} now)"
            yield WideGrant(
                name,
                f"MAY SEND AS ANYBODY{still}: whoever has its password forges every address",
                f"name its addresses: gatepost account allow {name} --sender @example.com, then"
                f" gatepost account forbid {name} --sender '*'",
            )
