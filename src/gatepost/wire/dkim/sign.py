"""Sign a message with all keys of a domain, the body read once (RFC 6376 §5, RFC 8463).

Always relaxed/relaxed, never l= (RFC 6376 §8.2). Content is not touched: signatures are fields to
put before it.
"""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from gatepost.wire.dkim.canonical import relaxed_field
from gatepost.wire.dkim.signature import NAME, folded_base64, folded_names
from gatepost.wire.message.header import Header
from gatepost.wire.records.dkim_key import KeyType

#: Bits that a signer must (RFC 8301 §3.2) and a verifier need not surpass.
LEAST_RSA: Final = 1024
GOOD_RSA: Final = 2048
MOST_RSA: Final = 4096

#: Listed once more than they occur, even where they do not: nobody adds one unseen (§8.15).
_ALWAYS: Final = (b"from", b"to", b"cc", b"subject", b"reply-to")
#: Listed once more than they occur, where they do. Others on the way may well add one.
_WHERE_PRESENT: Final = (
    b"sender", b"date", b"message-id", b"mime-version", b"content-type",
    b"content-transfer-encoding", b"list-unsubscribe", b"list-unsubscribe-post",
)  # fmt: skip
#: Listed as often as they occur (RFC 6376 §5.4.1).
_AS_THEY_ARE: Final = (
    b"in-reply-to", b"references", b"resent-date", b"resent-from", b"resent-sender", b"resent-to",
    b"resent-cc", b"resent-message-id", b"list-id", b"list-help", b"list-subscribe", b"list-post",
    b"list-owner", b"list-archive", b"feedback-id", b"auto-submitted", b"content-language",
)  # fmt: skip
_SIGNED: Final = frozenset((*_ALWAYS, *_WHERE_PRESENT, *_AS_THEY_ARE))
_OVERSIGNED: Final = frozenset((*_ALWAYS, *_WHERE_PRESENT))

_PADDING: Final = padding.PKCS1v15()
_SHA256: Final = hashes.SHA256()


class BadKeyError(ValueError):
    """A private key that cannot sign; says why."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key, parsed once, with where its public half stands. Its repr shows no secret."""

    domain: str
    selector: str
    key: RSAPrivateKey | Ed25519PrivateKey

    @property
    def key_type(self) -> KeyType:
        """Return the sort of the key."""
        return KeyType.RSA if isinstance(self.key, RSAPrivateKey) else KeyType.ED25519

    @property
    def public(self) -> bytes:
        """Return the public key as a key record holds it."""
        public = self.key.public_key()
        if self.key_type is KeyType.RSA:
            spki = serialization.PublicFormat.SubjectPublicKeyInfo
            return public.public_bytes(serialization.Encoding.DER, spki)
        return public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


@dataclass(frozen=True, slots=True)
class SigningTime:
    """When a message is signed, and from when the signature shall be good no more: seconds since
    the Unix epoch.
    """

    signed_at: int
    expires_at: int | None = None


def parse_private_key(pem: bytes) -> RSAPrivateKey | Ed25519PrivateKey:
    """Read a private key in PEM, RSA or Ed25519.

    Raises:
        BadKeyError: it is none, it has a password, or its size is out of bounds.

    """
    try:
        key = serialization.load_pem_private_key(pem, None)
    except TypeError:
        raise BadKeyError("the key is protected by a password") from None
    except ValueError:
        raise BadKeyError("this is no private key in PEM") from None
    if isinstance(key, RSAPrivateKey):
        if not LEAST_RSA <= key.key_size <= MOST_RSA:
            words = f"an RSA key of {key.key_size} bits; it needs {GOOD_RSA}, at most {MOST_RSA}"
            raise BadKeyError(words)
        return key
    if isinstance(key, Ed25519PrivateKey):
        return key
    raise BadKeyError("the key is neither RSA nor Ed25519")


def sign(
    content: bytes,
    header: Header,
    body_hash: bytes,
    keys: Iterable[SigningKey],
    time: SigningTime,
) -> bytes:
    """Return one DKIM-Signature field per key, ready to be put before the message.

    Args:
        content: the header section at least, in which `header` was found.
        header: where its fields are.
        body_hash: of the relaxed body (`canonical.body_hash`), shared by all keys.
        keys: who signs; each signature is good without the others.
        time: t= and x=.

    """
    chosen = [index for index, name in enumerate(header.names) if name in _SIGNED]
    chosen.reverse()  # of several, the lowest comes first (RFC 6376 §5.4.2)
    names = tuple([header.names[index] for index in chosen])
    starts = header.starts
    lines = []
    for name, index in zip(names, chosen, strict=True):
        value = content[starts[index] + len(name) + 1 : starts[index + 1]]
        lines.append(relaxed_field(name, value))
    lines.append(b"")
    signed = b"\r\n".join(lines)
    listed = _listed(names) if len(names) <= _MOST_KNOWN else _list(names)
    bh = base64.b64encode(body_hash)
    when = b"t=%d;" % time.signed_at
    if time.expires_at is not None:
        when += b" x=%d;" % time.expires_at
    fields = []
    for key in keys:
        value = (
            b" v=1; a=%s-sha256; c=relaxed/relaxed;\r\n\td=%s; s=%s;\r\n\t%s\r\n%s;\r\n\tbh=%s;\r\n\tb="
            % (
                key.key_type.value.encode(),
                key.domain.encode("ascii"),
                key.selector.encode("ascii"),
                when,
                listed,
                bh,
            )
        )
        octets = sign_octets(key.key, signed + relaxed_field(b"dkim-signature", value))
        fields.append(b"%s:%s%s\r\n" % (NAME, value, folded_base64(octets)))
    return b"".join(fields)


def sign_octets(key: RSAPrivateKey | Ed25519PrivateKey, octets: bytes) -> bytes:
    """Return the signature of canonical octets; RSA lets other threads run meanwhile."""
    if isinstance(key, RSAPrivateKey):
        return key.sign(octets, _PADDING, _SHA256)
    return key.sign(hashlib.sha256(octets).digest())  # RFC 8463 §3: Ed25519 signs the hash


#: So many names are remembered with how they are listed; the same programs send the same fields.
_MOST_KNOWN: Final = 40


@lru_cache(maxsize=512)
def _listed(names: Sequence[bytes]) -> bytes:
    return _list(names)


def _list(names: Sequence[bytes]) -> bytes:
    """Return h= for the names of the fields that are there, the lowest first, and once more."""
    present = dict.fromkeys(name for name in reversed(names) if name in _OVERSIGNED)
    return folded_names((*names, *dict.fromkeys((*_ALWAYS, *present))))
