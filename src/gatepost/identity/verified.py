"""Passwords that were right a moment ago: a login on every connection costs argon2 only once.

What is kept is a hash (BLAKE2b) under a key that this process made and never writes down, over
name, password and verifier. So an entry opens nothing elsewhere, and dies with the verifier: a
changed password finds no entry.
"""

import os
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta
from hashlib import blake2b

from gatepost.model.ids import AccountName
from gatepost.model.secret import Secret


class VerifiedCredentials:
    """Remembers at most `size` right passwords, each for `lifetime`."""

    def __init__(
        self,
        *,
        lifetime: timedelta = timedelta(minutes=5),
        size: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key = os.urandom(32)
        self._lifetime = lifetime.total_seconds()
        self._size = size
        self._clock = clock
        self._ends: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._ends)

    def knows(self, name: AccountName, password: str, verifier: Secret) -> bool:
        """Tell whether these were found right a moment ago."""
        mark = self.mark(name, password, verifier)
        ends = self._ends.get(mark)
        if ends is None:
            return False
        if ends <= self._clock():
            del self._ends[mark]
            return False
        return True

    def remember(self, name: AccountName, password: str, verifier: Secret) -> None:
        """Keep that these were found right just now."""
        mark = self.mark(name, password, verifier)
        self._ends[mark] = self._clock() + self._lifetime
        self._ends.move_to_end(mark)
        while len(self._ends) > self._size:
            self._ends.popitem(last=False)

    def forget(self) -> None:
        """Drop everything, and the key with it."""
        self._ends.clear()
        self._key = os.urandom(32)

    def mark(self, name: AccountName, password: str, verifier: Secret) -> bytes:
        """Return what stands for the three of them, in this process only."""
        # Prepared names and passwords hold no NUL (RFC 4013 §2.3), so that the parts stay apart.
        text = f"{name}\0{password}\0{verifier.reveal()}"
        # (HMAC by OpenSSL takes ten times as long: it looks its parts up for each call.)
        octets = text.encode("utf-8", "surrogatepass")
        return blake2b(octets, digest_size=32, key=self._key).digest()
