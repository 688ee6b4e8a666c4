"""Domains that we send for, and the keys that sign for them (RFC 6376)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gatepost.model.secret import Secret
from gatepost.wire.records.dkim_key import KeyType


class DkimKeyState(StrEnum):
    """Where a key stands in a rotation: to be published first, signing, published for the mail
    that is still under way.
    """

    PENDING = "pending"
    ACTIVE = "active"
    RETIRING = "retiring"


@dataclass(frozen=True, slots=True)
class DkimKey:
    """One key of a domain.

    `private_key` is its PEM, sealed under the master key; `public` what the key record holds: DER
    for RSA, 32 octets for Ed25519. Since `retired_at` it signs no more.
    """

    selector: str
    algorithm: KeyType
    private_key: Secret
    public: bytes
    created_at: datetime
    state: DkimKeyState = DkimKeyState.ACTIVE
    retired_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain whose mail we sign; its name in lower-case A-labels, its keys oldest first.

    `unproven`: accounts asked for it, and none has proven yet that it may: nothing is signed.
    `unpublished`: what is done while its key is not published ("sign", "refuse", "hold"); None: what
    the settings say.
    """

    name: str
    created_at: datetime
    keys: tuple[DkimKey, ...] = ()
    unproven: bool = False
    unpublished: str | None = None

    def in_state(self, state: DkimKeyState) -> tuple[DkimKey, ...]:
        """Return the keys that are in a state."""
        return tuple(key for key in self.keys if key.state is state)


def sealing_context(domain: str, selector: str) -> str:
    """Return for what a private key is sealed: no other key can be put in its place."""
    return f"dkim {selector} {domain}"
