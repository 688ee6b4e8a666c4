"""Mailboxes, domains and paths as the envelope writes them (RFC 5321 §4.1.2, §4.1.3, RFC 6531 §3.3)."""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final
from unicodedata import normalize

from gatepost.wire.message.addresses import a_labels
from gatepost.wire.smtp.limits import DOMAIN, LABEL, LOCAL_PART, PATH
from gatepost.wire.values import value

_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_DOT_STRING: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
#: qtextSMTP and quoted-pairSMTP.
_QUOTED_STRING: Final = re.compile(r'"(?:[ !#-\[\]-~]|\\[ -~])*"')
_QUOTED_PAIR: Final = re.compile(r"\\(.)")
_LABEL: Final = rf"[A-Za-z0-9_](?:[A-Za-z0-9_-]{{0,{LABEL - 2}}}[A-Za-z0-9_])?"
_DOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
#: A-d-l ":" of a source route: accepted, and ignored (RFC 5321 §4.1.1.3, appendix C).
_SOURCE_ROUTE: Final = re.compile(r"(?:@[A-Za-z0-9.-]+|@\[[^\]]+\])(?:,@[^,:]+)*:")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
#: IPv6Address() takes any character at all behind "%" for a scope, which no literal has (§4.1.3).
_IPV6: Final = re.compile(r"[0-9A-Fa-f:.]{2,45}")
_ORDINARY: Final = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@({_LABEL}(?:\.{_LABEL})*)")


@value(frozen=True, slots=True)
class Mailbox:
    """local-part@domain.

    `local_part` is as given (with its quotes, if any); `domain` is in lower case, or an address
    literal with its brackets, or "" for the bare <postmaster>.
    """

    local_part: str
    domain: str

    @property
    def text(self) -> str:
        """Return local-part@domain."""
        return f"{self.local_part}@{self.domain}" if self.domain else self.local_part

    @property
    def is_ascii(self) -> bool:
        """False where the local part needs SMTPUTF8 (RFC 6531 §3.2)."""
        return self.local_part.isascii()

    @property
    def name(self) -> str:
        """Return the local part with quotes and backslashes undone: what it really means."""
        if self.local_part.startswith('"'):
            return _QUOTED_PAIR.sub(r"\1", self.local_part[1:-1])
        return self.local_part

    @property
    def folded(self) -> str:
        """Return the name as mailboxes of ours are compared: without regard to case, nor to the way
        in which a letter beyond ASCII is put together (RFC 6532 §3.1: NFC).
        """
        return folded(self.name)

    @property
    def is_literal(self) -> bool:
        """True for user@[192.0.2.1]."""
        return self.domain.startswith("[")


def folded(name: str) -> str:
    """Return a mailbox's name as it is compared."""
    # Not casefold(), which takes "straße" and "strasse" for one: they may be two people.
    return name.lower() if name.isascii() else normalize("NFC", normalize("NFC", name).lower())


def parse_mailbox(text: str) -> Mailbox | None:
    """Read local-part@domain (RFC 5321 §4.1.2); None when it is not of that form or too long."""
    if len(text) > PATH - 2:
        return None
    if not text.isascii():
        return _parse_utf8(text)
    if found := _ORDINARY.fullmatch(text):
        local_part, domain = found.groups()
    else:
        local_part, at, domain = text.rpartition("@")
        if not at or not (_is_local_part(local_part) and _is_domain_or_literal(domain)):
            return None
    if len(local_part) > LOCAL_PART or len(domain) > DOMAIN:
        return None
    return Mailbox(local_part, domain.lower())


def _parse_utf8(text: str) -> Mailbox | None:
    """Read a mailbox that is not ASCII (RFC 6531 §3.3); lengths are in octets of UTF-8. Its domain
    becomes A-labels: the form that is looked up and compared.
    """
    local_part, at, domain = text.rpartition("@")
    if not at or _SURROGATE.search(text):  # JSON can spell half a character
        return None
    if len(text.encode()) > PATH - 2 or len(local_part.encode()) > LOCAL_PART:
        return None
    labels = domain if domain.isascii() else a_labels(domain)
    # What is no ASCII may stand where an atom may; white space and controls may not.
    plain = "".join(c if c.isascii() else "x" for c in local_part)
    if labels is None or not local_part.isprintable():
        return None
    if not (_is_local_part(plain) and _is_domain_or_literal(labels)):
        return None
    if len(local_part.encode()) + 1 + len(labels) > PATH - 2:  # A-labels are longer
        return None
    return Mailbox(local_part, labels.lower())


def parse_path(text: str) -> Mailbox | None:
    """Read what stands between "<" and ">" of a forward-path: a source route is dropped, the bare
    "postmaster" is allowed (RFC 5321 §4.1.1.3). None when malformed.
    """
    if text.startswith("@"):
        route = _SOURCE_ROUTE.match(text)
        if route is None or len(text) > PATH - 2:
            return None
        text = text[route.end() :]
    if text.lower() == "postmaster":
        return Mailbox(text, "")
    return parse_mailbox(text)


def is_path(text: str) -> bool:
    """Tell whether an address of an envelope may stand between "<" and ">", in a command or in a field
    of ours: "" or what `parse_path` made of what came. Whatever else was stored is neither said nor
    written.
    """
    if not text or _ORDINARY.fullmatch(text):
        return len(text) <= PATH - 2
    return text.lower() == "postmaster" or parse_mailbox(text) is not None


def is_domain(text: str) -> bool:
    """Tell whether `text` is a domain name in A-labels (RFC 5321 §4.1.2, underscores allowed)."""
    return len(text) <= DOMAIN and _DOMAIN.fullmatch(text) is not None


def is_qualified(domain: str) -> bool:
    """Tell whether a domain has a dot, or is an address literal (RFC 6409 §4.2)."""
    return domain.startswith("[") or "." in domain


def literal_address(domain: str) -> str | None:
    """Return the IP address of an address literal (RFC 5321 §4.1.3), None when it is none."""
    inner = domain[1:-1] if domain.startswith("[") and domain.endswith("]") else ""
    try:
        if inner[:5].upper() == "IPV6:":
            return str(IPv6Address(inner[5:])) if _IPV6.fullmatch(inner, 5) else None
        return str(IPv4Address(inner))
    except AddressValueError:
        return None


def _is_local_part(text: str) -> bool:
    return bool(_DOT_STRING.fullmatch(text) or _QUOTED_STRING.fullmatch(text))


def _is_domain_or_literal(text: str) -> bool:
    return literal_address(text) is not None if text.startswith("[") else is_domain(text)
