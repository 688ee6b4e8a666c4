"""The dialogue, server side (RFC 5321, 4954, 3207): a table, and a session that stands still.

Give it octets with `receive`, take events with `next_event`, decide with `answer`, and send what
`octets_to_send` returns. It owns no socket, no clock and no policy: commands that the RFC alone
can settle are settled here; every other command becomes a question, and the session stands still
until that question is answered. So pipelining (RFC 2920) needs no code of its own, and no command
overtakes a decision.

Three machines are kept apart: the dialogue (State), the channel (clear or TLS) and the identity
(nobody or somebody).
"""

from base64 import b64encode
from functools import lru_cache
from typing import Final

from gatepost.wire.smtp import limits, replies
from gatepost.wire.smtp.command_reader import decode_response, read_line, too_long
from gatepost.wire.smtp.commands import (
    Auth,
    Bdat,
    Command,
    Data,
    Ehlo,
    Mail,
    Rcpt,
    Rset,
    StartTls,
)
from gatepost.wire.smtp.extensions import Channel, Profile, keywords
from gatepost.wire.smtp.framing import Chunk, ContentReader, LineBuffer
from gatepost.wire.smtp.replies import Reply
from gatepost.wire.smtp.server_events import (
    Asked,
    Closed,
    Content,
    ContentDropped,
    ContentEnded,
    Event,
    NeedOctets,
    Responded,
    TurnOver,
)
from gatepost.wire.smtp.server_refusals import auth_refuses, mail_refuses, out_of_order
from gatepost.wire.smtp.server_states import LEADS_TO, SETTLED, State

_NEED_OCTETS: Final = NeedOctets()
_CLOSED: Final = Closed()
_TURN_OVER: Final = TurnOver()
_CONTENT_ENDED: Final = ContentEnded()
_CONTENT_DROPPED: Final = ContentDropped()

_HTTP: Final = (b"GET ", b"POST ", b"PUT ", b"HEAD ", b"CONNECT ", b"OPTIONS ", b"DELETE ")


class ServerSession:
    """One connection's dialogue.

    Args:
        profile: what this listener offers.
        channel: TLS where it comes first (port 465).
        greeting: what is said first; a 4xx or 5xx ends the dialogue at once.

    """

    __slots__ = (
        "_asked", "_chunk", "_commands", "_dropped", "_extended", "_handed_out", "_lines", "_offences", "_out",
        "_profile", "_reader", "_refused", "_size", "_skipping", "authenticated", "channel",
        "client_name", "content_refusal", "forward_paths", "mail", "mechanisms", "state",
    )  # fmt: skip

    def __init__(
        self, profile: Profile, channel: Channel = Channel.CLEAR, greeting: Reply | None = None
    ) -> None:
        greeting = greeting or _greeting(f"{profile.hostname} {profile.greeting}")
        self.state = State.CONNECTED if greeting.accepts else State.CLOSED
        self.channel = channel
        self.authenticated = False
        #: Those that EHLO lists inside TLS: the caller leaves out what this TLS session cannot do.
        self.mechanisms = profile.mechanisms
        #: The name in EHLO or HELO, "" before.
        self.client_name = ""
        #: The accepted envelope of the transaction under way.
        self.mail: Mail | None = None
        self.forward_paths: list[Rcpt] = []
        #: Why the content of this transaction cannot be taken, None while it can: the session's own
        #: (larger than the profile allows), or the caller's (`refuse_content`).
        self.content_refusal: Reply | None = None
        self._profile = profile
        self._lines = LineBuffer()
        self._reader: ContentReader | None = None
        self._out: list[bytes] = [greeting.octets]
        self._asked: Asked | Responded | ContentEnded | None = None
        self._extended = False
        self._refused = False
        self._skipping = False
        self._offences = 0
        self._commands = 0
        self._size = 0
        self._chunk: Chunk | None = None
        #: Chunks were handed out whose content has not ended; it came to nothing.
        self._handed_out = False
        self._dropped = False

    # -- octets in and out

    def receive(self, octets: bytes) -> None:
        """Take what the peer sent; empty octets mean that it is gone."""
        if octets:
            self._lines.feed(octets)
        else:
            self.state = State.CLOSED

    def octets_to_send(self) -> bytes:
        """Take the replies that are due."""
        out = b"".join(self._out)
        self._out.clear()
        return out

    @property
    def hostname(self) -> str:
        """The name by which we introduced ourselves."""
        return self._profile.hostname

    @property
    def in_content(self) -> bool:
        """True while what comes is content, by DATA or by BDAT."""
        return self._reader is not None or self._chunk is not None

    @property
    def extended(self) -> bool:
        """True when the client said EHLO, not HELO."""
        return self._extended

    # -- events out, answers in

    def next_event(self) -> Event:
        """Work through what was received up to the next thing the caller must know."""
        while self._asked is None:
            if (news := self._news()) is not None:
                return news
            if self.in_content:
                if event := self._read_content():
                    return event
                continue
            line = self._lines.next_line()
            if line is None:
                if not self._no_whole_line():
                    return _NEED_OCTETS
            elif self._skipping:
                self._skipping = False  # the rest of a line that was refused already
            elif self.state is State.IN_EXCHANGE:
                self._read_response(line)
            else:
                self._read_command(line)
        return self._asked

    def answer(self, reply: Reply) -> None:
        """Settle the question that `next_event` returned.

        Raises:
            RuntimeError: nothing was asked.

        """
        asked, self._asked = self._asked, None
        match asked:
            case Asked(command):
                self._settle(command, reply)
            case ContentEnded():
                self._end_transaction()
                self._say(reply, State.GREETED)
            case Responded():
                self._settle(Auth("", None), reply)
            case None:
                msg = "nothing was asked"
                raise RuntimeError(msg)
        if reply.code == replies.STOPPING.code:  # RFC 5321 §3.8: 421 ends the connection
            self.state = State.CLOSED

    def refuse_content(self, reply: Reply) -> None:
        """Take no more content in this transaction: what comes is read and thrown away, and `reply`
        is due at its end (or at the chunk's).
        """
        self.content_refusal = reply

    def challenge(self, octets: bytes) -> None:
        """Answer AUTH, or a response, with a SASL challenge (RFC 4954 §4)."""
        self._asked = None
        self._out.append(b"334 " + b64encode(octets) + b"\r\n")
        self.state = State.IN_EXCHANGE

    def tls_established(self) -> None:
        """Forget all that was said before the handshake (RFC 3207 §4.2)."""
        self.channel = Channel.TLS
        self.state = State.CONNECTED
        self.client_name = ""
        self._extended = False
        self._lines = LineBuffer()
        self._end_transaction()

    def close(self, reply: Reply) -> None:
        """Say a last 421 of our own accord (idle, stopping) and end the dialogue."""
        self._asked = None
        self._say(reply, State.CLOSED)

    # -- within

    def _news(self) -> Event | None:
        """Return what the caller must know whatever comes next."""
        if self.state is State.CLOSED:
            return _CLOSED
        if self._dropped:
            self._dropped = False
            return _CONTENT_DROPPED
        if self._commands >= limits.COMMANDS_AT_ONCE and self.state is not State.IN_EXCHANGE:
            self._commands = 0
            return _TURN_OVER
        return None

    def _say(self, reply: Reply, after: State) -> None:
        self._out.append(reply.octets)
        self.state = after
        if reply.offends:
            self._offences += 1
            if self._offences >= limits.OFFENCES and after is not State.CLOSED:
                self._out.append(replies.TOO_MANY_ERRORS.octets)
                self.state = State.CLOSED

    def _end_transaction(self) -> None:
        self.mail = None
        self.forward_paths = []
        self._refused = False
        self.content_refusal = None
        self._size = 0
        self._dropped, self._handed_out = self._handed_out, False

    def _no_whole_line(self) -> bool:
        """Deal with what waits without CRLF; True when something was decided."""
        waiting = len(self._lines)
        if waiting > limits.AUTH_LINE + 2:
            beginning = self._lines.take_begun()
            if not self._skipping:
                self._refuse_long_line(beginning)
                self._skipping = True
            return True
        if waiting and not self._skipping and self._lines.holds_bare_line_ending:
            # A peer that ends lines with LF would wait for ever; guessing invites smuggling.
            self._say(replies.BARE_LINE_ENDING_COMMAND, State.CLOSED)
            return True
        return False

    def _refuse_long_line(self, beginning: bytes) -> None:
        if self.state is State.IN_EXCHANGE:
            self._give_up_exchange(replies.AUTH_LINE_TOO_LONG)
        else:
            self._refuse_line(beginning, too_long(beginning) or replies.LINE_TOO_LONG)

    def _read_command(self, line: bytes) -> None:
        self._commands += 1 if line.isascii() else limits.BEYOND_ASCII
        command = read_line(line, self._profile.extensions)
        if isinstance(command, Reply):
            self._refuse_line(line, command)
            return
        after = LEADS_TO.get((self.state, type(command)))
        if isinstance(command, Bdat):
            self._begin_chunk(command, self._out_of_order(command) if after is None else None)
        elif after is None:
            self._say(self._out_of_order(command), self.state)
        elif isinstance(command, Ehlo):
            self._greet(command)
        elif (refusal := self._rfc_refuses(command)) is not None:
            self._say(refusal, State.CLOSED if refusal is replies.TLS_INJECTION else self.state)
        elif (settled := SETTLED.get(type(command))) is not None:
            self._settle(command, settled)
        else:
            self._asked = Asked(command)

    def _refuse_line(self, line: bytes, reply: Reply) -> None:
        if self.state is State.CONNECTED and line.startswith(_HTTP):
            self._say(replies.NOT_SMTP, State.CLOSED)
        elif line[:4].upper() == b"BDAT":
            # Nobody knows how much content follows, and none of it may pass for commands.
            self._say(reply, State.CLOSED)
        else:
            self._say(reply, self.state)

    def _out_of_order(self, command: Command) -> Reply:
        return out_of_order(command, self.state, refused=self._refused)

    def _rfc_refuses(self, command: Command) -> Reply | None:
        """Refuse where no policy could allow it (STARTTLS: RFC 3207 §4)."""
        if isinstance(command, Data | Rcpt):
            return mail_refuses(command, self.mail)
        if isinstance(command, StartTls):
            if self.channel is Channel.TLS or not self._profile.offers_tls or self.authenticated:
                return replies.TLS_NOT_OFFERED
            return replies.TLS_INJECTION if len(self._lines) else None
        if isinstance(command, Auth):
            return auth_refuses(
                self._profile, authenticated=self.authenticated, extended=self._extended
            )
        return None

    def _greet(self, command: Ehlo) -> None:
        self._end_transaction()
        self.client_name, self._extended = command.client_name, command.extended
        text = f"{self._profile.hostname} Hello"
        if command.extended:
            text = keywords(
                self._profile,
                self.channel,
                authenticated=self.authenticated,
                mechanisms=self.mechanisms,
            )
        self._say(_hello(text), State.GREETED)

    def _settle(self, command: Command, reply: Reply) -> None:
        """Say the reply and let an accepted command lead on."""
        if not reply.accepts:
            self._refused = self._refused or isinstance(command, Rcpt)
            self._say(reply, State.GREETED if self.state is State.IN_EXCHANGE else self.state)
            return
        if isinstance(command, Auth):
            self.authenticated = True
            self._say(reply, State.GREETED)
            return
        after = LEADS_TO[self.state, type(command)]
        if isinstance(command, Mail):
            self.mail = command
        elif isinstance(command, Rcpt):
            self.forward_paths.append(command)
        elif isinstance(command, Rset):
            self._end_transaction()
        elif isinstance(command, Data):
            self._reader = ContentReader()
        self._say(reply, after)

    def _read_response(self, line: bytes) -> None:
        """One line of a SASL exchange (RFC 4954 §4)."""
        if line == b"*":
            self._give_up_exchange(replies.AUTH_CANCELLED)
        elif len(line) > limits.AUTH_LINE:
            self._give_up_exchange(replies.AUTH_LINE_TOO_LONG)
        elif (octets := decode_response(line)) is None:
            self._give_up_exchange(replies.NOT_BASE64)
        else:
            self._asked = Responded(octets)

    def _give_up_exchange(self, reply: Reply) -> None:
        self._say(reply, State.GREETED)
        self._asked = Responded(None)

    def exchange_over(self) -> None:
        """Acknowledge `Responded(None)`: its reply has been said already."""
        self._asked = None

    # -- content

    def _read_content(self) -> Event | None:
        """Hand out the next piece, or the end; None when the piece was empty or too much."""
        if self._chunk is not None:
            return self._read_chunk(self._chunk)
        reader = self._reader
        if reader is None:
            msg = "no content is expected"
            raise RuntimeError(msg)
        if reader.ended:
            self._lines.feed(reader.rest)
            self._reader = None
            return self._content_ended()
        if not len(self._lines):
            return _NEED_OCTETS
        return self._piece(reader.feed(self._lines.take()))

    def _piece(self, octets: bytes) -> Event | None:
        self._size += len(octets)
        if self._size > self._profile.message_size and self.content_refusal is None:
            at_most = f"at most {self._profile.message_size} octets"
            self.content_refusal = replies.MESSAGE_TOO_LARGE.about(at_most)
        return Content(octets) if octets and self.content_refusal is None else None

    def _content_ended(self) -> Event:
        self._handed_out = False
        self.state = State.CONTENT_COMPLETE
        self._asked = _CONTENT_ENDED
        return _CONTENT_ENDED

    def _begin_chunk(self, command: Bdat, refusal: Reply | None) -> None:
        """Read a chunk, the one of a refused command, too (RFC 3030 §2)."""
        self._chunk = Chunk(command.size, is_last=command.is_last, refusal=refusal)
        if refusal is None:
            self._handed_out = True
            self.state = State.IN_CHUNK

    def _read_chunk(self, chunk: Chunk) -> Event | None:
        if chunk.left:
            if not len(self._lines):
                return _NEED_OCTETS
            octets = self._lines.take(chunk.left)
            chunk.left -= len(octets)
            return self._piece(octets) if chunk.refusal is None else None
        self._chunk = None
        if chunk.refusal is not None:
            over = chunk.is_last and self.state is State.CHUNK_FAILED
            if over:
                self._end_transaction()
            self._say(chunk.refusal, State.GREETED if over else self.state)
        elif chunk.is_last:
            return self._content_ended()
        elif self.content_refusal is not None:
            self._dropped, self._handed_out = True, False
            self._say(self.content_refusal, State.CHUNK_FAILED)
        else:
            self._say(replies.CHUNK_RECEIVED, State.BETWEEN_CHUNKS)
        return None


@lru_cache(maxsize=64)
def _hello(text: str) -> Reply:
    """Return EHLO's reply; its words are the same for thousands of sessions."""
    return replies.HELLO.say(text)


@lru_cache(maxsize=16)
def _greeting(text: str) -> Reply:
    return replies.READY.say(text)
