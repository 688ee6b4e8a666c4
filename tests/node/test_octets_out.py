"""Content out is content in, plus our prefix, octet for octet: through a real node, captured."""

from random import Random

import pytest

from tests.node.conftest import ACCOUNT, PASSWORD, NodeOf
from tests.node.talk import upgraded
from tests.support.node import CAPTURE_ALL, wait_until

CHANCE = Random(3030)
LINES = [b"", b".", b"..", b".x", b"From here", b" \t", bytes(range(128, 256)), b"x" * 998]


def message(number: int, *, binary: bool) -> bytes:
    head = b"From: %b\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <%d@x.test>\r\n\r\n"
    head %= ACCOUNT.encode(), number
    if binary:
        return head + CHANCE.randbytes(CHANCE.randrange(1, 70_000))
    return head + b"".join(CHANCE.choice(LINES) + b"\r\n" for _ in range(CHANCE.randrange(300)))


def transaction(number: int) -> tuple[bytes, bytes]:
    """Return a message, and the octets of a whole transaction with it."""
    binary, chunked = number % 3 == 0, number % 2 == 0 or number % 3 == 0
    content = message(number, binary=binary)
    body = b"BINARYMIME" if binary else b"8BITMIME"
    wire = b"MAIL FROM:<%b> BODY=%b\r\n" % (ACCOUNT.encode(), body)
    wire += b"RCPT TO:<to%d@captured.test>\r\n" % number
    if not chunked:
        return content, wire + b"DATA\r\n" + (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[
            2:
        ] + b".\r\n"
    rest = content
    while rest:
        size = min(len(rest), CHANCE.randrange(1, 40_000))
        wire += b"BDAT %d%b\r\n%b" % (size, b" LAST" * (size == len(rest)), rest[:size])
        rest = rest[size:]
    return content, wire


@pytest.mark.rfc("3030#2", "2920#3.2")
def test_whatever_was_sent_is_what_goes_out(node_of: NodeOf) -> None:
    capturing = node_of(CAPTURE_ALL)
    sent = dict(enumerate(transaction(n) for n in range(24)))
    with upgraded(capturing.ports.submission) as talk:
        assert talk.login(ACCOUNT, PASSWORD).startswith("235")
        wire = b"".join(octets for _, octets in sent.values()) + b"QUIT\r\n"
        while wire:
            size = CHANCE.randrange(1, 30_000)
            talk.send(wire[:size])
            wire = wire[size:]
        heard = []
        while line := talk.line():
            heard.append(line)
    assert [line for line in heard if line[0] not in "23"] == []
    wait_until(lambda: len(capturing.captured()) == len(sent), "all captured")
    rows = {row["recipient"]: row for row in capturing.captured()}
    for number, (content, _) in sent.items():
        out = capturing.content(rows[f"to{number}@captured.test"])
        assert out.endswith(content), number
        assert out[: -len(content)].startswith(b"Received: from ")
        assert out[: -len(content)].count(b"\r\n\r\n") == 0
