"""Hides in what a server says what was said to it in AUTH: "500 unrecognized: AUTH PLAIN …" would carry
an operator's password into reports, journals and traces that others read.
"""

import re
from typing import Final

from gatepost.wire.sasl.exchange import ClientCredentials
from gatepost.wire.smtp.reply_reader import ServerReply
from gatepost.wire.values import changed

#: Stands where a secret stood.
HIDDEN: Final = "<secret>"
#: So many characters in a row that were said are no chance; what is shorter is hidden when it is whole.
_TELLING: Final = 8
#: A secret that is shorter may be a word.
_SHORT: Final = 12
_RUN: Final = re.compile(r"[A-Za-z0-9+/=._~-]{8,}")
#: More of a reply is told nowhere.
_LONGEST: Final = 1000


class LoginVeil:
    """Over one session. It knows the secrets, and each line of AUTH as it was said."""

    __slots__ = ("_said", "_short", "_whole")

    def __init__(self, credentials: ClientCredentials) -> None:
        secrets = [s for s in (credentials.password, credentials.token) if s]
        self._said = "\n".join(secrets).casefold()
        made = [(len(s), re.compile(re.escape(s), re.IGNORECASE)) for s in secrets]
        self._short = [one for length, one in made if length < _SHORT]
        self._whole = [one for length, one in made if length >= _SHORT]

    def note(self, line: bytes) -> None:
        """Take note of base64 that was said (RFC 4954 §4)."""
        text = line.decode("ascii")
        self._said += "\n" + text.casefold()
        if 0 < len(text) < _TELLING:
            self._short.append(re.compile(re.escape(text)))

    def over(self, text: str) -> str:
        """Return a text without what was said, whole or in part, whatever its case. Nothing is left of
        one with a short secret: what stands around it would tell it.
        """
        for secret in self._short:
            if secret.search(text):
                return HIDDEN
        for secret in self._whole:
            text = secret.sub(HIDDEN, text)
        return _RUN.sub(self._judge, text)

    def over_reply(self, reply: ServerReply) -> ServerReply:
        """Return a reply without what was said."""
        text = reply.text[:_LONGEST]
        veiled = self.over(text)
        return reply if veiled == text else changed(reply, lines=(veiled,))

    def _judge(self, run: re.Match[str]) -> str:
        word = run[0].casefold()
        for begin in range(len(word) - _TELLING + 1):
            if word[begin : begin + _TELLING] in self._said:
                return HIDDEN
        return run[0]
