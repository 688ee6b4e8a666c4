"""Trace fields: Received for each hop, Return-Path at final delivery (RFC 5321 §4.4)."""

import re
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Final

from gatepost.wire.message.ciphers import registered_name
from gatepost.wire.message.header import Header
from gatepost.wire.message.identifiers import format_date
from gatepost.wire.message.limits import PREFERRED_LINE, RECEIVED_FIELDS
from gatepost.wire.values import value

_NOT_IN_DOMAIN: Final = re.compile(r"[^A-Za-z0-9._-]")
_LITERAL: Final = re.compile(r"\[[A-Za-z0-9.:-]{2,80}\]")
_ADDRESS: Final = re.compile(r"[!-;=?-~]{1,254}")
_LONGEST_NAME: Final = 255


@value(frozen=True, slots=True)
class Hop:
    """What a Received field tells of one hop. There is no place for a secret.

    `client_name` is what EHLO said, `client_address` the IP address without brackets, "" to tell
    neither.
    `tls_version` ("TLSv1.3") and `tls_cipher` (OpenSSL's name or the IANA's) are "" without TLS.
    `recipient` is given only where there is exactly one: with several, one would learn of the
    other (RFC 5321 §7.2). `priority` is what the client asked for by MT-PRIORITY.
    """

    client_name: str
    client_address: str
    hostname: str
    identifier: str
    at: datetime
    protocol: str = "ESMTP"
    tls_version: str = ""
    tls_cipher: str = ""
    recipient: str | None = None
    priority: int | None = None


def transmission_type(*, extended: bool, tls: bool, authenticated: bool, utf8: bool = False) -> str:
    """Return the word behind "with": SMTP, or ESMTP with S for TLS, A for AUTH (RFC 3848); UTF8SMTP
    instead for mail with SMTPUTF8 (RFC 6531 §4.3).
    """
    if utf8:
        return f"UTF8SMTP{'S' if tls else ''}{'A' if authenticated else ''}"
    if not (extended or tls or authenticated):
        return "SMTP"
    return f"ESMTP{'S' if tls else ''}{'A' if authenticated else ''}"


def received_field(hop: Hop) -> bytes:
    """Return the Received field with its CRLF, folded before column 78 where that can be."""
    words = [f"by {hop.hostname}"]
    if hop.client_address:
        words.insert(0, _origin(hop.client_name, hop.client_address))
    words += (f"with {hop.protocol}", f"id {hop.identifier}")
    if hop.recipient is not None and _ADDRESS.fullmatch(hop.recipient):
        words.append(f"for <{hop.recipient}>")
    if hop.priority is not None:  # RFC 6710 §4.1
        words.append(f"PRIORITY {hop.priority}")
    if hop.tls_cipher and (clause := _tls_clause(hop.tls_version, hop.tls_cipher)):
        words.append(clause)
    words[-1] = f"{words[-1]};"
    words.append(format_date(hop.at))
    return fold("Received:", words).encode("ascii")


def return_path_field(reverse_path: str) -> bytes:
    """Return the Return-Path field of final delivery, with its CRLF; "" is the null one."""
    return f"Return-Path: <{reverse_path}>\r\n".encode()


def is_looping(header: Header) -> bool:
    """Tell whether there are so many Received fields that it must be a loop (RFC 5321 §6.3)."""
    return header.names.count(b"received") >= RECEIVED_FIELDS


def fold(name: str, words: Iterable[str]) -> str:
    """Return a field with its CRLF, folded between words so that no line passes column 78 unless
    one word does.
    """
    lines, line = [], name
    for word in words:
        if len(line) + 1 + len(word) > PREFERRED_LINE and line != name:
            lines.append(line)
            line = ""
        line = f"{line} {word}"
    lines.append(line)
    return "\r\n".join(lines) + "\r\n"


@lru_cache(maxsize=4096)
def _origin(client_name: str, client_address: str) -> str:
    """Return "from NAME ([ADDRESS])" with a name that cannot break out of its place."""
    literal = f"[IPv6:{client_address}]" if ":" in client_address else f"[{client_address}]"
    if _LITERAL.fullmatch(client_name):
        name = client_name
    else:
        name = _NOT_IN_DOMAIN.sub("", client_name)[:_LONGEST_NAME].strip(".-")
    return f"from {name or literal} ({literal})"


@lru_cache(maxsize=64)
def _tls_clause(version: str, cipher: str) -> str:
    """Return the clause of RFC 8314 §4.3, the protocol version as a comment behind it."""
    registered = registered_name(cipher)
    comment = f"({_NOT_IN_DOMAIN.sub('', version)})" if version else ""
    if registered is None:
        return comment
    return f"tls {registered} {comment}".rstrip()
