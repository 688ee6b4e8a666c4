"""Two keys of one domain, and what stands in the DNS for them."""

import base64
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gatepost.wire.dkim.canonical import body_hash
from gatepost.wire.dkim.sign import SigningKey, SigningTime, parse_private_key, sign
from gatepost.wire.message.header import Header, scan
from gatepost.wire.records.dkim_key import dkim_key_text, key_name
from tests.wire.dkim.vectors import ED25519_SEED, RSA_PEM

DOMAIN = "football.example.com"
NOW = 1_700_000_000


@cache
def keys() -> tuple[SigningKey, SigningKey]:
    seed = base64.b64decode(ED25519_SEED)
    return (
        SigningKey(DOMAIN, "test", parse_private_key(RSA_PEM)),
        SigningKey(DOMAIN, "brisbane", Ed25519PrivateKey.from_private_bytes(seed)),
    )


def records() -> dict[str, tuple[str, ...]]:
    return {
        key_name(key.selector, key.domain): (dkim_key_text(key.key_type, key.public),)
        for key in keys()
    }


def prefix_for(message: bytes, *, expires_at: int | None = None) -> bytes:
    header = scan(message)
    assert isinstance(header, Header)
    digest = body_hash((message[header.body :],))
    return sign(message, header, digest, keys(), SigningTime(NOW, expires_at))
