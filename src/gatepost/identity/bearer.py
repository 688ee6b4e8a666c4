"""Who can say whose a bearer token is: what a login asks of it (RFC 6750)."""

from datetime import datetime
from typing import Protocol


class TokenError(Exception):
    """A token that is not good; says which claim, never the token."""


class TokenIssuerAwayError(Exception):
    """Who could say whether a token is good cannot be reached: 454."""


class Tokens(Protocol):
    """Knows whose a bearer token is."""

    async def holder(self, token: str, at: datetime) -> str:
        """Return the account's name that a token stands for. Raises TokenError,
        TokenIssuerAwayError.
        """
        ...

    def challenge(self) -> bytes:
        """Return the JSON that a refused client is shown (RFC 7628 §3.2.2)."""
        ...
