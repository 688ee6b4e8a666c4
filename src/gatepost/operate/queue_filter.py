"""Which deliveries an operator means, names brought into the form that they are stored in."""

from typing import Final

from gatepost.model.delivery import DeliveryState
from gatepost.model.domain_name import parse_domain
from gatepost.model.ids import AccountName
from gatepost.model.pool_name import pool as checked_pool
from gatepost.model.source import SYSTEM
from gatepost.model.wrong import wrong
from gatepost.store.queue_view import QueueFilter

#: The fewest digits of an id that may stand for it.
_FEWEST: Final = 8
_DIGITS: Final = frozenset("0123456789abcdef")


def queue_filter(
    *,
    account: str | None,
    destination: str | None,
    recipient: str | None,
    id: str | None,  # noqa: A002 - the option's name
    pool: str | None = None,
) -> QueueFilter:
    """Return the filter. Raises WrongValueError."""
    return QueueFilter(
        id=_identifier(id) if id is not None else None,
        account=AccountName(account.casefold()) if account is not None else None,
        destination=_domain(destination) if destination is not None else None,
        recipient=_recipient(recipient) if recipient is not None else None,
        pool=_pool(pool) if pool is not None else None,
    )


def states_of(names: list[str]) -> tuple[DeliveryState, ...] | None:
    """Return states by their names, None for all. Raises WrongValueError."""
    known = [state.value for state in DeliveryState]
    for name in names:
        if name not in known:
            raise wrong(f'there is no state "{name}"', f"write one of {', '.join(known)}")
    return tuple(map(DeliveryState, names)) or None


def _identifier(text: str) -> str:
    text = text.strip().lower()
    if len(text) < _FEWEST or set(text) - _DIGITS:
        mend = f"write at least the first {_FEWEST} of its hexadecimal digits"
        raise wrong(f'"{text}" is not an id', mend)
    return text


def _pool(text: str) -> str:
    """Take a pool's name; "system" stands for mail of none."""
    return "" if text == SYSTEM else checked_pool(text)


def _domain(text: str) -> str:
    return text.lower() if text.startswith("[") else parse_domain(text)


def _recipient(text: str) -> str:
    local_part, at, domain = text.rpartition("@")
    return f"{local_part}@{_domain(domain)}" if at else text
