"""Forgive failed logins: of an account everywhere, or of an address with its network."""

from datetime import datetime

from gatepost.identity.throttle import forgiven, subjects_of
from gatepost.model.event import Event, EventKind
from gatepost.operate.accounts import By
from gatepost.store.guessing_protocols import Guessed
from gatepost.store.protocols import Store, Transaction
from gatepost.wire.sasl.prep import prepare_name


async def unlock(store: Store, what: str, *, by: By) -> list[Guessed]:
    """Forget the failures of an account's name or of an address; return what was counted (only
    some of it may have been locked). Workers hear of it within 1 s.

    Raises:
        StoreUnavailableError: nothing was written.

    """
    try:
        wanted = prepare_name(what.strip())
    except ValueError:
        wanted = what.strip()

    def job(transaction: Transaction) -> list[Guessed]:
        found = [g for g in subjects_of(transaction, wanted) if g.failures or g.locks]
        if found:
            transaction.put_guessed([forgiven(guessed, by.now) for guessed in found])
            facts = {"what": wanted, "by": by.operator}
            transaction.add_events([Event(EventKind.LOGIN_UNLOCKED, by.now, facts=facts)])
        return found

    return await store.write(job)


def locked_until(found: list[Guessed], now: datetime) -> datetime | None:
    """Return until when the longest of these locks would have lasted; None: none was locked."""
    return max((g.locked_until for g in found if g.locked_until > now), default=None)
