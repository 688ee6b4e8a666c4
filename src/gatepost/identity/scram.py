"""SCRAM keys as they are stored (RFC 5802 §3): made when a secret is set, kept instead of it.

A StoredKey cannot be logged in with, but guessed at, so that PBKDF2 runs 120 000 rounds: the 4096
of RFC 7677 §4 would undo argon2id (decision 17).
"""

import base64
import os
from typing import Final

from gatepost.identity.directory import Entry
from gatepost.identity.legacy import is_current
from gatepost.identity.verdict import is_foreign
from gatepost.model.account import Credential, CredentialKind
from gatepost.model.secret import Secret
from gatepost.wire.sasl import scram_keys
from gatepost.wire.sasl.exchange import Algorithm, ScramKeys, ScramOffer

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


def offer_of(
    entry: Entry | None, algorithm: Algorithm, salt: bytes
) -> tuple[ScramOffer, tuple[Credential, ...]]:
    """Return what a client is told, and whose the first keys in it are, in order; behind them are nobody's,
    so that the time in which a proof is refused does not tell whether there is such an account. `salt`
    is for who has none: it stays the same for a name.
    """
    iterations = ITERATIONS
    keys: list[ScramKeys] = []
    offered: list[Credential] = []
    if entry is not None and entry.account.salt:
        salt, iterations = entry.account.salt, entry.account.iterations
        for credential in entry.credentials:
            found = keys_for(credential.scram, algorithm) if credential.scram else None
            if found is not None:
                keys.append(found)
                offered.append(credential)
    while len(keys) < _LEAST and (nobodys := keys_for(_NOBODYS, algorithm)):
        keys.append(nobodys)
    return ScramOffer(salt, iterations, tuple(keys)), tuple(offered)


def why_no_keys(entry: Entry) -> str:
    """Return why an account cannot be checked by SCRAM, and the mend."""
    mains = [c for c in entry.credentials if c.kind is CredentialKind.PASSWORD]
    if any(is_foreign(credential.id) for credential in mains):
        return f'directory "{mains[0].label}" has none for it: PLAIN or LOGIN checks its password'
    if any(not is_current(credential.verifier) for credential in mains):
        return "its password was imported: one login with PLAIN makes the keys"
    return "set its password anew, and the keys are made"


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


#: So many secrets are compared for each proof: a password and three app passwords.
_LEAST: Final = 4
#: No password gives these.
_NOBODYS: Final = Secret(
    " ".join(
        f"{algorithm}:{_text(os.urandom(size))}:{_text(os.urandom(size))}"
        for algorithm in _ALGORITHMS
        for size in (scram_keys.digest_size(algorithm),)
    )
)
