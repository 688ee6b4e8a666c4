"""The keys that an issuer signs with: a JWKS file or URL, or found by discovery (OpenID Connect
Discovery 1.0 §4). Kept, fetched anew when they grow old or when a key is not among them (the issuer
has changed its keys), and good for a day beyond when the issuer is away.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from gatepost.identity.bearer import TokenIssuerAwayError
from gatepost.net.http_client import HttpError, ask_json

#: Seconds: after which keys are fetched anew; for which they are good when that fails; between two
#: fetches for the sake of a key that nobody knows (a stranger can name any).
FRESH: Final = 600.0
STALE: Final = 86_400.0
AGAIN: Final = 5.0

DISCOVERY: Final = "/.well-known/openid-configuration"

Ask = Callable[[str], Awaitable[dict[str, Any]]]


class IssuerKeys:
    """Keys from the network. `where` returns their URL, `ask` fetches JSON."""

    def __init__(
        self,
        *,
        issuer: str | None = None,
        url: str | None = None,
        ask: Ask = ask_json,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._url = url
        self._ask = ask
        self._clock = clock
        self._keys: KeySet | None = None
        self._fetched_at = 0.0
        self._tried_at: float | None = None
        self._trouble = ""
        self._lock = asyncio.Lock()

    async def keys(self, kid: str | None) -> KeySet:
        """Return the issuer's keys, fetched anew if `kid` is not among them; if it still is not,
        the issuer has no such key.

        Raises:
            TokenIssuerAwayError: there are none, or they are too old, or may lack `kid`.

        """
        asked_at = self._clock()
        if self._keys is None or not self._is_fresh() or not _has(self._keys, kid):
            async with self._lock:
                if self._keys is None or not self._is_fresh() or not _has(self._keys, kid):
                    await self._fetch()
        age = self._clock() - self._fetched_at
        if self._keys is None or age > STALE:
            raise TokenIssuerAwayError(self._trouble or "the issuer's keys are not known yet")
        if not _has(self._keys, kid) and (self._trouble or self._fetched_at < asked_at):
            msg = self._trouble or "an unknown key, and the issuer was asked a moment ago"
            raise TokenIssuerAwayError(msg)
        return self._keys

    def _is_fresh(self) -> bool:
        return self._clock() - self._fetched_at < FRESH

    async def _fetch(self) -> None:
        now = self._clock()
        if self._tried_at is not None and now - self._tried_at < AGAIN:
            return
        self._tried_at = now
        try:
            url = self._url or await self._discover()
            self._keys = read_keys(await self._ask(url))
        except (HttpError, ValueError) as problem:
            self._trouble = str(problem)
            # Away is asked again at once by the next one; only made-up key names are held back.
            self._tried_at = None
            return
        self._fetched_at, self._trouble = now, ""

    async def _discover(self) -> str:
        issuer = (self._issuer or "").rstrip("/")
        found = await self._ask(issuer + DISCOVERY)
        url = found.get("jwks_uri")
        if str(found.get("issuer", "")).rstrip("/") != issuer or not isinstance(url, str):
            msg = f"{issuer}{DISCOVERY} is about another issuer, or names no keys"
            raise ValueError(msg)
        if issuer.startswith("https:") and not url.startswith("https:"):
            raise ValueError(f"{issuer}{DISCOVERY} names keys without TLS")
        return url


class FileKeys:
    """Keys from a file, read again when it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._keys: KeySet | None = None

    async def keys(self, kid: str | None) -> KeySet:
        """Return the keys of the file as it is now. `kid` changes nothing.

        Raises:
            TokenIssuerAwayError: it cannot be read, or holds none.

        """
        del kid
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if self._keys is None or stamp != self._stamp:
                self._keys = read_keys(json.loads(self._path.read_bytes()))
                self._stamp = stamp
        except (OSError, ValueError) as problem:
            raise TokenIssuerAwayError(f"{self._path}: {problem}") from problem
        return self._keys


def read_keys(found: Mapping[str, Any]) -> KeySet:
    """Return the public signature keys of a JWKS (RFC 7517 §5); others are passed over.

    Raises:
        ValueError: there is none.

    """
    keys = found.get("keys")
    usable = []
    for key in keys if isinstance(keys, list) else ():
        public = isinstance(key, dict) and key.get("kty") in {"RSA", "EC", "OKP"}
        if public and key.get("use", "sig") == "sig":
            try:
                KeySet.import_key_set({"keys": [key]})
            except (JoseError, ValueError, TypeError, KeyError):
                continue  # RFC 7517 §5: what is not understood is ignored
            usable.append(key)
    if not usable:
        msg = "there is no public signature key in the JWKS"
        raise ValueError(msg)
    return KeySet.import_key_set({"keys": usable})


def _has(keys: KeySet, kid: str | None) -> bool:
    return kid is None or any(key.kid == kid for key in keys.keys)
