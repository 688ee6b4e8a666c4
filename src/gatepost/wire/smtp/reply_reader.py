"""Reads what a server replies (RFC 5321 §4.2): octets in, whole replies out, however they are cut.

Servers sin in many small ways: bare LF, no space behind the code, codes that differ within one
reply. What can be understood without doubt is; the rest is a named fault.
"""

import re
from enum import Enum, StrEnum
from typing import Final

from gatepost.wire.values import changed, value

#: RFC 5321 §4.5.3.1.5 allows 512 octets a line; some servers say more.
LONGEST_LINE: Final = 4096
#: One reply in all: an EHLO list has about twenty lines, a refusal seldom ten.
LONGEST_REPLY: Final = 16_384
#: So many replies are known again, of so many octets: what a server repeats is short, and whoever fills
#: them has each of our connections keep them.
_MOST_KNOWN: Final = 32
_LONGEST_KNOWN: Final = 256

_LINE: Final = re.compile(
    rb"([2-5]\d\d)(?:([ -])(?:([245]\.\d{1,3}\.\d{1,3})(?:[ \t]+|$))?(.*))?", re.DOTALL
)


class Answered(StrEnum):
    """What of ours a refusal answered: only some of them say anything about one recipient."""

    #: A reply that is no refusal, or nobody knows.
    UNSAID = ""
    #: The connection, EHLO or HELO.
    SESSION = "session"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    #: The final dot, for all recipients together; and for one alone (LMTP's replies are, RFC 2033 §4.2).
    CONTENT = "content"
    CONTENT_FOR_ONE = "content for one"


class ReplyFault(Enum):
    """What a server said that is no reply."""

    NOT_A_REPLY = "no three-digit code at the beginning of a reply"
    CODES_DIFFER = "the lines of one reply have different codes"
    TOO_LONG = "a reply without end"


@value(frozen=True, slots=True)
class ServerReply:
    """A reply of the other side.

    `status` is its enhanced status code (RFC 2034 §4), "" where there is none. `lines` are the
    texts, without code and status, in printable characters. `answered` is known of refusals that a
    client session tells.
    """

    code: int
    status: str
    lines: tuple[str, ...]
    answered: Answered = Answered.UNSAID

    @property
    def text(self) -> str:
        """Return the lines in one."""
        return self.lines[0] if len(self.lines) == 1 else " ".join(filter(None, self.lines))

    @property
    def words(self) -> str:
        """Return code, status and text in one line."""
        return " ".join(p for p in (str(self.code), self.status, self.text) if p)


def answering(what: Answered, reply: ServerReply) -> ServerReply:
    """Return a reply that knows what it answered; of what is no refusal nobody asks."""
    return changed(reply, answered=what) if reply.code >= 400 else reply


class ReplyReader:
    """Feed it octets, take replies. After a fault it says the same fault for ever."""

    __slots__ = (
        "_code", "_fault", "_known", "_length", "_lines", "_octets", "_position", "_status",
    )  # fmt: skip

    def __init__(self) -> None:
        self._octets = b""
        self._position = 0
        self._fault: ReplyFault | None = None
        #: Replies of one line that were read before: servers repeat themselves.
        self._known: dict[bytes, ServerReply] = {}
        self._code = b""
        self._status = ""
        self._lines: list[str] = []
        self._length = 0

    def __len__(self) -> int:
        """Return how many octets wait to be read."""
        return len(self._octets) - self._position

    def feed(self, octets: bytes) -> None:
        """Append what the server sent."""
        if self._position == len(self._octets):
            self._octets = octets
        else:
            self._octets = self._octets[self._position :] + octets
        self._position = 0

    def next_reply(self) -> ServerReply | ReplyFault | None:
        """Return the next whole reply, None when more octets are needed, or the fault."""
        while self._fault is None:
            end = self._octets.find(b"\n", self._position)
            if end < 0:
                if len(self._octets) - self._position > LONGEST_LINE:
                    self._fault = ReplyFault.TOO_LONG
                    break
                return None
            line = self._octets[self._position : end]
            self._position = end + 1
            if reply := self._take(line[:-1] if line.endswith(b"\r") else line):
                return reply
        return self._fault

    def _take(self, line: bytes) -> ServerReply | None:
        """Take one line; return the reply that it ends."""
        if not self._lines and (known := self._known.get(line)) is not None:
            return known
        found = _LINE.fullmatch(line)
        self._length += len(line)
        if found is None:
            self._fault = ReplyFault.NOT_A_REPLY
        elif len(line) > LONGEST_LINE or self._length > LONGEST_REPLY:
            self._fault = ReplyFault.TOO_LONG
        else:
            code, mark, status, text = found.groups()
            if not self._lines:
                self._code = code
                self._status = status.decode("ascii") if status else ""
            elif code != self._code:
                self._fault = ReplyFault.CODES_DIFFER
                return None
            self._lines.append(_printable(text or b""))
            if mark != b"-":
                reply = ServerReply(int(code), self._status, tuple(self._lines))
                if len(self._lines) == 1:
                    self._know(line, reply)
                self._forget()
                return reply
        return None

    def _know(self, line: bytes, reply: ServerReply) -> None:
        if len(self._known) < _MOST_KNOWN and len(line) <= _LONGEST_KNOWN:
            self._known[line] = reply

    def _forget(self) -> None:
        self._lines = []
        self._length = 0


def _printable(octets: bytes) -> str:
    text = octets.decode("utf-8", "replace").rstrip()
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "?" for c in text)
