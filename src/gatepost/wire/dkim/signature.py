"""The DKIM-Signature field: its values, and how it is written (RFC 6376 §3.5)."""

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gatepost.wire.dkim.canonical import Canonicalization
from gatepost.wire.dkim.tags import TagError, parse_tags
from gatepost.wire.message.limits import PREFERRED_LINE

NAME: Final = b"DKIM-Signature"
_NEEDED: Final = (b"v", b"a", b"b", b"bh", b"d", b"h", b"s")
_DOMAIN: Final = re.compile(rb"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*")
_NUMBER: Final = re.compile(rb"[0-9]{1,76}")
_FIELD_NAME: Final = re.compile(rb"[!-9<-~]+")
#: The signature's own octets, so that b= can be emptied: the value up to the next semicolon.
_B: Final = re.compile(rb"(?:^|;)[ \t\r\n]*b[ \t\r\n]*=([^;]*)")
#: Octets of base64 on one line.
_STEP: Final = PREFERRED_LINE - 6


class SignatureError(ValueError):
    """A DKIM-Signature field cannot be used; says why."""


@dataclass(frozen=True, slots=True)
class DkimSignature:
    """What a DKIM-Signature field says.

    `algorithm` is "rsa-sha256" or another, in lower case; `domain` (d=) and `identity` (i=, "" for
    none) are in lower case; `fields` are the names in h=, in lower case and in its order; `length`
    is l=; `signed_at` and `expires_at` (t=, x=) are seconds since the Unix epoch.
    """

    algorithm: str
    domain: str
    selector: str
    fields: tuple[bytes, ...]
    body_hash: bytes
    signature: bytes
    header_form: Canonicalization = Canonicalization.SIMPLE
    body_form: Canonicalization = Canonicalization.SIMPLE
    identity: str = ""
    length: int | None = None
    signed_at: int | None = None
    expires_at: int | None = None


def parse_signature(value: bytes) -> DkimSignature:
    """Read a field's body, folds and all.

    Raises:
        SignatureError: it is none, or against RFC 6376 §3.5 and §6.1.1.

    """
    try:
        tags = parse_tags(value)
    except TagError as error:
        raise SignatureError(str(error)) from None
    for name in _NEEDED:
        if name not in tags:
            raise SignatureError(f"it has no {name.decode()}=")
    if tags[b"v"] != b"1":
        raise SignatureError("its v= is not 1")
    if b"dns/txt" not in tags.get(b"q", b"dns/txt").lower():
        raise SignatureError("its q= names no method that we know")
    header_form, body_form = _forms(tags.get(b"c", b"simple/simple"))
    domain, identity = _domain(tags), _identity(tags)
    if identity and not f".{identity.rpartition('@')[2]}".endswith(f".{domain}"):
        raise SignatureError("its i= is not within d=")
    signed_at, expires_at = _number(tags, b"t"), _number(tags, b"x")
    if signed_at is not None and expires_at is not None and expires_at < signed_at:
        raise SignatureError("its x= is before t=")
    return DkimSignature(
        algorithm=tags[b"a"].decode("ascii", "replace").lower(),
        domain=domain,
        selector=_name_of(tags, b"s"),
        fields=_fields(tags[b"h"]),
        body_hash=_base64(tags, b"bh"),
        signature=_base64(tags, b"b"),
        header_form=header_form,
        body_form=body_form,
        identity=identity,
        length=_number(tags, b"l"),
        signed_at=signed_at,
        expires_at=expires_at,
    )


def without_signature(value: bytes) -> bytes:
    """Return a field's body with its b= emptied, all else as it stands (RFC 6376 §3.7)."""
    found = _B.search(value)
    return value if found is None else value[: found.start(1)] + value[found.end(1) :]


def folded_names(names: Iterable[bytes]) -> bytes:
    """Return h= with its names, folded where a line would pass column 78."""
    lines, line = [], b"\th="
    for index, name in enumerate(names):
        word = b":" + name if index else name
        if len(line) + len(word) >= PREFERRED_LINE:
            lines.append(line)
            line = b"\t"
        line += word
    lines.append(line)
    return b"\r\n".join(lines)


def folded_base64(octets: bytes) -> bytes:
    """Return a signature in base64, folded for the end of a DKIM-Signature field."""
    text = base64.b64encode(octets)
    return b"\r\n\t".join(text[at : at + _STEP] for at in range(0, len(text), _STEP))


def _forms(value: bytes) -> tuple[Canonicalization, Canonicalization]:
    header, _, body = value.decode("ascii", "replace").lower().partition("/")
    try:
        return Canonicalization(header), Canonicalization(body or "simple")
    except ValueError:
        raise SignatureError("its c= names no canonicalization that we know") from None


def _domain(tags: dict[bytes, bytes]) -> str:
    return _name_of(tags, b"d").lower()


def _name_of(tags: dict[bytes, bytes], name: bytes) -> str:
    value = tags[name]
    if not _DOMAIN.fullmatch(value):
        raise SignatureError(f"its {name.decode()}= is no domain name")
    return value.decode("ascii")


def _identity(tags: dict[bytes, bytes]) -> str:
    value = tags.get(b"i", b"")
    if value and b"@" not in value:
        raise SignatureError("its i= is no address")
    return value.decode("utf-8", "replace").lower()


def _number(tags: dict[bytes, bytes], name: bytes) -> int | None:
    value = tags.get(name)
    if value is None:
        return None
    if not _NUMBER.fullmatch(value):
        raise SignatureError(f"its {name.decode()}= is no number")
    return int(value)


def _fields(value: bytes) -> tuple[bytes, ...]:
    names = tuple(name.strip(b" \t\r\n").lower() for name in value.split(b":"))
    if not all(map(_FIELD_NAME.fullmatch, names)):
        raise SignatureError("its h= names no fields")
    if b"from" not in names:
        raise SignatureError("its h= does not name From")
    return names


def _base64(tags: dict[bytes, bytes], name: bytes) -> bytes:
    try:
        octets = base64.b64decode(b"".join(tags[name].split()), validate=True)
    except binascii.Error:
        octets = b""
    if not octets:
        raise SignatureError(f"its {name.decode()}= is no base64")
    return octets
