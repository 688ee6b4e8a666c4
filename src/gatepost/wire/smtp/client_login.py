"""Logging in at somebody else's server (RFC 4954, client side): which mechanism, and its script."""

from base64 import b64decode, b64encode
from binascii import Error as NotBase64Error
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from gatepost.wire.sasl.exchange import (
    ChannelFacts,
    ClientCredentials,
    ClientExchange,
    ClientMechanism,
    Needs,
)
from gatepost.wire.sasl.mechanisms import CLIENTS
from gatepost.wire.smtp.limits import COMMAND_LINE
from gatepost.wire.smtp.login_veil import LoginVeil
from gatepost.wire.smtp.reply_reader import ServerReply

#: Of somebody who has no nonce either.
WITHOUT_FACTS: Final = ChannelFacts()
_SOME_PASSWORD: Final = ClientCredentials("somebody", "something")
_UNPROVEN: Final = "the server did not prove that it knows the password"
_LONGEST_WORDS: Final = 300


def choose_mechanism(
    offered: Iterable[str],
    wanted: str | None = None,
    credentials: ClientCredentials | None = None,
    facts: ChannelFacts = WITHOUT_FACTS,
) -> str | None:
    """Return the strongest mechanism that both sides have, or `wanted` if the server offers it.

    `credentials` None: a password that is not known yet. None comes back where they have none in
    common for which we have what it takes.
    """
    names = set(offered)
    has = credentials or _SOME_PASSWORD
    for name, mechanism in CLIENTS.items():
        if name in names and wanted in {None, name} and _is_possible(mechanism, has, facts):
            return name
    return None


def _is_possible(
    mechanism: ClientMechanism, credentials: ClientCredentials, facts: ChannelFacts
) -> bool:
    if mechanism.binds_channel and facts.exporter is None:
        return False  # a server with PLUS need not know "tls-server-end-point"
    if mechanism.proves_server and not facts.nonce:
        return False
    match mechanism.needs:
        case Needs.PASSWORD:
            return bool(credentials.password)
        case Needs.TOKEN:
            return bool(credentials.token)
        case Needs.CERTIFICATE:
            return not (credentials.password or credentials.token)


class Login:
    """One AUTH of ours as it goes on.

    `words`: what the server let us know beside its reply (RFC 7628 §3.2.2), or why we left it; ""
    for nothing. `veil` hides what was said from then on.
    """

    __slots__ = ("_exchange", "_mechanism", "_over", "_unsaid", "veil", "words")

    def __init__(self, name: str, credentials: ClientCredentials, facts: ChannelFacts) -> None:
        self._mechanism = CLIENTS[name]
        self._exchange: ClientExchange = self._mechanism.respond(credentials, facts)
        self._unsaid: bytes | None = None
        self._over = False
        self.words = ""
        self.veil = LoginVeil(credentials)

    @property
    def is_over(self) -> bool:
        """Whether we have left it: nothing more is to be said."""
        return self._over

    def begin(self) -> bytes:
        """Return the AUTH command's arguments.

        An initial response that would make the line too long waits to be asked for (RFC 4954 §4).
        """
        name = self._mechanism.name.encode("ascii")
        initial = next(self._exchange)
        if initial is None:
            return name
        line = name + b" " + (self._spelt(initial) or b"=")
        if len(line) + len(b"AUTH ") > COMMAND_LINE:
            self._unsaid = initial
            return name
        return line

    def respond(self, reply: ServerReply) -> bytes:
        """Answer a 334, encoded; "*" (RFC 4954 §4) where it makes no sense."""
        if self._unsaid is not None:
            initial, self._unsaid = self._unsaid, None
            return self._spelt(initial)
        octets = _decoded(reply.text)
        if octets is None or self._over:
            return self._leave("what the server asked was not understood")
        if self._mechanism.needs is Needs.TOKEN:
            words = octets[: 4 * _LONGEST_WORDS].decode("utf-8", "replace")
            self.words = self.veil.over(words)[:_LONGEST_WORDS]
        try:
            response = self._exchange.send(octets)
        except StopIteration:
            if self._mechanism.proves_server:
                return self._leave(_UNPROVEN)
            return self._leave("the server asked more than there is to say")
        return self._spelt(response or b"")

    def may_succeed(self) -> bool:
        """Judge the server's 235: where it should have proven itself, has it?"""
        if self._over:
            return False
        try:
            self._exchange.send(b"")
        except StopIteration as end:
            proven = bool(end.value)
        else:
            proven = False
        self._over = True
        if self._mechanism.proves_server and not proven:
            self.words = _UNPROVEN
            return False
        return True

    def _spelt(self, octets: bytes) -> bytes:
        line = b64encode(octets)
        self.veil.note(line)
        return line

    def _leave(self, words: str) -> bytes:
        self._over = True
        self.words = words
        return b"*"


def _decoded(text: str) -> bytes | None:
    """Return what a 334 asks; None when it is not base64 (RFC 4954 §4)."""
    try:
        return b64decode(text.strip(), validate=True)
    except (NotBase64Error, ValueError):
        return None


def choose_login(
    offered: Sequence[str],
    wanted: str | None,
    credentials: ClientCredentials,
    facts: ChannelFacts,
) -> Login | None:
    """Return a login by the mechanism of `choose_mechanism`, None where there is none."""
    chosen = choose_mechanism(offered, wanted, credentials, facts)
    if chosen is None:
        return None
    offers_plus = any(name.endswith("-PLUS") for name in offered)
    return Login(chosen, credentials, replace(facts, offers_plus=offers_plus))
