"""Whose addresses are these: reverse-path, From, Sender and Resent-* against what an account may send as.

RFC 6409 §6.1, RFC 5322 §3.6.2. What grants look like, and when they hold: `model.grant`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gatepost.model.account import Account
from gatepost.model.grant import owns
from gatepost.wire.smtp.grammar import Mailbox
from gatepost.wire.smtp.replies import (
    BAD_CONTENT,
    RECIPIENT_NOT_YOURS,
    SENDER_NOT_YOURS,
    Reply,
    printable,
)

#: So many of an account's grants are named in a refusal.
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class NotOwned:
    """The address that is not the account's to use, and what is."""

    address: str
    allowed: tuple[str, ...]

    @property
    def reply(self) -> Reply:
        """Return the refusal, naming both."""
        may = _shown(self.allowed)
        text = f"{SENDER_NOT_YOURS.text} {printable(self.address or 'nobody')}"
        return SENDER_NOT_YOURS.say(f"{text}; it may send as {may}")


def judge_reverse_path(account: Account, reverse_path: str, tags: str) -> NotOwned | None:
    """Return None where this reverse-path may be used; the null one ("") always may
    (RFC 6409 §3.2).
    """
    return None if not reverse_path else _foreign(account, reverse_path, tags)


def judge_authors(
    account: Account, authors: Sequence[str], senders: Sequence[str], tags: str
) -> Reply | None:
    """Return None where every address of From (`authors`), and of Sender if there is one, may be
    used; else the refusal that names the first that may not. A From without an address is nobody's.

    Several authors need a Sender, and a Sender is one mailbox (RFC 5322 §3.6.2); the reverse-path has
    become it by now, where that was not the null one.
    """
    if not authors:
        return NotOwned("", account.allowed).reply
    for address in (*authors, *senders):
        if foreign := _foreign(account, address, tags):
            return foreign.reply
    if len(senders) > 1:
        return BAD_CONTENT.about("field Sender names more than one address")
    if len(authors) > 1 and not senders:
        return BAD_CONTENT.about("field Sender is needed where From names several addresses")
    return None


def judge_resenders(account: Account, resenders: Sequence[str], tags: str) -> Reply | None:
    """Return None where the account may use every address of Resent-From and Resent-Sender: our
    signature covers them (RFC 6376 §5.4.1), and readers show them as who sent the message on.
    """
    for address in resenders:
        if foreign := _foreign(account, address, tags):
            return foreign.reply
    return None


def judge_addressee(account: Account, forward_path: Mailbox, tags: str) -> Reply | None:
    """Return None where the account may write to this mailbox: to all, unless it was bound to
    some. The bare <postmaster> is always reached (RFC 5321 §4.5.1).
    """
    bound = account.recipients
    if not bound or not forward_path.domain or owns(bound, forward_path.text, tags):
        return None
    text = f"{RECIPIENT_NOT_YOURS.text} {printable(forward_path.text)}"
    return RECIPIENT_NOT_YOURS.say(f"{text}; it may write to {_shown(bound)}")


def _foreign(account: Account, address: str, tags: str) -> NotOwned | None:
    if owns(account.senders, address, tags) and (
        not account.narrowed or owns(account.narrowed, address, tags)
    ):
        return None
    return NotOwned(address, account.allowed)


def _shown(grants: Sequence[str]) -> str:
    more = len(grants) - _SHOWN
    rest = f" and {more} more" if more > 0 else ""
    return f"{printable(', '.join(grants[:_SHOWN]) or 'nobody')}{rest}"
