"""What SCRAM computes (RFC 5802 §3): keys from a password, signatures and proofs from keys."""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gatepost.wire.sasl.exchange import Algorithm, ScramKeys

_HASHES: Final[dict[Algorithm, str]] = {"SHA-1": "sha1", "SHA-256": "sha256"}


@dataclass(frozen=True, slots=True, repr=False)
class ClientKeys:
    """What only those have who know the password: enough to make a proof."""

    client_key: bytes
    server_key: bytes


def derive_client_keys(
    algorithm: Algorithm, password: str, salt: bytes, iterations: int
) -> ClientKeys:
    """Return ClientKey and ServerKey; `password` is prepared already.

    Slow on purpose, without holding the interpreter: some 60 ms for 120 000 rounds.
    """
    name = _HASHES[algorithm]
    salted = hashlib.pbkdf2_hmac(name, password.encode("utf-8"), salt, iterations)
    return ClientKeys(
        hmac.digest(salted, b"Client Key", name), hmac.digest(salted, b"Server Key", name)
    )


def derive_keys(algorithm: Algorithm, password: str, salt: bytes, iterations: int) -> ScramKeys:
    """Return what a server keeps: StoredKey and ServerKey. As slow as `derive_client_keys`."""
    keys = derive_client_keys(algorithm, password, salt, iterations)
    stored = hashlib.new(_HASHES[algorithm], keys.client_key).digest()
    return ScramKeys(stored, keys.server_key)


def client_proof(algorithm: Algorithm, client_key: bytes, auth_message: bytes) -> bytes:
    """Return ClientProof = ClientKey XOR HMAC(H(ClientKey), AuthMessage)."""
    stored_key = hashlib.new(_HASHES[algorithm], client_key).digest()
    return _xor(client_key, hmac.digest(stored_key, auth_message, _HASHES[algorithm]))


def server_signature(algorithm: Algorithm, server_key: bytes, auth_message: bytes) -> bytes:
    """Return ServerSignature = HMAC(ServerKey, AuthMessage)."""
    return hmac.digest(server_key, auth_message, _HASHES[algorithm])


def find_proven(
    algorithm: Algorithm, keys: Iterable[ScramKeys], auth_message: bytes, proof: bytes
) -> int | None:
    """Return which keys a proof was made with; None: with none of them. Looks at all of them."""
    name = _HASHES[algorithm]
    found = None
    for number, each in enumerate(keys):
        client_key = _xor(proof, hmac.digest(each.stored_key, auth_message, name))
        stored_key = hashlib.new(name, client_key).digest()
        if hmac.compare_digest(stored_key, each.stored_key) and found is None:
            found = number
    return found


def digest_size(algorithm: Algorithm) -> int:
    """Return how many octets keys, signatures and proofs have."""
    return hashlib.new(_HASHES[algorithm]).digest_size


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
