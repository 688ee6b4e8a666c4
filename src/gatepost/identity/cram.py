"""CRAM-MD5's keyed digest (RFC 2195 §2) over secrets that were sealed for it (decision 12)."""

import hmac

from gatepost.identity.master_key import MasterKey, MasterKeyError
from gatepost.model.account import Credential
from gatepost.model.ids import AccountName
from gatepost.model.secret import Secret


def context_of(name: AccountName) -> str:
    """Return whose a sealed secret is: moved to another account's row it does not open."""
    return f"cram-md5 {name}"


class CramChecker:
    """Checks digests. Whoever has no sealed secret costs the same work."""

    def __init__(self, key: MasterKey) -> None:
        self._key = key
        self._nobody = key.seal("nobody's password", context_of(AccountName("")))

    def matching(
        self,
        name: AccountName,
        credentials: tuple[Credential, ...],
        challenge: bytes,
        digest: str,
    ) -> Credential | None:
        """Return the credential that the digest was made with.

        Raises:
            MasterKeyError: a sealed secret cannot be opened.

        """
        found = None
        sealed = [(c, c.recoverable) for c in credentials if c.recoverable]
        if not sealed:
            self._is_digest(self._nobody, AccountName(""), challenge, digest)
        for credential, secret in sealed:
            if self._is_digest(secret, name, challenge, digest):
                found = credential
        return found

    def _is_digest(self, sealed: Secret, name: AccountName, challenge: bytes, digest: str) -> bool:
        password = self._key.open(sealed, context_of(name))
        wanted = hmac.new(password.encode(), challenge, "md5").hexdigest()
        return hmac.compare_digest(wanted.encode(), digest.encode("utf-8", "replace"))


__all__ = ["CramChecker", "MasterKeyError", "context_of"]
