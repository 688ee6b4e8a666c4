"""Where a dialogue stands, and where each command leads: tables only (RFC 5321 §4.1.4, RFC 3030 §2)."""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

from gatepost.wire.smtp import replies
from gatepost.wire.smtp.commands import (
    Auth,
    Bdat,
    Command,
    Data,
    Ehlo,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    Vrfy,
)
from gatepost.wire.smtp.replies import Reply


class State(Enum):
    """Where the dialogue stands (RFC 5321 §3.1-3.3)."""

    CONNECTED = auto()
    GREETED = auto()
    HAS_REVERSE_PATH = auto()
    HAS_FORWARD_PATH = auto()
    IN_EXCHANGE = auto()
    IN_CONTENT = auto()
    #: RFC 3030 §2: inside a chunk, behind one that was not the last, behind one that failed.
    IN_CHUNK = auto()
    BETWEEN_CHUNKS = auto()
    CHUNK_FAILED = auto()
    CONTENT_COMPLETE = auto()
    CLOSED = auto()

    #: A state is looked up with each command: Enum's own is a function in Python.
    __hash__ = object.__hash__


TRANSACTION: Final = (
    State.HAS_REVERSE_PATH,
    State.HAS_FORWARD_PATH,
    State.BETWEEN_CHUNKS,
    State.CHUNK_FAILED,
)
_READY: Final = (State.GREETED, *TRANSACTION)

#: RFC 5321 §4.1.4. Where an accepted command leads; a pair that is not here is out of order.
LEADS_TO: Final[Mapping[tuple[State, type[Command]], State]] = {
    **{(s, Ehlo): State.GREETED for s in (State.CONNECTED, *_READY)},
    (State.GREETED, Mail): State.HAS_REVERSE_PATH,
    (State.HAS_REVERSE_PATH, Rcpt): State.HAS_FORWARD_PATH,
    (State.HAS_FORWARD_PATH, Rcpt): State.HAS_FORWARD_PATH,
    (State.HAS_FORWARD_PATH, Data): State.IN_CONTENT,
    (State.HAS_FORWARD_PATH, Bdat): State.IN_CHUNK,
    (State.BETWEEN_CHUNKS, Bdat): State.IN_CHUNK,
    (State.GREETED, Auth): State.GREETED,
    # Before EHLO, too: GNU SASL's client begins like that, and nothing said before TLS counts.
    (State.CONNECTED, StartTls): State.CONNECTED,
    (State.GREETED, StartTls): State.CONNECTED,
    (State.CONNECTED, Rset): State.CONNECTED,
    **{(s, Rset): State.GREETED for s in _READY},
    **{(s, c): s for s in (State.CONNECTED, *_READY) for c in (Noop, Help, Vrfy)},
    **{(s, Quit): State.CLOSED for s in (State.CONNECTED, *_READY)},
}

#: Replies the RFC alone decides.
SETTLED: Final[Mapping[type[Command], Reply]] = {
    Data: replies.SEND_CONTENT,
    Rset: replies.OK,
    Noop: replies.OK,
    Quit: replies.GOODBYE,
    Vrfy: replies.CANNOT_VERIFY,
    Help: replies.HELP,
}
