"""SMTPUTF8, BINARYMIME, and what `[submission]` does to lines: what is stored, and what for."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gatepost.model.settings import SubmissionSettings
from gatepost.model.submission import Origin
from gatepost.reception.accept import Acceptance, Accepted, judge
from gatepost.reception.arrival import Arrival, Origination
from gatepost.reception.fixups import Completed, Facts, complete
from gatepost.wire.message.trace import Hop
from gatepost.wire.smtp.grammar import Mailbox
from gatepost.wire.smtp.replies import Reply
from tests.reception.test_chunks import chunk, talk

HOP = Hop("client.example", "192.0.2.1", "relay.example", "1", datetime(2026, 1, 1, tzinfo=UTC))
FROM = b"From: a@b.test\r\n"
LONG = b"x" * 1200 + b"\r\n"


def finish(content: bytes, *, mx: bool = False, **known: Any) -> Completed | Reply:
    rules = SubmissionSettings(**known.pop("rules", {}))
    return complete(content, Facts(HOP, not mx, "a@b.test", rules=rules, **known))


def completed(content: bytes, **known: Any) -> Completed:
    result = finish(content, **known)
    assert isinstance(result, Completed), result
    return result


def out(content: bytes, **known: Any) -> bytes:
    return b"".join(completed(content, **known).pieces)


def refusal(content: bytes, **known: Any) -> str:
    result = finish(content, **known)
    assert isinstance(result, Reply)
    return result.octets.decode()


@pytest.mark.rfc("6531#3.2")
def test_a_header_in_utf8_is_written_in_ascii_unless_smtputf8_was_said() -> None:
    content = "From: a@b.test\r\nSubject: Grüße\r\n\r\nGrüße\r\n".encode()
    made = completed(content)
    assert b"Subject: =?utf-8?B?R3LDvMOfZQ==?=\r\n\r\nGr\xc3\xbc" in b"".join(made.pieces)
    assert (made.eight_bit, made.utf8_header) == (True, False)
    kept = completed(content, utf8=True)
    assert kept.pieces == (content,)
    assert kept.utf8_header
    assert completed(content, mx=True).pieces == (content,)
    ascii_header = FROM + b"\r\n\xc3\xbc\r\n"
    assert not completed(ascii_header, utf8=True).utf8_header


@pytest.mark.rfc("3030#3")
@pytest.mark.parametrize("mx", [False, True])
def test_binary_content_is_kept_octet_for_octet(mx: bool) -> None:
    content = FROM + b"\r\n\0\n\r" + bytes(range(256)) + LONG
    made = completed(content, binary=True, mx=mx)
    assert made.pieces == (content,)
    assert made.binary
    assert not completed(FROM + b"\r\ntext\r\n", binary=True, mx=mx).binary
    assert "NUL" in refusal(content, mx=mx)


def test_a_header_is_never_binary() -> None:
    assert "field holds a NUL" in refusal(b"From: a@b.test\0\r\n\r\n", binary=True)
    assert "5.6.0" in refusal(b"From: a@b.test\nTo: x\r\n\r\n", binary=True)


@pytest.mark.rfc("5322#2.1.1")
def test_long_lines_are_encoded_refused_or_passed() -> None:
    content = FROM + b"\r\n" + LONG
    made = out(content)
    assert b"quoted-printable" in made
    assert max(map(len, made.split(b"\r\n"))) <= 998
    assert "554 5.6.0" in refusal(content, rules={"long_lines": "refuse"})
    assert out(content, rules={"long_lines": "pass"}) == content
    assert "longer than 998" in refusal(content, mx=True)
    signed = FROM + b"Content-Type: multipart/signed; boundary=x\r\n\r\n" + LONG
    assert "signed or encrypted" in refusal(signed)


@pytest.mark.rfc("5321#2.3.8")
def test_bare_line_ends_are_normalised_or_refused() -> None:
    content = FROM + b"\r\na\nb\rc\r\n"
    assert out(content).endswith(b"a\r\nb\r\nc\r\n")
    assert "bare CR or LF" in refusal(content, rules={"bare_line_ends": "refuse"})
    assert "bare CR or LF" in refusal(content, mx=True)


@pytest.mark.rfc("5322#3.6")
@pytest.mark.parametrize("name", ["From", "Date", "Message-ID", "Subject", "To", "Cc", "Sender",
                                  "Reply-To", "In-Reply-To", "References", "Bcc"])  # fmt: skip
def test_a_field_that_occurs_twice_is_named(name: str) -> None:
    content = FROM * (name != "From") + f"{name}: a@b.test\r\n".encode() * 2 + b"\r\n"
    assert refusal(content).startswith(f"554 5.6.0 Message refused: {name}: header field may occur")


async def test_what_came_in_binary_is_stored_so_and_marked() -> None:
    async with talk() as it:
        await it.ask("EHLO c.test")
        await it.ask("MAIL FROM:<a@b.test> BODY=BINARYMIME SMTPUTF8")
        await it.ask("RCPT TO:<alice@local.test>")
        content = FROM + b"\r\n\0\n\r\xff"
        assert (await chunk(it, content, last=True)).startswith("250 2.0.0 Queued")
        (stored,) = it.scene.store.contents.values()
        (submission,) = it.scene.store.submissions
        assert stored.endswith(content)
        assert b"with UTF8SMTP id" in stored.replace(b"\r\n", b"")
        assert (submission.eight_bit, submission.binary, submission.utf8) == (True, True, False)


async def test_a_mailbox_beyond_ascii_is_found_however_it_is_written() -> None:
    async with talk() as it:
        await it.ask("EHLO c.test")
        await it.ask("MAIL FROM:<a@b.test> SMTPUTF8")
        for path in ("Jürg@all.test", "Ju\u0308rg@ALL.test"):
            assert (await it.ask(f"RCPT TO:<{path}>")).startswith("250")
        assert (await chunk(it, FROM, last=True)).startswith("250")
        assert it.scene.store.submissions[0].utf8


@pytest.mark.rfc("6409#8")
@pytest.mark.parametrize(
    ("origin", "hide", "told"),
    [(Origin.SUBMISSION, True, False), (Origin.SUBMISSION, False, True), (Origin.MX, True, True)],
)
def test_the_clients_address_is_hidden_by_setting(origin: Origin, hide: bool, told: bool) -> None:
    store: Any = None
    rules = SubmissionSettings(hide_client=hide)
    to = Acceptance(store, "relay.test", 10_000, timedelta(days=5), rules=rules)
    origination = Origination(origin, "laptop.home", "192.0.2.7", "ESMTPSA")
    paths = (Mailbox("b", "c.test"),)
    accepted = judge(Arrival(origination, "a@b.test", paths, (FROM,), 16), to, HOP.at)
    assert isinstance(accepted, Accepted)
    prefix = accepted.pieces[0]
    assert (b"192.0.2.7" in prefix, b"laptop.home" in prefix) == (told, told)
    assert prefix.startswith(b"Received: from " if told else b"Received: by relay.test with")
    assert accepted.event.facts["client"] == "192.0.2.7"
