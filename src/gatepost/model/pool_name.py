"""What a pool of source addresses may be called."""

import re
from typing import Final

from gatepost.model.source import SYSTEM
from gatepost.model.wrong import wrong

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


def pool(text: str) -> str:
    """Take the name of a pool.

    Raises:
        WrongValueError: no pool can be called so.

    """
    if text == SYSTEM:
        msg = f'"{SYSTEM}" is no pool: it means that the system chooses'
        raise wrong(msg, "choose another name")
    if _NAME.fullmatch(text) is None:
        msg = f'"{text}" cannot be the name of a pool'
        raise wrong(msg, "up to 63 small letters, digits and hyphens")
    return text


def pool_or_system(text: str) -> str:
    """Take the name of a pool, or "system"."""
    return text if text == SYSTEM else pool(text)
