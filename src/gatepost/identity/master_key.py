"""The master key: what must be readable again, or the same for ever, hangs on it (decision 12).

One file of 32 random octets in base64, readable by its owner alone, the same on every node. From
it come, each by its own label, the key that seals recoverable secrets (AES-256-GCM, NIST SP
800-38D), the one that makes SCRAM salts, and the one of tokens that strangers carry (AES-256-SIV, RFC
5297). Whoever has the file and the database has the CRAM-MD5
passwords; whoever has one of the two has none.
"""

import base64
import binascii
import hmac
import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV

from gatepost.model.ids import AccountName
from gatepost.model.secret import Secret
from gatepost.store.segments import sync_directory

_LENGTH: Final = 32
_NONCE: Final = 12
_SALT: Final = 16
#: Says how a text was sealed.
_PREFIX: Final = "gcm1:"


class MasterKeyError(Exception):
    """The key cannot be read or made, or does not open what was sealed. Says the mend."""


class NoMasterKeyError(MasterKeyError):
    """There is no such file."""


class MasterKey:
    """Seals, opens, salts and makes tokens. Its repr shows nothing."""

    __slots__ = ("_salting", "_sealing", "_tokens", "mark")

    def __init__(self, octets: bytes) -> None:
        """Take 32 octets. Raises MasterKeyError for any other number."""
        if len(octets) != _LENGTH:
            raise MasterKeyError(f"the master key has {len(octets)} octets, not {_LENGTH}")
        self._sealing = AESGCM(hmac.digest(octets, b"gatepost seal 1", "sha256"))
        self._salting = hmac.digest(octets, b"gatepost scram salt 1", "sha256")
        #: Tells this key from others and nothing else: 63 bits of a keyed hash, for the store.
        self.mark = int.from_bytes(hmac.digest(octets, b"gatepost mark 1", "sha256")[:8]) >> 1
        self._tokens = AESSIV(hmac.digest(octets, b"gatepost token 1", "sha512"))

    def __repr__(self) -> str:
        return "MasterKey()"

    def salt(self, name: AccountName) -> bytes:
        """Return the SCRAM salt of a name: always the same 16 octets, whether there is such an
        account or not, so that nobody sees when one is added (decision 17).
        """
        return hmac.digest(self._salting, name.encode("utf-8", "surrogatepass"), "sha256")[:_SALT]

    def seal(self, text: str, context: str) -> Secret:
        """Return `text` encrypted; only the same `context` (whose it is) opens it again."""
        nonce = os.urandom(_NONCE)
        sealed = nonce + self._sealing.encrypt(nonce, text.encode(), context.encode())
        return Secret(_PREFIX + base64.b64encode(sealed).decode())

    def open(self, sealed: Secret, context: str) -> str:
        """Return what was sealed.

        Raises:
            MasterKeyError: another key sealed it, for another context, or it was changed since.

        """
        text = sealed.reveal()
        try:
            octets = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
            opened = self._sealing.decrypt(octets[:_NONCE], octets[_NONCE:], context.encode())
        except (InvalidTag, ValueError, binascii.Error):
            msg = "the master key does not open this secret: was the file replaced?"
            raise MasterKeyError(msg) from None
        return opened.decode()

    def token(self, text: str, context: str) -> str:
        """Return `text` as a token for a URL: nobody else reads it, or makes one. The same text and
        context have always the same token, so that no count of messages wears the key out.
        """
        sealed = self._tokens.encrypt(text.encode(), [context.encode()])
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def read_token(self, token: str, context: str) -> str | None:
        """Return what a token of ours says, None for any other; checked in constant time."""
        try:
            sealed = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
            return self._tokens.decrypt(sealed, [context.encode()]).decode()
        except (InvalidTag, ValueError):
            return None


def read_master_key(path: Path) -> MasterKey:
    """Read the key. Call it as the owner of the state.

    Raises:
        NoMasterKeyError: there is no such file.
        MasterKeyError: it cannot be read, others may read it, or it is none.

    """
    try:
        mode = path.stat().st_mode
        text = path.read_text("ascii")
    except FileNotFoundError:
        raise NoMasterKeyError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as problem:
        words = getattr(problem, "strerror", None) or "it is not text"
        msg = f"{path}: {words.lower()}; the user that runs gatepost must be able to read it"
        raise MasterKeyError(msg) from None
    if mode & 0o077:
        raise MasterKeyError(f"{path}: others may read it; chmod 600 {path}")
    try:
        return MasterKey(base64.b64decode(text.strip(), validate=True))
    except (ValueError, MasterKeyError):
        msg = f"{path}: this is no master key (32 octets in base64); restore it from a backup"
        raise MasterKeyError(msg) from None


def make_master_key(path: Path) -> bool:
    """Make a new key, readable by its owner alone; False when the file is there already.

    Raises:
        MasterKeyError: it cannot be written.

    """
    try:
        return _make(path)
    except OSError as problem:
        words = (problem.strerror or str(problem)).lower()
        msg = f"{path}: {words}; the user that runs gatepost must be able to make it"
        raise MasterKeyError(msg) from None


def _make(path: Path) -> bool:
    if path.exists():
        return False
    # Whole or not at all, and the first of several processes wins.
    new = path.with_name(f".{path.name}.{os.getpid()}")
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(file, "wb") as opened:
        opened.write(base64.b64encode(os.urandom(_LENGTH)) + b"\n")
        opened.flush()
        os.fsync(opened.fileno())
    try:
        os.link(new, path)
        sync_directory(path.parent)  # the store will remember it from now on
    except FileExistsError:
        return False
    finally:
        new.unlink()
    return True
