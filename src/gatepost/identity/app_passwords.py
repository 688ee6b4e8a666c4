"""App passwords: made by us, 160 random bits each, so that a fast hash is enough.

Nobody guesses 2^160, however fast each guess is; argon2 would only make every login dear. Each has
its own salt, so that equal ones (or a leaked list) are not seen at a glance.
"""

import base64
import hashlib
import hmac
import os
from typing import Final

from gatepost.model.secret import Secret

_OCTETS: Final = 20
_SALT: Final = 16
_PREFIX: Final = "$blake2b$"


def new_app_password(random: bytes | None = None) -> Secret:
    """Return a new one: 32 letters and digits, without any that SASLprep would change."""
    return Secret(base64.b32encode(random or os.urandom(_OCTETS)).decode().lower())


def hash_app_password(secret: Secret) -> Secret:
    """Return its verifier: "$blake2b$SALT$HASH" in base64."""
    salt = os.urandom(_SALT)
    digest = _digest(secret.reveal(), salt)
    return Secret(f"{_PREFIX}{_text(salt)}${_text(digest)}")


def verify_app_password(verifier: Secret, given: str) -> bool:
    """Tell whether `given` (prepared) belongs to a verifier; takes microseconds."""
    text = verifier.reveal()
    if not text.startswith(_PREFIX):
        return False
    salt, _, digest = text.removeprefix(_PREFIX).partition("$")
    return hmac.compare_digest(_digest(given, base64.b64decode(salt)), base64.b64decode(digest))


def _digest(secret: str, salt: bytes) -> bytes:
    return hashlib.blake2b(secret.encode("utf-8", "surrogatepass"), salt=salt).digest()


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode()
