"""Next hops that take less than we did: content is made fit for them, or returned (decision 23)."""

import email
import re
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from gatepost.delivery import fitting
from gatepost.delivery.fitting import Fitted, Unfit, fit
from gatepost.model.delivery import DeliveryState
from gatepost.model.ids import SubmissionId
from gatepost.model.route import ViaLmtp, ViaMaildir
from gatepost.model.submission import Origin, Submission
from gatepost.net.clock import now
from gatepost.wire.message.addresses import addresses_of
from gatepost.wire.message.header import Header, HeaderFault, scan, value_of
from gatepost.wire.message.limits import LONG_HEADER
from gatepost.wire.smtp.extensions import Offers
from tests.delivery.rig import Rig, routing
from tests.sink import Sink

DELIVERED, REFUSED = DeliveryState.DELIVERED, DeliveryState.REFUSED
OCTETS = bytes(range(256)) * 3
TEXT = b"From: a@x.example\r\nMIME-Version: 1.0\r\n\r\nGr\xc3\xbc\xc3\x9fe from here\r\n"
BINARY = (
    b"From: a@x.example\r\nMIME-Version: 1.0\r\nContent-Type: application/x\r\n"
    b"Content-Transfer-Encoding: binary\r\n\r\n" + OCTETS
)
UTF8 = "From: Jürgen <a@x.example>\r\n\r\nhi\r\n".encode()
#: What a rewriter that takes quotes, comments and literals for others than a reader does makes an author.
FORGING = (
    'From: (( x) "é ) "q) <ceo@victim.example> (" <m@x.example> (é")',
    'From: [é"] <m@x.example> ("x <ceo@victim.example>")',
    'From: (") "é <ceo@victim.example> " <m@x.example>',
    'From: "é\\"" <m@x.example> (" <ceo@victim.example>")',
    "From: é (\\) <ceo@victim.example>) <m@x.example>",
    'From: é "<ceo@victim.example>, " <m@x.example>',
    "From: é <ceo@victim.example> <m@x.example>",
    "From: é, ceo@victim.example <m@x.example>",
)
BEYOND = TEXT.rpartition(b"\r\n\r\n")[2]
ALL = ("8BITMIME", "CHUNKING", "BINARYMIME", "SMTPUTF8", "SIZE 100000000")
EIGHT = {"eight_bit": True}
IS_BINARY = {"eight_bit": True, "binary": True}
IS_UTF8 = {"eight_bit": True, "utf8": True}


async def sent(
    offers: tuple[str, ...], content: bytes, needs: dict[str, bool]
) -> tuple[str, bytes]:
    """Return the MAIL command and the content as a next hop saw them."""
    async with Sink(offers=offers) as sink, Rig(sink.port) as rig:
        rig.mx("y.example", (10, "mx.y.example", "127.0.0.1"))
        await rig.until_state(await rig.submit("b@y.example", content=content, needs=needs))
        (message,) = sink.messages
        return message.mail.partition("> ")[2], message.content


async def no_signature(domains: Collection[str], content: bytes) -> bytes:
    return b""


@pytest.mark.rfc("3030#3")
async def test_binary_content_goes_by_bdat_octet_for_octet() -> None:
    mail, content = await sent(ALL, BINARY, IS_BINARY)
    assert mail == f"SIZE={len(BINARY)} BODY=BINARYMIME"
    assert content == BINARY


@pytest.mark.rfc("3030#3")
@pytest.mark.parametrize("offers", [(), ("8BITMIME",), ("BINARYMIME", "8BITMIME"), ("CHUNKING",)])
async def test_binary_content_is_encoded_for_others_and_signed_again(
    offers: tuple[str, ...],
) -> None:
    mail, content = await sent(offers, BINARY, IS_BINARY)
    assert mail == ""
    assert content.startswith(b"DKIM-Signature: again\r\n")
    assert email.message_from_bytes(content).get_payload(decode=True) == OCTETS


@pytest.mark.rfc("3030#2")
@pytest.mark.parametrize(
    ("needs", "offers", "size"),
    [
        (IS_BINARY, Offers(binary=True), 9),
        (IS_BINARY, Offers(binary=True, eight_bit=True), 9),
        (EIGHT, Offers(eight_bit=True), 5),
        ({}, Offers(), 5),
    ],
)
async def test_what_goes_as_it_is_is_read_by_nobody(
    needs: dict[str, bool], offers: Offers, size: int
) -> None:
    """Of binary content alone the octets are counted: a chunk is as long as it says."""
    submission = Submission(SubmissionId("1"), "", 5, now(), **needs)
    made = await fit(submission, (b"no\xff", b"header"), offers, no_signature)
    assert isinstance(made, Fitted)
    assert made.pieces == (b"no\xff", b"header")
    assert made.size == size
    assert (made.eight_bit, made.binary) == (submission.eight_bit, submission.binary)


@pytest.mark.parametrize(
    ("needs", "content", "offers", "says"),
    [
        (IS_BINARY, BINARY, Offers(eight_bit=True), (False, False, False)),
        (IS_BINARY | IS_UTF8, BINARY, Offers(eight_bit=True, utf8=True), (False, False, True)),
        (IS_UTF8, UTF8 + BEYOND, Offers(eight_bit=True), (True, False, False)),
        (IS_UTF8, UTF8 + BEYOND, Offers(), (False, False, False)),
    ],
)
async def test_what_is_changed_is_said_to_be_what_it_is_then(
    needs: dict[str, bool], content: bytes, offers: Offers, says: tuple[bool, bool, bool]
) -> None:
    submission = Submission(SubmissionId("1"), "", len(content), now(), **needs)
    made = await fit(submission, (content,), offers, no_signature)
    assert isinstance(made, Fitted)
    assert (made.eight_bit, made.binary, made.utf8) == says


@pytest.mark.parametrize(
    ("needs", "header", "body", "is_alone"),
    [
        (IS_UTF8, 10, 10, False),
        (EIGHT, LONG_HEADER - 1000, 200_000, False),
        (EIGHT, LONG_HEADER + 1000, 10, True),
        (EIGHT, 10, 300_000, True),
        (IS_UTF8, 10, LONG_HEADER, True),
    ],
)
async def test_what_takes_long_to_change_is_changed_beside_the_loop(
    needs: dict[str, bool], header: int, body: int, is_alone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others wait for no header of many fields, no large content, no encoded words in one of any size."""
    threads: list[str] = []

    def noting(*arguments: Any) -> Any:
        threads.append(threading.current_thread().name)
        return changed(*arguments)

    changed = fitting._changed
    monkeypatch.setattr(fitting, "_changed", noting)
    folded = b"X: y\r\n" + (b" " + b"y" * 68 + b"\r\n") * (header // 71)
    content = b"From: a@x.example\r\n" + folded + b"\r\n" + b"\xc3\xa9 text\r\n" * (body // 9)
    submission = Submission(SubmissionId("1"), "", len(content), now(), **needs)
    made = await fit(submission, (content,), Offers(), no_signature)
    assert isinstance(made, Fitted)
    assert [name.startswith("reencode") for name in threads] == [is_alone]


@pytest.mark.rfc("6152#3")
async def test_eight_bit_text_is_encoded_for_who_lacks_8bitmime() -> None:
    assert await sent(("8BITMIME",), TEXT, EIGHT) == ("BODY=8BITMIME", TEXT)
    mail, content = await sent((), TEXT, EIGHT)
    assert (mail, content.isascii()) == ("", True)
    assert b"Gr=C3=BC=C3=9Fe from here" in content


@pytest.mark.rfc("6531#3.4")
async def test_a_header_in_utf8_goes_as_it_is_or_as_encoded_words() -> None:
    assert await sent(ALL, UTF8, IS_UTF8) == (
        f"SIZE={len(UTF8)} BODY=8BITMIME SMTPUTF8",
        UTF8,
    )
    mail, content = await sent(("8BITMIME",), UTF8, IS_UTF8)
    assert (mail, content.isascii()) == ("", True)
    assert (
        str(email.message_from_bytes(content)["From"]) == "=?utf-8?B?SsO8cmdlbg==?= <a@x.example>"
    )


@pytest.mark.rfc("6531#3.5")
@pytest.mark.parametrize(
    ("reverse_path", "forward_path", "content", "status"),
    [
        ("ü@x.example", "b@y.example", UTF8, "5.6.7"),
        ("a@x.example", "ü@y.example", UTF8, "5.6.7"),
        ("a@x.example", "b@y.example", "From: ü@x.example\r\n\r\nhi\r\n".encode(), "5.6.9"),
    ],
)
async def test_an_address_that_is_not_ascii_is_returned(
    reverse_path: str, forward_path: str, content: bytes, status: str
) -> None:
    async with Sink(offers=("8BITMIME",)) as sink, Rig(sink.port) as rig:
        rig.mx("y.example", (10, "mx.y.example", "127.0.0.1"))
        ids = await rig.submit(
            forward_path, reverse_path=reverse_path, content=content, needs=IS_UTF8
        )
        (row,) = await rig.until_state(ids, REFUSED)
        assert row.last_outcome is not None
        assert row.last_outcome.status == status
        assert row.last_outcome.host == "mx.y.example"
        assert sink.messages == []


@pytest.mark.rfc("6531#3.2")
async def test_who_can_be_reached_in_ascii_is() -> None:
    async with Sink(offers=("8BITMIME",)) as sink, Rig(sink.port) as rig:
        rig.mx("y.example", (10, "mx.y.example", "127.0.0.1"))
        rows = await rig.until_state(
            await rig.submit("b@y.example", "ü@y.example", content=UTF8, needs=IS_UTF8)
        )
        assert [r.state for r in rows] == [DELIVERED, REFUSED]
        assert sink.messages[0].forward_paths == ["b@y.example"]


@pytest.mark.rfc("6531#3.2")
async def test_an_address_in_utf8_goes_to_who_takes_it() -> None:
    async with Sink(offers=ALL) as sink, Rig(sink.port) as rig:
        rig.mx("y.example", (10, "mx.y.example", "127.0.0.1"))
        ids = await rig.submit("ü@y.example", reverse_path="é@x.example", needs=IS_UTF8)
        await rig.until_state(ids, DELIVERED)
        assert sink.messages[0].forward_paths == ["ü@y.example"]
        assert sink.messages[0].reverse_path == "é@x.example"


async def test_what_is_signed_as_a_whole_is_returned() -> None:
    content = b"From: a@x.example\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n\xc3\xa9\r\n"
    async with Sink(offers=()) as sink, Rig(sink.port) as rig:
        rig.mx("y.example", (10, "mx.y.example", "127.0.0.1"))
        ids = await rig.submit("b@y.example", content=content, needs=EIGHT)
        (row,) = await rig.until_state(ids, REFUSED)
        assert row.last_outcome is not None
        assert row.last_outcome.status == "5.6.3"
        assert "signed or encrypted" in row.last_outcome.text


async def test_a_maildir_gets_lines(tmp_path: Path) -> None:
    routes = routing({"y.example": ViaMaildir(str(tmp_path))})
    async with Rig(0, routes=routes) as rig:
        await rig.until_state(
            await rig.submit("b@y.example", content=BINARY, needs=IS_BINARY), DELIVERED
        )
    (file,) = (tmp_path / "b" / "new").iterdir()
    assert email.message_from_bytes(file.read_bytes()).get_payload(decode=True) == OCTETS


async def test_lmtp_has_its_own_offers() -> None:
    async with Sink(offers=ALL, lmtp=True) as sink:
        routes = routing({"y.example": ViaLmtp("127.0.0.1", sink.port)})
        async with Rig(0, routes=routes) as rig:
            ids = await rig.submit("b@y.example", "c@y.example", content=BINARY, needs=IS_BINARY)
            await rig.until_state(ids, DELIVERED)
        assert "BINARYMIME" in sink.messages[0].mail
        assert sink.messages[0].content == BINARY


OURS = (
    b"DKIM-Signature: v=1; a=rsa-sha256; d=x.example; s=a; h=From; bh=AA==;\r\n b=AA==\r\n"
    b"DKIM-Signature: v=1; a=rsa-sha256; d=z.example; s=a; h=From; bh=AA==; b=AA==\r\n"
)
RECEIVED = b"Received: x\r\n"
THEIRS = OURS.replace(b"x.example", b"theirs.example")


@pytest.mark.parametrize(
    ("origin", "content", "signed_by", "rest"),
    [
        (
            Origin.SUBMISSION,
            OURS + RECEIVED + THEIRS,
            ("x.example", "z.example"),
            RECEIVED + THEIRS,
        ),
        (Origin.SUBMISSION, RECEIVED + THEIRS, (), RECEIVED + THEIRS),
        (Origin.RETURN, OURS, ("x.example", "z.example"), b""),
        (Origin.RETURN, b"", (), b""),
        (Origin.MX, OURS + RECEIVED, (), OURS + RECEIVED),
    ],
)
async def test_our_former_signatures_go_and_only_who_made_them_signs_again(
    origin: Origin, content: bytes, signed_by: tuple[str, ...], rest: bytes
) -> None:
    asked: list[tuple[str, ...]] = []

    async def sign(domains: Collection[str], content: bytes) -> bytes:
        asked.append(tuple(domains))
        return b"DKIM-Signature: new\r\n"

    submission = Submission(SubmissionId("1"), "", 1, now(), origin, eight_bit=True)
    made = await fit(submission, (content, TEXT), Offers(), sign)
    assert isinstance(made, Fitted)
    whole = b"".join(made.pieces)
    assert made.size == len(whole)
    assert whole.startswith(b"DKIM-Signature: new\r\n" + rest + b"From: a@x.example\r\n")
    assert asked == [signed_by]


@pytest.mark.parametrize("origin", [Origin.SUBMISSION, Origin.MX])
@pytest.mark.parametrize("field", FORGING)
async def test_a_message_names_nobody_else_when_it_was_changed(field: str, origin: Origin) -> None:
    content = f"{field}\r\nSubject: x\r\n\r\nhi\r\n".encode()
    submission = Submission(
        SubmissionId("1"), "", len(content), now(), origin, eight_bit=True, utf8=True
    )
    for offers in (Offers(), Offers(eight_bit=True)):
        made = await fit(submission, (OURS, RECEIVED, content), offers, no_signature)
        assert not isinstance(made, Unfit)
        written = b"".join(made.pieces)
        assert written.isascii()
        assert from_of(written) == from_of(content)


@pytest.mark.parametrize(("needs", "status"), [(EIGHT, "5.6.3"), (IS_UTF8, "5.6.9")])
@pytest.mark.parametrize("origin", [Origin.SUBMISSION, Origin.MX])
async def test_a_header_that_is_none_is_returned(
    needs: dict[str, bool], status: str, origin: Origin
) -> None:
    content = "\0no header\r\n\r\ngrün\r\n".encode()
    submission = Submission(SubmissionId("1"), "", len(content), now(), origin, **needs)
    made = await fit(submission, (content,), Offers(), no_signature)
    assert isinstance(made, Unfit)
    assert made.status == status
    assert "it cannot be changed: its " in made.words


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (b"From: ceo@victim.example\r\n\r\n", "it would name another author then"),
        (b"Sender: ceo@victim.example\r\nFrom: a@x.example\r\n\r\n", "another author"),
        (b"From: a@x.example\r\nFrom: a@x.example\r\n\r\n", "another author"),
        (b"Subject: nobody's\r\n\r\n", "another author"),
        (b"\0no header\r\n\r\n", "it cannot be changed: its .* then"),
    ],
)
async def test_who_rewrites_a_header_is_not_believed(
    written: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "reencode", lambda *_: written)
    submission = Submission(SubmissionId("1"), "", len(UTF8), now(), utf8=True)
    made = await fit(submission, (UTF8,), Offers(), no_signature)
    assert isinstance(made, Unfit)
    assert made.status == "5.6.9"
    assert re.search(words, made.words)


def from_of(content: bytes) -> tuple[str, ...]:
    header = scan(content)
    assert isinstance(header, Header)
    (field,) = header.named(b"from")
    found = addresses_of(value_of(content, field))
    return () if isinstance(found, HeaderFault) else found


# -- LIMITS (RFC 9422)


@pytest.mark.parametrize(
    ("limits", "forward_paths", "sessions"),
    [
        ("RCPTMAX=2", [2, 2, 1], 1),
        ("RCPTDOMAINMAX=1", [3, 2], 1),
        ("MAILMAX=1 RCPTMAX=3", [3, 2], 2),
        ("RCPTMAX=0 MAILMAX=x RCPTDOMAINMAX=", [5], 1),
    ],
)
async def test_what_a_server_limits_is_kept(
    limits: str, forward_paths: list[int], sessions: int
) -> None:
    async with Sink(offers=("8BITMIME", f"LIMITS {limits}")) as sink, Rig(sink.port) as rig:
        for domain in ("y.example", "z.example"):
            rig.mx(domain, (10, "mx.y.example", "127.0.0.1"))
        await rig.until_state(await rig.submit("a@y.example", "a@z.example"), DELIVERED)
        sink.messages.clear()
        paths = ("b@y.example", "c@y.example", "d@y.example", "e@z.example", "f@z.example")
        rows = await rig.until_state(await rig.submit(*paths), DELIVERED)
        assert sorted((len(m.forward_paths) for m in sink.messages), reverse=True) == forward_paths
        assert [r.attempts for r in rows] == [1] * 5
        if "MAILMAX=1" in limits:
            assert len({m.session for m in sink.messages}) == sessions
