"""The limits of [limits], each reached over loopback: the right reply or close, and who is free."""

import contextlib
import time

import pytest

from tests.node.conftest import ACCOUNT, LOCAL, PASSWORD, NodeOf
from tests.node.talk import Talk, anyone, upgraded
from tests.support.node import Node, wait_until

#: Long enough for a client on a busy machine to say the next word in time; the defaults are 5 min, 30 s and 1 h.
TIMES = '[limits]\nidle = "2 s"\nhandshake = "2 s"\nsession = "6 s"\n'
FEW = "[limits]\nconnections_per_address = 4\nconnections = 7\n"
SIZES = "[limits]\nmessage_size = 20000\nrecipients = 100\nauthentication_failures = 3\n"
LETTER = b"From: app@sender.test\r\nSubject: x\r\n\r\n"


@pytest.fixture
def hasty(node_of: NodeOf) -> Node:
    return node_of(LOCAL + TIMES)


@pytest.fixture
def narrow(node_of: NodeOf) -> Node:
    return node_of(LOCAL + FEW, workers=2)


@pytest.fixture
def small(node_of: NodeOf) -> Node:
    return node_of(LOCAL + SIZES)


def lasted(talk: Talk) -> float:
    begin = time.monotonic()
    assert talk.is_closed()
    return time.monotonic() - begin


# -- times


@pytest.mark.rfc("5321#4.5.3.2.7")
def test_an_idle_connection_hears_why_it_ends(hasty: Node) -> None:
    with Talk(hasty.ports.mx) as talk:
        assert talk.reply().startswith("220 ")
        assert talk.reply().startswith("421 4.4.2 Idle")
        assert talk.is_closed()


def test_an_idle_login_is_told_inside_tls(hasty: Node) -> None:
    with Talk(hasty.ports.submissions, tls=anyone()) as talk:
        talk.hello()
        assert talk.login(ACCOUNT, PASSWORD).startswith("235")
        assert talk.reply().startswith("421 4.4.2 Idle")
        assert talk.is_closed()


def test_idle_in_the_middle_of_content_ends_it_and_nothing_is_kept(hasty: Node) -> None:
    with Talk(hasty.ports.mx) as talk:
        talk.hello()
        talk.envelope("a@b.test", "half@all.test")
        talk.send(b"Subject: half\r\n")
        assert talk.reply().startswith("421 4.4.2 ")
        assert talk.is_closed()
    assert hasty.json("queue", "list", "--recipient", "half@all.test") == []


@pytest.mark.parametrize("octets", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00"])
def test_a_half_open_handshake_is_closed_on_465(hasty: Node, octets: bytes) -> None:
    with Talk(hasty.ports.submissions) as talk:
        talk.send(octets)
        assert lasted(talk) < 20


@pytest.mark.rfc("3207#4")
def test_a_handshake_that_does_not_come_behind_starttls_is_closed(hasty: Node) -> None:
    with Talk(hasty.ports.submission) as talk:
        talk.hello()
        talk.must("STARTTLS", "220")
        assert lasted(talk) < 20


def test_a_client_that_says_an_octet_at_a_time_reaches_the_end_of_its_session(hasty: Node) -> None:
    with Talk(hasty.ports.mx) as talk:
        talk.hello()
        begin = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - begin < 40:
                talk.send(b"x")
                talk.socket.settimeout(0.2)
                try:
                    reply = talk.reply()
                except TimeoutError:
                    continue
                assert reply.startswith("421 4.4.2 Connection was open for too long")
                break
        assert 5 < time.monotonic() - begin < 30


def test_a_client_that_never_reads_is_let_go(hasty: Node) -> None:
    with Talk(hasty.ports.mx) as talk:
        talk.socket.settimeout(0.2)
        begin = time.monotonic()
        # NOOP's replies fill both sides' buffers; then it must stop reading us, and give up.
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - begin < 50:
                with contextlib.suppress(TimeoutError):
                    talk.send(b"NOOP\r\n" * 10_000)
        assert time.monotonic() - begin < 45
    with Talk(hasty.ports.mx) as talk:
        talk.hello()


# -- counts


def greeted(node: Node, count: int, source: str | None = None) -> list[Talk]:
    """Return connections that are let in: those of the test before may still be being closed."""
    talks: list[Talk] = []

    def are_let_in() -> bool:
        talks[:] = [Talk(node.ports.mx, source=source) for _ in range(count)]
        if all(talk.reply().startswith("220 ") for talk in talks):
            return True
        for talk in talks:
            talk.close()
        return False

    wait_until(are_let_in, f"{count} places")
    return talks


def refused(node: Node, source: str) -> str:
    with Talk(node.ports.mx, source=source) as talk:
        reply = talk.reply()
        assert reply.startswith("220 ") or talk.is_closed()
        return reply


def test_connections_of_one_address_are_counted_over_all_workers(narrow: Node) -> None:
    with contextlib.ExitStack() as stack:
        # Each on a port of its own choice: the kernel spreads them over both workers.
        mine = greeted(narrow, 4, "127.0.0.3")
        for talk in mine:
            stack.enter_context(talk)
        for _ in range(8):
            assert refused(narrow, "127.0.0.3").startswith("421 4.7.0 Too many connections")
        for talk in greeted(narrow, 1, "127.0.0.4"):
            stack.enter_context(talk)
        mine[0].must("QUIT", "221")
        wait_until(lambda: refused(narrow, "127.0.0.3").startswith("220"), "a free place")
        mine[1].must("NOOP", "250")


def test_connections_of_all_together_are_counted_over_all_workers(narrow: Node) -> None:
    def all_places() -> bool:
        with contextlib.ExitStack() as stack:
            talks = [
                stack.enter_context(Talk(narrow.ports.mx, source=f"127.0.1.{last}"))
                for last in range(1, 8)
            ]
            if not all(talk.reply().startswith("220 ") for talk in talks):
                return False  # those of the test before are still being closed
            assert refused(narrow, "127.0.1.9").startswith("421 4.7.0 Too many connections")
            with Talk(narrow.ports.submissions, source="127.0.1.9") as talk:
                assert talk.is_closed()
            return True

    wait_until(all_places, "seven places")


# -- sizes


@pytest.mark.rfc("1870#6.1")
def test_a_message_that_says_it_is_too_large_is_refused_at_mail(small: Node) -> None:
    with upgraded(small.ports.submission) as talk:
        assert talk.login(ACCOUNT, PASSWORD).startswith("235")
        talk.must(f"MAIL FROM:<{ACCOUNT}> SIZE=20001", "552 5.3.4 Message too large: at most 20000")
        talk.must(f"MAIL FROM:<{ACCOUNT}> SIZE=99999999999999999999", "552 5.3.4")
        talk.must(f"MAIL FROM:<{ACCOUNT}> SIZE=20000", "250")


@pytest.mark.rfc("1870#6.3")
def test_a_message_that_grows_too_large_is_refused_at_its_end(small: Node) -> None:
    with upgraded(small.ports.submission) as talk:
        assert talk.login(ACCOUNT, PASSWORD).startswith("235")
        for size in (19_000, 25_000, 3_000_000, 19_000):
            talk.envelope(ACCOUNT, "you@elsewhere.test")
            body = b"x" * 98 + b"\r\n"
            reply = talk.message(LETTER + body * ((size - len(LETTER)) // 100))
            assert reply.startswith("552 5.3.4" if size > 20_000 else "250 2.0.0 Queued")


@pytest.mark.rfc("5321#4.5.3.1.10")
def test_recipients_beyond_the_limit_are_asked_for_later_and_the_others_get_it(small: Node) -> None:
    with upgraded(small.ports.submission) as talk:
        assert talk.login(ACCOUNT, PASSWORD).startswith("235")
        talk.must(f"MAIL FROM:<{ACCOUNT}>", "250")
        for number in range(100):
            talk.must(f"RCPT TO:<u{number}@elsewhere.test>", "250")
        for _ in range(5):
            talk.must("RCPT TO:<late@elsewhere.test>", "452 4.5.3")
        talk.must("DATA", "354")
        assert talk.message(LETTER).startswith("250")


# -- guessing


@pytest.mark.rfc("4954#6")
def test_a_guesser_is_locked_out_and_nobody_else(small: Node) -> None:
    def attempt(source: str, password: str) -> str:
        with Talk(small.ports.submissions, tls=anyone(), source=source) as talk:
            talk.hello()
            return talk.login(ACCOUNT, password)

    for number in range(3):
        assert attempt("127.0.0.5", f"guess {number}").startswith("535 5.7.8")
    with Talk(small.ports.submissions, tls=anyone(), source="127.0.0.5") as talk:
        talk.hello()
        assert talk.login(ACCOUNT, PASSWORD).startswith("421 4.7.0 Too many failed logins")
        assert talk.is_closed()
    assert attempt("127.0.0.6", PASSWORD).startswith("235")
