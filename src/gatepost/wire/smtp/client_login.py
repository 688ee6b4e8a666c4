"""Logging in at somebody else's server (RFC 4954, client side): PLAIN (RFC 4616) and LOGIN.

A mechanism is a generator that yields responses and is sent challenges.
"""

from base64 import b64decode, b64encode
from binascii import Error as NotBase64Error
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Final

from gatepost.wire.smtp.reply_reader import ServerReply

#: Yields what to say (already base64), is sent each challenge (decoded).
Responses = Generator[bytes, bytes, None]


def choose_mechanism(offered: Iterable[str], wanted: str | None = None) -> str | None:
    """Return the strongest mechanism that both sides have, or `wanted` if the server offers it.

    None: they have none in common.
    """
    names = set(offered)
    if wanted is not None:
        return wanted if wanted in names and wanted in _MECHANISMS else None
    return next((m for m in _MECHANISMS if m in names), None)


def start_login(mechanism: str, username: str, password: str) -> Responses:
    """Return the exchange; its first item is the octets of the AUTH command's arguments."""
    return _MECHANISMS[mechanism](username, password)


def read_challenge(reply: ServerReply) -> bytes | None:
    """Return what a 334 asks, decoded; None when it is not base64 (RFC 4954 §4)."""
    try:
        return b64decode(reply.text.strip(), validate=True)
    except (NotBase64Error, ValueError):
        return None


def _plain(username: str, password: str) -> Responses:
    """RFC 4616: an empty authzid, authcid and password between NULs, as initial response."""
    yield b"PLAIN " + b64encode(f"\0{username}\0{password}".encode())


def _login(username: str, password: str) -> Responses:
    """Two questions whose words nobody agrees on: the order tells."""
    yield b"LOGIN"
    yield b64encode(username.encode())
    yield b64encode(password.encode())


#: Strongest first.
_MECHANISMS: Final[Mapping[str, Callable[[str, str], Responses]]] = {
    "PLAIN": _plain,
    "LOGIN": _login,
}
