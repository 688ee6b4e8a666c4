"""DKIM key records: what stands at SELECTOR._domainkey.DOMAIN (RFC 6376 §3.6.1, RFC 8463 §4)."""

import base64
import binascii
from dataclasses import dataclass
from enum import StrEnum

from gatepost.wire.dkim.tags import TagError, parse_tags


class KeyType(StrEnum):
    """The sort of a key (RFC 6376 §3.6.1, RFC 8463 §3)."""

    RSA = "rsa"
    ED25519 = "ed25519"


@dataclass(frozen=True, slots=True)
class DkimKeyRecord:
    """A key record.

    `public` is the key: DER for RSA, 32 octets for Ed25519, b"" for a key that was revoked. `hashes`
    and `services` are what it is good for, () for all. `testing`: failed signatures are no worse
    than none (t=y). `strict`: i= must have the domain of d= itself (t=s).
    """

    key_type: str
    public: bytes
    hashes: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    testing: bool = False
    strict: bool = False


class KeyRecordError(ValueError):
    """A text is no key record; says why."""


def key_name(selector: str, domain: str) -> str:
    """Return the name at which the record of a selector stands."""
    return f"{selector}._domainkey.{domain}"


def parse_dkim_key(text: str) -> DkimKeyRecord:
    """Read a key record, its strings joined.

    Raises:
        KeyRecordError: it is none.

    """
    try:
        tags = parse_tags(text.encode("utf-8", "replace"))
        public = base64.b64decode(b"".join(tags[b"p"].split()), validate=True)
    except TagError as error:
        raise KeyRecordError(str(error)) from None
    except KeyError:
        raise KeyRecordError("it has no p=") from None
    except binascii.Error:
        raise KeyRecordError("its p= is no base64") from None
    if tags.get(b"v", b"DKIM1") != b"DKIM1" or (b"v" in tags and next(iter(tags)) != b"v"):
        raise KeyRecordError("its v= is not DKIM1 at its beginning")
    flags = _list(tags.get(b"t", b""))
    services = _list(tags.get(b"s", b"*"))
    return DkimKeyRecord(
        key_type=tags.get(b"k", b"rsa").decode("ascii", "replace").lower(),
        public=public,
        hashes=_list(tags.get(b"h", b"")),
        services=() if "*" in services else services,
        testing="y" in flags,
        strict="s" in flags,
    )


def dkim_key_text(key_type: KeyType, public: bytes) -> str:
    """Return the record to publish for a public key."""
    return f"v=DKIM1; k={key_type.value}; p={base64.b64encode(public).decode()}"


def _list(value: bytes) -> tuple[str, ...]:
    return tuple(
        w.strip().lower() for w in value.decode("ascii", "replace").split(":") if w.strip()
    )
