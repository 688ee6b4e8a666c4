"""SCRAM keys as they are stored (RFC 5802 §3): made when a secret is set, kept instead of it.

A StoredKey cannot be logged in with, but guessed at, so that PBKDF2 runs 120 000 rounds: the 4096
of RFC 7677 §4 would undo argon2id (decision 17).
"""

import base64
from typing import Final

from gatepost.model.secret import Secret
from gatepost.wire.sasl import scram_keys
from gatepost.wire.sasl.exchange import Algorithm, ScramKeys

ITERATIONS: Final = 120_000
_ALGORITHMS: Final[tuple[Algorithm, ...]] = ("SHA-1", "SHA-256")


def derive_keys(password: str, salt: bytes, iterations: int = ITERATIONS) -> Secret:
    """Return the keys of a prepared password for every algorithm:
    "SHA-1:STORED:SERVER SHA-256:STORED:SERVER" in base64. Takes about 0.1 s.
    """
    parts = []
    for algorithm in _ALGORITHMS:
        keys = scram_keys.derive_keys(algorithm, password, salt, iterations)
        parts.append(f"{algorithm}:{_text(keys.stored_key)}:{_text(keys.server_key)}")
    return Secret(" ".join(parts))


def keys_for(stored: Secret, algorithm: Algorithm) -> ScramKeys | None:
    """Return the keys of one algorithm; None when they were not derived for it."""
    for part in stored.reveal().split(" "):
        name, _, keys = part.partition(":")
        if name == algorithm:
            stored_key, _, server_key = keys.partition(":")
            return ScramKeys(base64.b64decode(stored_key), base64.b64decode(server_key))
    return None


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode()
