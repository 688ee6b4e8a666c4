"""Whose addresses are these: reverse-path and From against an account's own (RFC 6409 §6.1).

Local parts are compared without regard to case. By RFC 5321 §2.4 only the host that receives may
ignore it, and what we pass on is left as it is. But this asks another question: whom did the
operator mean by app@example.com? People type App@ and app@ for one mailbox, no provider gives the
two to two owners, and a refusal over a capital letter would help nobody.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from unicodedata import normalize

from gatepost.wire.message.addresses import a_labels
from gatepost.wire.smtp.replies import SENDER_NOT_YOURS, Reply, printable

#: So many of an account's addresses are named in a refusal.
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class NotOwned:
    """The address that is not the account's to use, and those that are."""

    address: str
    allowed: tuple[str, ...]

    @property
    def reply(self) -> Reply:
        """Return the refusal, naming both."""
        shown = ", ".join(self.allowed[:_SHOWN])
        more = len(self.allowed) - _SHOWN
        rest = f" and {more} more" if more > 0 else ""
        text = f"{SENDER_NOT_YOURS.text} {printable(self.address or 'nobody')}"
        return SENDER_NOT_YOURS.say(f"{text}; it may send as {printable(shown or 'nobody')}{rest}")


#: In characters; an account's addresses keep to RFC 5321 §4.5.3.1. A longer one is nobody's, and
#: is neither normalised (a quarter of a megabyte of combining marks takes 16 s) nor remembered.
_LONGEST: Final = 320


def canonical(address: str) -> str | None:
    """Return the form in which addresses are compared and `Account.senders` are kept: local part
    in lower case without needless quotes, domain in lower-case A-labels. "@domain" stays so.
    None for what is no address, or a longer one than there can be.
    """
    return _canonical(address) if len(address) <= _LONGEST else None


@lru_cache(maxsize=8192)
def _canonical(address: str) -> str | None:
    local_part, at, domain = address.rpartition("@")
    labels = a_labels(domain)
    if not at or not labels:
        return None
    if local_part.startswith('"') and local_part.endswith('"') and len(local_part) > 1:
        inner = local_part[1:-1]
        if inner and not set(inner) & set(' "(),:;<>@[\\]') and ".." not in inner:
            local_part = inner if inner.strip(".") == inner else local_part
    return f"{normalize('NFC', local_part.casefold())}@{labels}"


def owns(senders: Collection[str], address: str) -> bool:
    """Tell whether `address` is one of `senders` ("app@example.com"), or in a domain that is one
    whole ("@example.com"; not its subdomains). `senders` are canonical, as an Account keeps them.
    """
    form = canonical(address)
    if form is None or form.startswith("@"):
        return False
    return form in senders or form[form.rindex("@") :] in senders


def judge_reverse_path(senders: Sequence[str], reverse_path: str) -> NotOwned | None:
    """Return None where this reverse-path may be used; the null one ("") always may
    (RFC 6409 §3.2).
    """
    if not reverse_path or owns(senders, reverse_path):
        return None
    return NotOwned(reverse_path, tuple(senders))


def judge_from(
    senders: Sequence[str], from_addresses: Sequence[str], sender_addresses: Sequence[str] = ()
) -> NotOwned | None:
    """Return None where every address of From, and of Sender if there is one, may be used; else
    the first that may not. A From without an address is nobody's.
    """
    if not from_addresses:
        return NotOwned("", tuple(senders))
    for address in (*from_addresses, *sender_addresses):
        if not owns(senders, address):
            return NotOwned(address, tuple(senders))
    return None
