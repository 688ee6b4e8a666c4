"""Postfix (Debian) as next hop: it receives what the client sent, octet for octet.

Before it stand only trace fields: ours and Postfix's own.
"""

import re
import smtplib
from collections.abc import Iterator

import pytest

from tests.conftest import NodeMaker
from tests.support.node import HOST, Node, wait_until
from tests.support.postfix import Postfix, running_postfix
from tests.support.programs import need, need_root

pytestmark = pytest.mark.interop("postfix")

HEADER = (
    b"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\n"
    b"From: App <app@example.com>\r\n"
    b"To: somebody@next.example\r\n"
    b"Message-ID: <%s@example.com>\r\n"
)

#: Content that naive relays change, by what is special about it.
CONTENTS = {
    "plain": b"Subject: plain\r\n\r\nHello.\r\n",
    "8bit": (
        b"Subject: 8bit\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 8bit\r\n\r\nGr\xc3\xbc\xc3\x9fe \xe2\x82\xac\r\n"
    ),
    "latin1-in-body": (
        b"Subject: latin1\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
        b"Content-Transfer-Encoding: 8bit\r\n\r\n\xe4\xf6\xfc \xff\r\n"
    ),
    "long-header": b"Subject: " + b"x" * 980 + b"\r\n\r\nLong header line.\r\n",
    "folded-header": (
        b"Subject: folded\r\n\tover  \r\n several lines\r\nX-Empty:\r\nx-ODD-case:no space\r\n"
        b"\r\nBody.\r\n"
    ),
    "long-line": b"Subject: long line\r\n\r\n" + b"y" * 998 + b"\r\n",
    "dots": b"Subject: dots\r\n\r\n.\r\n..\r\n.a\r\n...\r\nend.\r\n",
    "trailing-spaces": b"Subject: spaces  \r\n\r\nline  \r\n \r\n\t\r\nend \r\n\r\n\r\n",
    "empty-body": b"Subject: no body\r\n\r\n",
    "from-line": b"Subject: From line\r\n\r\nFrom here on\r\n>From there\r\n",
    "large": b"Subject: large\r\n\r\n" + b"0123456789 abcdefghijklmnopqrstuvwxyz\r\n" * 30_000,
}

TRACE = re.compile(
    rb"(?:(?:Return-Path|X-Original-To|Delivered-To|Received):[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*)+"
)


@pytest.fixture(scope="module")
def postfix() -> Iterator[Postfix]:
    need("postfix")
    need_root()
    with running_postfix("next.example") as server:
        yield server


@pytest.fixture
def relay(postfix: Postfix, make_node: NodeMaker) -> Node:
    """A node that hands mail for the domain to Postfix."""
    return make_node(
        f"""
        [[routes]]
        match = ["{postfix.domain}"]
        via = "smtp:{HOST}:{postfix.port}"
        """
    )


def received(postfix: Postfix, message_id: bytes) -> bytes | None:
    found = [octets for octets in postfix.received() if message_id in octets]
    assert len(found) <= 1, "delivered twice"
    return found[0] if found else None


@pytest.mark.rfc("5321#4.4", "5321#4.5.2", "6152#3")
def test_postfix_receives_the_content_unchanged(relay: Node, postfix: Postfix) -> None:
    sent = {name: HEADER % name.encode() + content for name, content in CONTENTS.items()}
    with smtplib.SMTP(HOST, relay.ports.submission, timeout=30) as server:
        server.starttls(context=relay.trust())
        server.login(relay.account, relay.password)
        for octets in sent.values():
            server.sendmail(
                relay.account, [f"somebody@{postfix.domain}"], octets, ["BODY=8BITMIME"]
            )
    for name, octets in sent.items():
        message_id = f"<{name}@example.com>".encode()
        wait_until(lambda m=message_id: received(postfix, m) is not None, f"{name} at Postfix")
        arrived = received(postfix, message_id)
        assert arrived is not None
        assert arrived.endswith(octets), name
        added = arrived[: -len(octets)]
        assert TRACE.fullmatch(added), (name, added)
        assert added.count(b"\r\nReceived:") == 2, (name, added)
