"""The one rule that separates a relay from a spam cannon (RFC 5321 §3.6.2).

Mail for a domain of ours needs no login; mail for anywhere else does. Nothing that the forward-path
can be dressed in changes that: a source route was dropped by the grammar, and a local part that
could send our mail on to a third place ("a%b", "a!b", "a@b" in quotes) is no mailbox of ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from unicodedata import normalize

from gatepost.model.account import Principal
from gatepost.model.settings import LocalDomainSettings
from gatepost.wire.smtp import replies
from gatepost.wire.smtp.grammar import Mailbox, folded, is_qualified
from gatepost.wire.smtp.replies import Reply

#: What makes old mail systems behind us route onwards: percent hack, bang path, DECnet, UUCP.
_ROUTING: Final = frozenset("@%!:/\\|")

_EVERYTHING: Final = "*"
_POSTMASTER: Final = "postmaster"


@dataclass(frozen=True, slots=True)
class LocalDomains:
    """The domains that we take mail for, by name in lower-case A-labels; mailboxes in lower case."""

    mailboxes: Mapping[str, frozenset[str]]

    def __contains__(self, domain: str) -> bool:
        return domain in self.mailboxes

    def has_mailbox(self, mailbox: Mailbox) -> bool:
        """Tell whether there is such a mailbox; postmaster always is (RFC 5321 §4.5.1)."""
        name = mailbox.folded
        if name == _POSTMASTER:
            return True
        known = self.mailboxes[mailbox.domain]
        if name in known:
            return True
        return _EVERYTHING in known and not _routes(name)


def local_domains(settings: tuple[LocalDomainSettings, ...]) -> LocalDomains:
    """Read the settings once."""
    return LocalDomains({d.name.lower(): frozenset(map(folded, d.mailboxes)) for d in settings})


def _routes(name: str) -> bool:
    """Tell whether a name could be a way onwards, to one behind us who takes wide letters (U+FF05)
    for others ("%"), too.
    """
    return bool(_ROUTING.intersection(name if name.isascii() else normalize("NFKC", name)))


def judge_forward_path(
    mailbox: Mailbox, principal: Principal | None, local: LocalDomains
) -> Reply | None:
    """Decide whether mail for `mailbox` is taken from `principal` (None: nobody logged in).

    Returns None when it is, else what to say. `mailbox.domain` is "" for the bare <postmaster>.
    """
    if not mailbox.domain:
        return None
    if mailbox.domain in local:
        return None if local.has_mailbox(mailbox) else _no_mailbox(mailbox, principal)
    if principal is None:
        return replies.RELAYING_DENIED
    if not is_qualified(mailbox.domain):
        return replies.RECIPIENT_NOT_QUALIFIED.about(mailbox.domain)
    return None


def _no_mailbox(mailbox: Mailbox, principal: Principal | None) -> Reply:
    if principal is None and _routes(mailbox.name):
        return replies.RELAYING_DENIED
    return replies.NO_SUCH_MAILBOX.about(mailbox.text)
