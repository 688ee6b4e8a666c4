"""Release credentials that were held because they did something sudden (`identity.breaker`)."""

from dataclasses import dataclass
from typing import Any

from gatepost.events.journal import time_text
from gatepost.identity.breaker import released
from gatepost.identity.histories import credential_words
from gatepost.model.event import Event, EventKind
from gatepost.model.history import History, Hold
from gatepost.model.ids import AccountName, CredentialId
from gatepost.operate.accounts import AccountError, By, prepared_name
from gatepost.store.protocols import Reading, Store, Transaction


@dataclass(frozen=True, slots=True)
class Held:
    """A credential that sends nothing: what it is called, since when, and why."""

    credential: CredentialId
    label: str
    hold: Hold


class NothingHeldError(AccountError):
    """Nothing of an account is held, or not what was named."""


async def release(store: Store, name: str, which: str | None = None, *, by: By) -> list[str]:
    """Let an account's held credentials (all, or the one with a label or id) send again; return
    what they are called. What they did is taken as usual from now on.

    Raises:
        NothingHeldError: nothing was written.
        StoreUnavailableError: nothing was written.

    """
    account = prepared_name(name)

    def job(transaction: Transaction) -> list[str]:
        held = {
            history.credential: (credential_words(transaction, history), history)
            for history in transaction.held_histories(account)
        }
        chosen = [each for key, each in held.items() if which in {None, key, each[0]}]
        if not chosen:
            known = ", ".join(f'"{words}"' for words, _ in held.values())
            msg = (
                f'no credential "{which}" of {account} is held'
                if which
                else (f"no credential of {account} is held")
            )
            mend = f"held are: {known}" if known else f'see "gatepost account show {account}"'
            raise NothingHeldError(msg, mend)
        for words, history in chosen:
            transaction.put_history(released(history, by.now), by.now)
            transaction.add_events([_event(history, words, by)])
        return [words for words, _ in chosen]

    return await store.write(job)


def holds_of(reading: Reading, account: AccountName) -> tuple[Held, ...]:
    """Return an account's credentials that are held."""
    return tuple(
        Held(history.credential, credential_words(reading, history), history.hold)
        for history in reading.held_histories(account)
        if history.hold is not None
    )


def held_json(held: Held) -> dict[str, Any]:
    """Return one hold as plain values, the shape of `--json`."""
    return {
        "credential": held.credential,
        "label": held.label,
        "held_at": time_text(held.hold.at),
        "reason": held.hold.because,
    }


def _event(history: History, words: str, by: By) -> Event:
    facts = {"credential": words, "by": by.operator}
    return Event(EventKind.CREDENTIAL_RELEASED, by.now, account=history.account, facts=facts)
