"""A client session that a test drives by hand."""

from gatepost.wire.smtp.client import ClientSession
from gatepost.wire.smtp.client_events import (
    Dialect,
    Ended,
    Envelope,
    Event,
    FaultKind,
    NeedOctets,
    Ready,
    TransactionEnded,
)
from gatepost.wire.smtp.reply_reader import ServerReply

PIPELINED = b"250-mx\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250 STARTTLS\r\n"
PLAIN = b"250 mx\r\n"
ONE = Envelope("a@x.example", ("b@y.example",), size=5)
TWO = Envelope("a@x.example", ("b@y.example", "c@y.example"), size=5)


class Talk:
    """Drives one session by hand."""

    def __init__(self, hello: bytes | None = PIPELINED, dialect: Dialect = Dialect.SMTP) -> None:
        self.session = ClientSession("me.example", dialect)
        if hello is not None:
            assert self.hear(b"220 mx ready\r\n") == []
            assert self.said() == (
                b"LHLO me.example\r\n" if dialect is Dialect.LMTP else b"EHLO me.example\r\n"
            )
            assert isinstance(self.hear(hello)[0], Ready)

    def hear(self, octets: bytes) -> list[Event]:
        self.session.receive(octets)
        events: list[Event] = []
        while not isinstance(event := self.session.next_event(), NeedOctets):
            events.append(event)
            if isinstance(event, Ended):
                break
        return events

    def said(self) -> bytes:
        return self.session.octets_to_send()

    def begin(self, envelope: Envelope = ONE) -> bytes:
        self.session.begin(envelope)
        return self.said()

    def content(self, octets: bytes = b"hi\r\n") -> bytes:
        self.session.send_content(octets)
        self.session.end_content()
        return self.said()


def codes(event: Event) -> list[int | FaultKind]:
    assert isinstance(event, TransactionEnded)
    return [v.code if isinstance(v, ServerReply) else v.kind for v in event.verdicts]
