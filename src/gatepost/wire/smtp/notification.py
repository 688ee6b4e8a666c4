"""What a sender wishes to hear of a message: NOTIFY, ORCPT, RET, ENVID (RFC 3461 §4)."""

import re
from enum import Flag, StrEnum
from typing import Final

from gatepost.wire.smtp.limits import ENVID, ORCPT
from gatepost.wire.values import value


class Notify(Flag):
    """When to report to the sender (RFC 3461 §4.1); NEVER stands alone."""

    NEVER = 0
    SUCCESS = 1
    FAILURE = 2
    DELAY = 4


class Ret(StrEnum):
    """What a report of a failure holds of the message (RFC 3461 §4.3)."""

    FULL = "FULL"
    HDRS = "HDRS"


@value(frozen=True, slots=True)
class RecipientWishes:
    """What was said of one recipient. `notify` None: nothing. `orcpt` is "addr-type;xtext" as it
    came, "" for none: nobody may change as much as its case (RFC 3461 §5.2.1).
    """

    notify: Notify | None = None
    orcpt: str = ""


NO_WISHES: Final = RecipientWishes()

#: RFC 3461 §4: xchar and hexchar; what they encode must be printable.
_XTEXT: Final = re.compile(rb"(?:[!-*,-<>-~]|\+[2-6][0-9A-F]|\+7[0-9A-E])+")
_HEXCHAR: Final = re.compile(r"\+([0-9A-F]{2})")
_ADDRESS_TYPE: Final = re.compile(rb"[A-Za-z0-9-]{1,40}")
_WORDS: Final = {word.name: word for word in (Notify.SUCCESS, Notify.FAILURE, Notify.DELAY)}


def parse_notify(value: bytes) -> Notify | None:
    """Read NOTIFY's value; None when it is none."""
    if value.upper() == b"NEVER":
        return Notify.NEVER
    found = Notify.NEVER
    for word in value.upper().split(b","):
        wish = _WORDS.get(word.decode("ascii", "replace"))
        if wish is None:
            return None
        found |= wish
    return found


def spell_notify(notify: Notify) -> str:
    """Return NOTIFY's value."""
    return ",".join(name for name, word in _WORDS.items() if name and word in notify) or "NEVER"


def parse_ret(value: bytes) -> Ret | None:
    """Read RET's value; None when it is none."""
    return {b"FULL": Ret.FULL, b"HDRS": Ret.HDRS}.get(value.upper())


def parse_envid(value: bytes) -> str | None:
    """Return ENVID's value as it came; None when it is no xtext, or too long."""
    return value.decode("ascii") if len(value) <= ENVID and _XTEXT.fullmatch(value) else None


def parse_orcpt(value: bytes) -> str | None:
    """Return ORCPT's value as it came; None when it is no address type with xtext."""
    kind, _, address = value.partition(b";")
    if len(value) > ORCPT or not _ADDRESS_TYPE.fullmatch(kind) or not _XTEXT.fullmatch(address):
        return None
    return value.decode("ascii")


def decode_xtext(text: str) -> str:
    """Return what xtext stands for, as a report shows it (RFC 3461 §6.3)."""
    return _HEXCHAR.sub(lambda found: chr(int(found[1], 16)), text)
