"""What was said and heard over one connection, with the secrets left out: sans-IO.

Each line that we say waits for one reply (RFC 5321 §4.3.1), also where several go out together.
"""

from base64 import b64encode
from collections import deque
from dataclasses import dataclass, replace
from typing import Final

from gatepost.wire.smtp.login_veil import HIDDEN
from gatepost.wire.smtp.reply_reader import ReplyFault, ReplyReader, ServerReply

#: How much of what is no SMTP is kept, in octets.
_STRANGE: Final = 256
#: More exchanges than any honest dialogue has.
_MOST: Final = 100


@dataclass(frozen=True, slots=True)
class Exchange:
    """What we said ("" before the greeting) and what was replied (None: nothing yet).

    `began` in seconds of the caller's clock, `took` in seconds.
    """

    said: str
    reply: ServerReply | None
    began: float
    took: float = 0.0

    @property
    def verb(self) -> str:
        """The command, in upper case; "" for the greeting, "*" for a line of a login."""
        word = self.said.partition(" ")[0].upper()
        return "*" if word in {HIDDEN.upper(), "*"} else word


class Transcript:
    """Records one connection. `strange` is what came first, where it was no SMTP."""

    def __init__(self, began: float) -> None:
        self.exchanges: list[Exchange] = []
        self.strange = b""
        self._reader = ReplyReader()
        self._waiting: deque[Exchange] = deque((Exchange("", None, began),))
        self._first = b""
        self._replies = 0

    @property
    def has_heard(self) -> bool:
        """Whether the server has said anything."""
        return bool(self._first)

    def said(self, octets: bytes, at: float, *, is_login: bool) -> None:
        """Note lines of ours; of those of a login only the command and the mechanism."""
        for line in octets.decode("utf-8", "replace").splitlines():
            shown = _without_secret(line) if is_login else line
            self._waiting.append(Exchange(shown, None, at))

    def heard(self, octets: bytes, at: float) -> None:
        """Note what the server said."""
        if len(self._first) < _STRANGE:
            self._first += octets[: _STRANGE - len(self._first)]
        self._reader.feed(octets)
        while (reply := self._reader.next_reply()) is not None:
            if isinstance(reply, ReplyFault):
                self.strange = b"" if self._replies else self._first
                return
            self._replies += 1
            if len(self.exchanges) < _MOST:
                asked = self._waiting.popleft() if self._waiting else Exchange("", None, at)
                self.exchanges.append(replace(asked, reply=reply, took=max(0.0, at - asked.began)))

    def end(self, at: float) -> None:
        """Note that nothing more comes: what waits for a reply has none."""
        if not self._replies:
            self.strange = self._first
        for asked in self._waiting:
            self.exchanges.append(replace(asked, took=max(0.0, at - asked.began)))
        self._waiting.clear()

    def restart(self, at: float, *, greeted: bool) -> None:
        """Begin anew inside TLS; nothing from before it counts (RFC 3207 §4.2)."""
        self._reader = ReplyReader()
        self._waiting.clear()
        self._first = b""
        self._replies = 0
        if not greeted:
            self._waiting.append(Exchange("", None, at))

    def take(self) -> list[Exchange]:
        """Hand out what is complete since the last time."""
        done, self.exchanges = self.exchanges, []
        return done


class Veil:
    """Hides secrets in what others say: a server may repeat what it was told."""

    def __init__(self, username: str = "", *secrets: str) -> None:
        self._forms: tuple[str, ...] = ()
        for secret in filter(None, secrets):
            plain = secret.encode("utf-8", "surrogateescape")
            name = username.encode("utf-8", "surrogateescape")
            whole = b"\0" + name + b"\0" + plain
            bearer = b"user=" + name + b"\x01auth=Bearer " + plain + b"\x01\x01"
            encoded = (b64encode(o).decode("ascii") for o in (whole, bearer, plain))
            self._forms += (*encoded, secret)

    def over(self, text: str) -> str:
        """Return `text` without the secrets."""
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        return text


def _without_secret(line: str) -> str:
    words = line.split(" ")
    if words[0].upper() != "AUTH":
        return line if line == "*" else HIDDEN
    return " ".join([*words[:2], *([HIDDEN] if len(words) > 2 else [])])
