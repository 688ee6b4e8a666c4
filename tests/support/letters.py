"""Messages for interop tests, and the captured copy to hold them against."""

import secrets
from dataclasses import dataclass
from typing import Any

from tests.support.node import Node, wait_until


@dataclass(frozen=True, slots=True)
class Letter:
    """One message to one recipient of its own, so that tests sharing a node do not meet."""

    sender: str
    recipient: str
    word: str

    @property
    def subject(self) -> str:
        """What the Subject field says."""
        return f"Interop {self.word}"

    @property
    def body(self) -> str:
        """Two lines, the second with a dot at its start: it must come through unharmed."""
        return f"Hello from {self.word}\n.dot {self.word}\n"

    @property
    def octets(self) -> bytes:
        """The whole message with CRLF."""
        text = (
            f"From: {self.sender}\nTo: {self.recipient}\nSubject: {self.subject}\n"
            f"Date: Mon, 23 Nov 2026 10:00:00 +0000\nMessage-ID: <{self.word}@example.com>\n\n"
        )
        return (text + self.body).replace("\n", "\r\n").encode()


def letter(node: Node) -> Letter:
    """Return a new letter from the node's account."""
    word = secrets.token_hex(6)
    return Letter(node.account, f"{word}@example.net", word)


def assert_arrived(node: Node, sent: Letter) -> None:
    """Wait until the letter is captured, and hold its content against what was sent."""
    rows = _captured(node, sent)
    assert len(rows) == 1
    text = node.content(rows[0]).replace(b"\r\n", b"\n").decode()
    header, _, body = text.partition("\n\n")
    assert f"Subject: {sent.subject}" in header
    assert "\nReceived: " in f"\n{header}"
    # RFC 6531 §4.3: Go says SMTPUTF8 wherever it is offered.
    assert "with ESMTPSA" in header or "with UTF8SMTPSA" in header
    assert node.password not in text
    assert body.rstrip("\n") == sent.body.rstrip("\n")


def _captured(node: Node, sent: Letter) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []

    def is_there() -> bool:
        rows.extend(node.captured(sent.recipient))
        return bool(rows)

    wait_until(is_there, f"mail for {sent.recipient}")
    return rows


def assert_nothing_arrived(node: Node, sent: Letter) -> None:
    """Nothing was taken: what is refused at AUTH never becomes a message."""
    assert node.captured(sent.recipient) == []
