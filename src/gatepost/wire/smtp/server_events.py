"""What a ServerSession tells its caller, one value each (RFC 5321 §3, RFC 4954 §4)."""

from dataclasses import dataclass

from gatepost.wire.smtp.commands import Command
from gatepost.wire.values import value


@value(frozen=True, slots=True)
class Asked:
    """The peer gave MAIL, RCPT, AUTH or STARTTLS: only policy can settle it. Call `answer`
    (AUTH may get `challenge` first).
    """

    command: Command


@value(frozen=True, slots=True)
class Responded:
    """The client's response to our SASL challenge, decoded; None: it gave up, and was told so."""

    octets: bytes | None

    def __repr__(self) -> str:
        return "Responded()"


@value(frozen=True, slots=True)
class Content:
    """A piece of content, transparency undone."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class ContentEnded:
    """The final dot or the last chunk came. Call `answer`: 250 only once the message is durable (RFC 5321 §4.2.5)."""


@dataclass(frozen=True, slots=True)
class ContentDropped:
    """The chunks that were handed out belong to a transaction that came to nothing (RSET, EHLO, a
    chunk that failed): let go of them.
    """


@dataclass(frozen=True, slots=True)
class NeedOctets:
    """Nothing to do until the peer sends more."""


@dataclass(frozen=True, slots=True)
class TurnOver:
    """Many commands came at once and were answered. There are more: send what is due, and let others
    have their turn first.
    """


@dataclass(frozen=True, slots=True)
class Closed:
    """The dialogue is over: send what is left, then close."""


Event = Asked | Responded | Content | ContentEnded | ContentDropped | NeedOctets | TurnOver | Closed
