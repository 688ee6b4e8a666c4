"""From a client's connection to a mailbox: a real node, real neighbours, the octets that arrive."""

import asyncio
import os
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.node.conftest import ACCOUNT, PASSWORD
from tests.node.talk import Talk, upgraded
from tests.sink import Message, Sink
from tests.support.node import Node, wait_until

SETTINGS = """
[[local_domains]]
name = "local.test"
mailboxes = ["alice"]
deliver_to = "maildir:local"
[[local_domains]]
name = "sender.test"
deliver_to = "maildir:senders"
[[local_domains]]
name = "lmtp.test"
deliver_to = "lmtp:127.0.0.1:{lmtp}"
[[local_domains]]
name = "inner.test"
deliver_to = "smtp:127.0.0.1:{smtp}"
[[routes]]
match = ["smart.test"]
via = "smtp:127.0.0.1:{smtp}"
"""
LARGE = 20_000_000


class SinkThread:
    """A sink on an event loop of its own, so that tests may wait for other things meanwhile."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        asyncio.run_coroutine_threadsafe(sink.__aenter__(), self.loop).result(60)

    def stop(self) -> None:
        leave = self.sink.__aexit__(None, None, None)
        asyncio.run_coroutine_threadsafe(leave, self.loop).result(60)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(60)

    def receives(self, word: bytes) -> Message:
        """Return the message that holds a word, once it is there."""
        found: list[Message] = []

        def is_there() -> bool:
            found[:] = [m for m in list(self.sink.messages) if word in m.content]
            return bool(found)

        wait_until(is_there, f"a message with {word!r}")
        assert len(found) == 1
        return found[0]


@dataclass
class Surroundings:
    """A node between its neighbours."""

    node: Node
    lmtp: SinkThread
    smtp: SinkThread

    def arrives(self, directory: str, mailbox: str, word: bytes) -> bytes:
        """Return the message in a maildir that holds a word, once it is there."""
        found: list[bytes] = []
        new = self.node.data_dir / directory / mailbox / "new"

        def is_there() -> bool:
            everything = [path.read_bytes() for path in new.glob("*")]
            found[:] = [octets for octets in everything if word in octets]
            return bool(found)

        wait_until(is_there, f"mail with {word!r} for {mailbox}")
        assert len(found) == 1
        return found[0]

    def send(self, content: bytes, *forward_paths: str, reverse_path: str = ACCOUNT) -> str:
        """Submit by STARTTLS and login; return the reply to the content."""
        with upgraded(self.node.ports.submission) as talk:
            assert talk.login(ACCOUNT, PASSWORD).startswith("235")
            talk.must(f"MAIL FROM:<{reverse_path}> BODY=8BITMIME", "250")
            for path in forward_paths:
                talk.must(f"RCPT TO:<{path}>", "250")
            talk.must("DATA", "354")
            return talk.message(content)


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surroundings]:
    lmtp = SinkThread(Sink(lmtp=True, refuse={"full@lmtp.test": "552 5.2.2 mailbox is full"}))
    smtp = SinkThread(
        Sink(
            refuse=dict.fromkeys(
                ("gone@smart.test", "vanished@smart.test", "nobody@inner.test"),
                "550 5.1.1 no such user",
            )
        )
    )
    settings = SETTINGS.format(lmtp=lmtp.sink.port, smtp=smtp.sink.port)
    node = Node(tmp_path_factory.mktemp("around"), settings, 1, ACCOUNT, PASSWORD)
    node.set_up()
    node.start()
    yield Surroundings(node, lmtp, smtp)
    assert node.stop() == 0
    assert "Traceback" not in node.log.read_text()
    smtp.stop()
    lmtp.stop()


def letter(word: str, *more: str, body: bytes = b"hi\r\n") -> bytes:
    lines = ["From: app@sender.test", "To: you@local.test", f"Subject: {word}", *more]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body


@pytest.fixture
def word() -> str:
    return f"word{secrets.token_hex(8)}"


@pytest.mark.rfc("5321#4.4")
def test_a_maildir_gets_the_message_with_its_trace(around: Surroundings, word: str) -> None:
    assert around.send(letter(word), "alice@local.test").startswith("250 2.0.0 Queued as ")
    header, _, body = around.arrives("local", "alice", word.encode()).partition(b"\n\n")
    assert header.startswith(b"Return-Path: <app@sender.test>\nDelivered-To: alice@local.test\n")
    received = header[header.index(b"Received:") : header.index(b"From: ")]
    assert b"with ESMTPSA" in received
    assert b"TLS" in received
    assert b"_AES_" in received or b"CHACHA20" in received  # the cipher
    assert b"by relay.test" in received
    assert PASSWORD.encode() not in header
    assert b"Message-ID: <" in header
    assert b"Date: " in header
    assert body == b"hi\n"


def test_each_kind_of_target_gets_its_recipients(around: Surroundings, word: str) -> None:
    paths = ("a@lmtp.test", "b@lmtp.test", "c@inner.test", "d@smart.test", "alice@local.test")
    assert around.send(letter(word), *paths).startswith("250")
    by_lmtp = around.lmtp.receives(word.encode())
    assert by_lmtp.forward_paths == ["a@lmtp.test", "b@lmtp.test"]
    around.arrives("local", "alice", word.encode())

    def both() -> bool:
        got = [m for m in list(around.smtp.sink.messages) if word.encode() in m.content]
        return sorted(p for m in got for p in m.forward_paths) == ["c@inner.test", "d@smart.test"]

    wait_until(both, "the SMTP targets")


def test_postmaster_always_has_a_mailbox(around: Surroundings, word: str) -> None:
    with Talk(around.node.ports.mx) as talk:
        talk.hello()
        talk.envelope("stranger@b.test", "postmaster", "POSTMASTER@local.test")
        assert talk.message(letter(word)).startswith("250")

    def both() -> bool:
        files = [p.read_bytes() for p in around.node.data_dir.glob("**/new/*")]
        return sum(word.encode() in octets for octets in files) == 2

    wait_until(both, "two copies for postmaster")


@pytest.mark.rfc("5321#4.2.5")
def test_a_refusal_comes_back_to_the_senders_mailbox(around: Surroundings, word: str) -> None:
    paths = ("gone@smart.test", "full@lmtp.test", "fine@smart.test")
    assert around.send(letter(word), *paths).startswith("250")
    around.smtp.receives(word.encode())

    def returns() -> list[bytes]:
        new = around.node.data_dir / "senders" / "app" / "new"
        return [octets for p in new.glob("*") if word.encode() in (octets := p.read_bytes())]

    wait_until(
        lambda: all(
            any(who in octets for octets in returns())
            for who in (b"gone@smart.test", b"full@lmtp.test")
        ),
        "returns for both",
    )
    whole = b"".join(returns())
    assert b"Return-Path: <>\n" in whole
    assert b"Content-Type: multipart/report; report-type=delivery-status" in whole
    assert b"550 5.1.1 no such user" in whole
    assert b"552 5.2.2 mailbox is full" in whole
    assert b"fine@smart.test" not in whole


def test_a_refused_return_ends_there(around: Surroundings, word: str) -> None:
    assert around.send(letter(word), "vanished@smart.test", reverse_path="").startswith("250")
    rows = around.node.json("queue", "list", "--recipient", "vanished@smart.test")

    def settled() -> bool:
        rows[:] = around.node.json("queue", "list", "--recipient", "vanished@smart.test")
        return not rows

    wait_until(settled, "the end of it")
    new = around.node.data_dir / "senders"
    assert not [p for p in new.glob("*/new/*") if word.encode() in p.read_bytes()]


@pytest.mark.rfc("6152#3")
def test_eight_bit_content_arrives_octet_for_octet(around: Surroundings, word: str) -> None:
    body = bytes(range(128, 256)) + b"\r\n" + "Grüße\r\n".encode() + b".x\r\n".replace(b".", b"..")
    wanted = body.replace(b"..x", b".x")
    assert around.send(letter(word, body=body), "you@smart.test").startswith("250")
    assert around.smtp.receives(word.encode()).content.endswith(b"\r\n\r\n" + wanted)
    assert "BODY=8BITMIME" in around.smtp.receives(word.encode()).mail


def test_bcc_is_not_passed_on(around: Surroundings, word: str) -> None:
    content = letter(word, "Bcc: secret@other.test,", "  another@other.test", "X-After: kept")
    assert around.send(content, "you@smart.test").startswith("250")
    passed_on = around.smtp.receives(word.encode()).content
    assert b"X-After: kept" in passed_on
    assert b"other.test" not in passed_on
    assert b"bcc" not in passed_on.lower()


def workers(node: Node) -> list[int]:
    assert node.process is not None
    pid = node.process.pid
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def resident(node: Node, what: str) -> int:
    """Return VmRSS or VmHWM of all workers, in octets."""
    total = 0
    for pid in workers(node):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(what):
                total += int(line.split()[1]) * 1024
    return total


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="memory is read from /proc")  # noqa: PTH112
def test_twenty_megabytes_pass_whole_and_memory_stays_bounded(
    around: Surroundings, word: str
) -> None:
    line = b"0123456789abcdef" * 4 + b"\r\n"
    body = line * (LARGE // len(line))
    content = letter(word, body=body)
    before = resident(around.node, "VmRSS")
    for turn in range(4):
        assert around.send(content, f"large{turn}@smart.test").startswith("250")

    def all_there() -> bool:
        return sum(len(m.content) > LARGE for m in list(around.smtp.sink.messages)) >= 4

    wait_until(all_there, "four large messages", patience=150)
    message = next(m for m in around.smtp.sink.messages if len(m.content) > LARGE)
    assert message.content.endswith(b"\r\n\r\n" + body)
    peak = resident(around.node, "VmHWM") - before
    print(f"\npeak over rest: {peak / 2**20:.0f} MiB for 4 x {LARGE / 2**20:.0f} MiB")
    # At the end of content: the pieces, the whole, and what goes to the next hop.
    assert peak < 6 * LARGE + 32 * 2**20
    around.smtp.sink.messages[:] = [m for m in around.smtp.sink.messages if len(m.content) < LARGE]


def test_whom_the_server_behind_has_not_is_refused_at_the_door(around: Surroundings) -> None:
    def said(name: str) -> str:
        with Talk(around.node.ports.mx) as talk:
            talk.hello()
            talk.must("MAIL FROM:<stranger@client.test>", "250")
            return talk.ask(f"RCPT TO:<{name}@inner.test>")

    # A machine that is slow may not know in time, and then takes it; the next one hears it.
    words = "550 5.1.1 The server behind this one has no such mailbox: nobody@inner.test"
    wait_until(lambda: said("nobody") == words, "a refusal")
    assert said("alice").startswith("250 ")
