"""Hashes that other systems made, so that nobody has to choose a new password on moving here.

Known: argon2, bcrypt ("$2b$…"), SHA-crypt ("$5$…", "$6$…"), salted and plain SHA of directories
("{SSHA}…", RFC 2307 §5.3, and its SHA-2 kin), all of them also behind a Dovecot prefix
("{BLF-CRYPT}$2y$…"). The first login that proves one replaces it (`rehash`). bcrypt and SHA-crypt
need the extra `legacy`.
"""

import base64
import binascii
import hashlib
import hmac
import re
from typing import Final

from gatepost.identity.passwords import verify_password as verify_argon2
from gatepost.model.secret import Secret

_PREFIX: Final = re.compile(r"\{([A-Z0-9.-]+)\}(.+)", re.ASCII | re.IGNORECASE | re.DOTALL)
#: {SCHEME}: hash, length of the digest; what follows the digest is salt.
_SHA: Final = {
    "SHA": ("sha1", 20),
    "SSHA": ("sha1", 20),
    "SHA256": ("sha256", 32),
    "SSHA256": ("sha256", 32),
    "SHA512": ("sha512", 64),
    "SSHA512": ("sha512", 64),
}
#: Dovecot's names for what says itself what it is.
_CRYPT: Final = {"CRYPT", "BLF-CRYPT", "SHA256-CRYPT", "SHA512-CRYPT", "ARGON2I", "ARGON2ID"}
_CLEAR: Final = {"PLAIN", "CLEAR", "CLEARTEXT"}
_BCRYPT: Final = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}", re.ASCII)
_SHA_CRYPT: Final = re.compile(
    r"\$[56]\$(?:rounds=(\d{1,9})\$)?[^$:\s]{0,16}\$[./A-Za-z0-9]{43,86}", re.ASCII
)
_ARGON2: Final = re.compile(r"\$argon2id?\$v=19\$m=(\d{1,8}),t=(\d{1,3}),p=(\d{1,2})\$[^$]+\$[^$]+")
#: bcrypt looks at so many octets, and its library refuses more.
_BCRYPT_OCTETS: Final = 72
#: What would hold a thread for longer than a second is refused when it is imported.
_MOST_BCRYPT: Final = 14
_MOST_ROUNDS: Final = 1_000_000
_MOST_MEMORY: Final = 1 << 20


def read_hash(text: str) -> Secret:
    """Return an imported hash as a verifier.

    Raises:
        ValueError: not one that we know, too dear to check, or the extra `legacy` is missing.

    """
    text = text.strip()
    if found := _PREFIX.fullmatch(text):
        scheme, rest = found[1].upper().removesuffix(".B64"), found[2]
        if scheme in _SHA:
            _sha_parts(scheme, rest)
            return Secret(f"{{{scheme}}}{rest}")
        if scheme not in _CRYPT:
            clear = "no hash, but the password" if scheme in _CLEAR else "not known"
            raise ValueError(f"the scheme {{{found[1]}}} is {clear}")
        text = rest
    if found := _ARGON2.fullmatch(text):
        if int(found[1]) > _MOST_MEMORY or int(found[2]) > 100:
            raise ValueError("this argon2 hash is too dear to check at each login")
    elif found := _BCRYPT.fullmatch(text):
        if not 4 <= int(found[1]) <= _MOST_BCRYPT:
            raise ValueError(f"bcrypt with a cost over {_MOST_BCRYPT} is too dear to check")
        _need("bcrypt")
    elif found := _SHA_CRYPT.fullmatch(text):
        if int(found[1] or 5000) > _MOST_ROUNDS:
            raise ValueError(f"more than {_MOST_ROUNDS} rounds are too dear to check")
        _need("passlib")
    else:
        raise ValueError("this is no hash that Gatepost knows")
    return Secret(text)


def is_current(verifier: Secret) -> bool:
    """Tell whether a main password's verifier is of the kind that we make ourselves."""
    return verifier.reveal().startswith("$argon2id$")


def verify_password(verifier: Secret, password: str) -> bool:
    """Tell whether a prepared password belongs to any of the verifiers that we know.

    Raises:
        ValueError: the verifier is damaged, or of a kind that only a newer program knows.
        ImportError: the extra `legacy` is missing.

    """
    text = verifier.reveal()
    if text.startswith("$argon2"):
        return verify_argon2(verifier, password)
    octets = password.encode("utf-8", "surrogatepass")
    if text.startswith("$2"):
        import bcrypt  # noqa: PLC0415 - an extra

        return bool(bcrypt.checkpw(octets[:_BCRYPT_OCTETS], text.encode()))
    if text.startswith(("$5$", "$6$")):
        from passlib.hash import sha256_crypt, sha512_crypt  # noqa: PLC0415 - an extra

        kind = sha256_crypt if text.startswith("$5$") else sha512_crypt
        return bool(kind.verify(password, text))
    if (found := _PREFIX.fullmatch(text)) and found[1] in _SHA:
        name, digest, salt = _sha_parts(found[1], found[2])
        return hmac.compare_digest(hashlib.new(name, octets + salt).digest(), digest)
    msg = "a stored verifier is damaged, or only a newer Gatepost knows its kind"
    raise ValueError(msg)


def _sha_parts(scheme: str, text: str) -> tuple[str, bytes, bytes]:
    name, length = _SHA[scheme]
    try:
        octets = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        octets = b""
    salted = scheme.startswith("SSHA")
    if len(octets) < length or (len(octets) > length) != salted:
        raise ValueError(f"this is no {{{scheme}}} hash")
    return name, octets[:length], octets[length:]


def _need(module: str) -> None:
    from importlib.util import find_spec  # noqa: PLC0415

    if find_spec(module) is None:
        raise ValueError('checking this kind needs more: pip install "gatepost[legacy]"')
