"""What strangers do to a port: the right reply or a close, and others notice nothing."""

import contextlib
import resource
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest

from tests.node.conftest import ACCOUNT, LOCAL, PASSWORD, NodeOf
from tests.node.talk import Talk, anyone, upgraded
from tests.support.node import Node, wait_until

LETTER = b"From: app@sender.test\r\nSubject: x\r\n\r\nhi\r\n"
#: A record of 512 octets that says it is a ClientHello, and is none.
CLIENT_HELLO = bytes.fromhex("1603010200010001fc0303").ljust(5 + 512, b"\0")


@pytest.fixture
def place(node_of: NodeOf) -> Iterator[Node]:
    """A node that everybody else's mail goes through, before and after."""
    node = node_of(LOCAL + "[limits]\nconnections_per_address = 2000\n", workers=2)
    send(node)
    yield node
    send(node)
    assert node.process is not None
    assert node.process.poll() is None
    log = node.log.read_text()
    assert "Traceback" not in log
    assert "restarting" not in log


def send(node: Node) -> None:
    with upgraded(node.ports.submission) as talk:
        assert talk.login(ACCOUNT, PASSWORD).startswith("235")
        talk.envelope(ACCOUNT, "you@elsewhere.test")
        assert talk.message(LETTER).startswith("250 ")
        talk.must("QUIT", "221")


def everything(talk: Talk) -> list[str]:
    """Return all lines until the other side closes."""
    lines = []
    while (line := talk.line()) is not None:
        lines.append(line)
    return lines


@pytest.mark.parametrize("port", ["submission", "mx"])
@pytest.mark.parametrize(
    "request_line",
    [
        b"GET / HTTP/1.1\r\nHost: relay.test\r\n\r\n",
        b"POST /x HTTP/1.1\r\nContent-Length: 99\r\n\r\nEHLO c.test\r\nMAIL FROM:<a@b.test>\r\n",
        b"CONNECT relay.test:25 HTTP/1.1\r\n\r\n",
    ],
)
def test_http_is_told_that_this_is_smtp(place: Node, port: str, request_line: bytes) -> None:
    with Talk(getattr(place.ports, port)) as talk:
        talk.send(request_line)
        greeting, *rest = everything(talk)
        assert greeting.startswith("220 ")
        assert rest == ["500 5.5.2 This is SMTP; closing"]


@pytest.mark.parametrize("port", ["submission", "mx"])
def test_lines_of_garbage_end_with_too_many_errors(place: Node, port: str) -> None:
    with Talk(getattr(place.ports, port)) as talk:
        talk.send(b"\xff\xfe\x01garbage\r\n" * 30)
        lines = everything(talk)
        assert [line[:9] for line in lines[1:11]] == ["500 5.5.2"] * 10
        assert lines[11:] == ["421 4.7.0 Too many errors; closing"]


@pytest.mark.parametrize("octets", [b"\0" * 200_000, b"x" * 500_000, b"\xff" * 30_000 + b"\n"])
def test_a_line_without_end_is_refused_once_and_costs_no_memory(place: Node, octets: bytes) -> None:
    with Talk(place.ports.mx) as talk:
        assert talk.reply().startswith("220 ")
        talk.send(octets)
        assert talk.reply().startswith("500 5.5.2 ")
        with contextlib.suppress(ConnectionError):
            talk.send(b"\r\nQUIT\r\n")
        assert talk.reply()[:3] in {"221", ""}


def test_lines_with_nul_are_refused_and_the_dialogue_goes_on(place: Node) -> None:
    with Talk(place.ports.submission) as talk:
        talk.hello()
        talk.must("NOOP \0", "500 5.5.2 Lines end with CRLF and hold no bare CR, LF or NUL")
        talk.must("NOOP", "250")


def test_bare_line_feeds_are_told_so_and_closed(place: Node) -> None:
    with Talk(place.ports.mx) as talk:
        assert talk.reply().startswith("220 ")
        talk.send(b"EHLO c.test\n")
        assert talk.reply().startswith("500 5.5.2 Lines end with CRLF")
        assert talk.is_closed()


@pytest.mark.parametrize("port", ["submission", "mx"])
def test_tls_from_the_first_octet_on_a_port_of_starttls_fails_at_once(
    place: Node, port: str
) -> None:
    with pytest.raises(ssl.SSLError), Talk(getattr(place.ports, port), tls=anyone()):
        pass


@pytest.mark.parametrize("octets", [b"EHLO c.test\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\0" * 5000])
def test_what_is_not_tls_is_closed_on_465_without_a_word_in_clear(
    place: Node, octets: bytes
) -> None:
    with Talk(place.ports.submissions) as talk:
        talk.send(octets)
        assert not [line for line in everything(talk) if line[:3].isdigit()]


def test_a_damaged_client_hello_is_closed(place: Node) -> None:
    with Talk(place.ports.submissions) as talk:
        talk.send(CLIENT_HELLO)
        assert not [line for line in everything(talk) if line[:3].isdigit()]


def test_garbage_instead_of_a_handshake_behind_starttls_is_closed(place: Node) -> None:
    with Talk(place.ports.submission) as talk:
        talk.hello()
        talk.must("STARTTLS", "220")
        talk.send(b"MAIL FROM:<a@b.test>\r\n")
        assert not [line for line in everything(talk) if line[:3].isdigit()]


@pytest.mark.rfc("3207#6")
def test_octets_behind_starttls_in_one_packet_are_refused(place: Node) -> None:
    with Talk(place.ports.submission) as talk:
        talk.hello()
        talk.send(b"STARTTLS\r\nEHLO evil.test\r\n")
        assert everything(talk) == ["554 5.5.1 Octets came behind STARTTLS; closing"]


def test_garbage_inside_tls_ends_that_connection_only(place: Node) -> None:
    with upgraded(place.ports.submission) as talk:
        raw = talk.tls.detach()
        with contextlib.closing(socket.socket(fileno=raw)) as wire:
            wire.sendall(b"\x17\x03\x03\x00\x20" + b"\xaa" * 32)
            wire.settimeout(60)
            with contextlib.suppress(ConnectionError):
                while wire.recv(4096):
                    pass


@pytest.mark.parametrize("stage", ["greeting", "envelope", "content", "handshake"])
def test_clients_that_vanish_leave_nothing_behind(place: Node, stage: str) -> None:
    for _ in range(10):
        with Talk(place.ports.submission if stage == "handshake" else place.ports.mx) as talk:
            if stage != "greeting":
                talk.hello()
            if stage == "handshake":
                talk.must("STARTTLS", "220")
                talk.send(b"\x16\x03\x01")
            if stage == "envelope":
                talk.must("MAIL FROM:<a@b.test>", "250")
            if stage == "content":
                talk.envelope("a@b.test", "gone@all.test")
                talk.send(b"Subject: cut\r\n\r\nsome of it")
            # no close_notify, no QUIT, a reset
            talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert place.json("queue", "list", "--recipient", "gone@all.test") == []


def test_a_slow_client_is_served_octet_by_octet_and_holds_nobody_up(place: Node) -> None:
    done, others_sent = threading.Event(), threading.Event()

    def slow() -> None:
        with Talk(place.ports.mx) as talk:
            for octet in b"EHLO slow.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<slow@all.test>\r\n":
                talk.send(bytes([octet]))
                done.wait(0.005)
            assert others_sent.wait(60)
            talk.send(b"DATA\r\n")
            for octet in b"Subject: slow\r\n\r\n.\r\nQUIT\r\n":
                talk.send(bytes([octet]))
                done.wait(0.005)
            replies = everything(talk)
            assert replies[-1].startswith("221 ")
            assert replies[-2].startswith("250 2.0.0 Queued")
        done.set()

    thread = threading.Thread(target=slow)
    thread.start()
    sent = 0
    while not done.is_set() and thread.is_alive():
        send(place)
        sent += 1
        if sent > 3:
            others_sent.set()
    thread.join(60)
    assert done.is_set()
    assert sent > 3


def test_two_hundred_idle_connections_do_not_hold_up_one_that_sends(place: Node) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 512:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 1024), hard))
    with contextlib.ExitStack() as stack:
        talks = [stack.enter_context(Talk(place.ports.mx)) for _ in range(100)]
        talks += [
            stack.enter_context(Talk(place.ports.submissions, tls=anyone())) for _ in range(100)
        ]
        for talk in talks:
            assert talk.reply().startswith("220 ")
        for _ in range(5):
            send(place)
        for talk in talks:
            talk.must("NOOP", "250")


def test_mail_of_a_stranger_in_the_middle_of_it_all_arrives(place: Node) -> None:
    with Talk(place.ports.mx) as talk:
        talk.hello()
        talk.envelope("a@b.test", "alice@local.test")
        assert talk.message(b"Subject: hi\r\n\r\nhi\r\n").startswith("250 ")
    new = place.data_dir / "local" / "alice" / "new"
    wait_until(lambda: new.is_dir() and any(new.iterdir()), "mail for alice")
