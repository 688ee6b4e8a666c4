"""What is added, cut and refused before a message is stored."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.reception.fixups import (
    Completed,
    Facts,
    complete,
    has_clean_line_ends,
    has_long_line,
    with_clean_line_ends,
)
from gatepost.wire.message.trace import Hop, received_field
from gatepost.wire.smtp.replies import BAD_CONTENT, MAIL_LOOP, Reply

HOP = Hop(
    "client.example", "192.0.2.1", "relay.example", "0192a5", datetime(2026, 11, 23, tzinfo=UTC)
)
RECEIVED = received_field(HOP)
SUBMISSION = Facts(HOP, is_submission=True, reverse_path="app@example.com")
FROM_SERVER = Facts(HOP, is_submission=False, reverse_path="a@b.example")

DATE = b"Date: Mon, 23 Nov 2026 00:00:00 +0000\r\n"
ID = b"Message-ID: <0192a5@relay.example>\r\n"
FROM = b"From: App <app@example.com>\r\n"
CLEAN = b"Date: x\r\nMessage-ID: <1@client.example>\r\n" + FROM + b"\r\nBody\r\n"


def completed(content: bytes, facts: Facts = SUBMISSION) -> Completed:
    result = complete(content, facts)
    assert isinstance(result, Completed), result
    assert result.size == sum(map(len, result.octets))
    return result


def refused(content: bytes, facts: Facts = SUBMISSION) -> Reply:
    result = complete(content, facts)
    assert isinstance(result, Reply), result
    return result


@pytest.mark.parametrize("facts", [SUBMISSION, FROM_SERVER])
def test_clean_content_goes_out_as_it_came_and_is_not_copied(facts: Facts) -> None:
    result = completed(CLEAN, facts)
    assert result.prefix == RECEIVED
    assert len(result.pieces) == 1
    assert result.pieces[0] is CLEAN


AUTHORS = b"From: app@example.com, Boss <boss@brand.example>\r\n"
MANY = b"Date: x\r\nMessage-ID: <1@c.example>\r\n" + AUTHORS


@pytest.mark.rfc("5322#3.6.2")
@pytest.mark.rfc("6409#8.1")
@pytest.mark.parametrize(
    ("content", "reverse_path", "added", "senders"),
    [
        (MANY + b"\r\n", "app+b@example.com", b"Sender: <app+b@example.com>\r\n", ("app+b@example.com",)),
        (MANY + b"Sender:  \r\n\r\n", "a@example.com", b"Sender: <a@example.com>\r\n", ("a@example.com",)),
        (MANY + b"Sender: s@example.com\r\n\r\n", "a@example.com", b"", ("s@example.com",)),
        (MANY + b"\r\n", "", b"", ()),
        (MANY + b"\r\n", '"a b"@example.com', b'Sender: <"a b"@example.com>\r\n', ('"a b"@example.com',)),
        (CLEAN, "other@example.com", b"", ()),
    ],
)  # fmt: skip
def test_several_authors_get_a_sender(
    content: bytes, reverse_path: str, added: bytes, senders: tuple[str, ...]
) -> None:
    result = completed(content, replace(SUBMISSION, reverse_path=reverse_path))
    assert result.prefix == RECEIVED + added
    assert result.sender_addresses == senders
    assert b"".join(result.octets).lower().count(b"\r\nsender:") == len(senders)
    assert not result.eight_bit
    assert not result.utf8_header


def test_a_sender_beyond_ascii_makes_the_header_so() -> None:
    facts = replace(SUBMISSION, reverse_path="größe@example.com", utf8=True)
    result = completed(MANY + b"\r\n", facts)
    assert result.prefix == RECEIVED + "Sender: <größe@example.com>\r\n".encode()
    assert result.utf8_header
    assert result.eight_bit


def test_mail_of_servers_gets_no_sender() -> None:
    assert completed(MANY + b"\r\n", FROM_SERVER).prefix == RECEIVED


def test_a_sender_that_names_nobody_is_refused() -> None:
    assert "Sender" in refused(MANY + b"Sender: group:;\r\n\r\n").text


def test_what_the_header_says_is_handed_on() -> None:
    result = completed(b"Sender: sec@example.com\r\n" + CLEAN)
    assert result.message_id == "<1@client.example>"
    assert result.from_addresses == ("app@example.com",)
    assert result.sender_addresses == ("sec@example.com",)
    assert not result.eight_bit
    assert completed(CLEAN + b"\xff\r\n").eight_bit


@pytest.mark.rfc("6409#8.2")
@pytest.mark.rfc("6409#8.3")
@pytest.mark.parametrize(
    ("content", "added", "rest"),
    [
        (FROM + b"\r\nBody\r\n", DATE + ID, FROM + b"\r\nBody\r\n"),
        (b"Date: x\r\n" + FROM + b"\r\n", ID, b"Date: x\r\n" + FROM + b"\r\n"),
        (
            b"message-id: <1@c>\r\n" + FROM + b"\r\n",
            DATE,
            b"message-id: <1@c>\r\n" + FROM + b"\r\n",
        ),
        (
            b"Date:\r\nMessage-ID: \r\n " + b"\r\n" + FROM + b"\r\nB\r\n",
            DATE + ID,
            FROM + b"\r\nB\r\n",
        ),
    ],
)
def test_date_and_message_id_are_added_where_missing_or_empty(
    content: bytes, added: bytes, rest: bytes
) -> None:
    result = completed(content)
    assert b"".join(result.octets) == RECEIVED + added + rest


def test_an_added_message_id_is_the_one_that_is_told() -> None:
    assert completed(FROM + b"\r\n").message_id == "<0192a5@relay.example>"


@pytest.mark.parametrize("content", [b"", b"\r\n", b"\r\nBody\r\n"])
def test_a_message_without_any_header_is_the_reverse_paths(content: bytes) -> None:
    result = completed(content)
    out = b"".join(result.octets)
    assert out.startswith(RECEIVED + b"From: <app@example.com>\r\n" + DATE + ID + b"\r\n")
    assert result.from_addresses == ("app@example.com",)


@pytest.mark.rfc("5322#3.6.3")
@pytest.mark.parametrize(
    ("content", "out"),
    [
        (b"Bcc: a@b\r\n" + CLEAN, CLEAN),
        (CLEAN.replace(b"\r\n\r\n", b"\r\nBCC: a@b,\r\n c@d\r\n\r\n"), CLEAN),
        (CLEAN.replace(FROM, b"Bcc:\r\n" + FROM + b"Resent-Bcc: a@b\r\n"), CLEAN),
        (CLEAN.replace(b"Body", b"Bcc: kept in the body"), CLEAN.replace(b"Body", b"Bcc: kept in the body")),
    ],
)  # fmt: skip
def test_bcc_never_leaves(content: bytes, out: bytes) -> None:
    assert b"".join(completed(content).pieces) == out


def test_signatures_that_a_submission_brought_are_told() -> None:
    one = b"DKIM-Signature: v=1; a=rsa-sha256; d=Example.com; s=x; h=From; bh=AAAA; b=AAAA\r\n"
    other = one.replace(b"Example.com", b"other.test")
    broken = b"DKIM-Signature: nonsense\r\n"
    assert completed(one + broken + other + one + CLEAN).signed_by == ("example.com", "other.test")
    assert completed(CLEAN).signed_by == ()


def test_authentication_results_in_our_name_never_leave() -> None:
    forged = b"Authentication-Results: relay.example; dkim=pass\r\n"
    other = b"Authentication-Results: other.example; dkim=pass\r\n"
    result = completed(b"Bcc: a@b.example\r\n" + forged + other + CLEAN)
    assert b"".join(result.pieces) == other + CLEAN


def test_bcc_of_other_servers_is_theirs() -> None:
    assert completed(b"Bcc: a@b\r\n" + CLEAN, FROM_SERVER).pieces == (b"Bcc: a@b\r\n" + CLEAN,)


@pytest.mark.parametrize(
    "content", [CLEAN.replace(b"\r\n", b"\n"), CLEAN.replace(b"\r\n", b"\r"), CLEAN[:-2] + b"\n"]
)
def test_bare_line_ends_are_made_crlf_on_submission(content: bytes) -> None:
    assert b"".join(completed(content).pieces) == CLEAN


@pytest.mark.rfc("5321#2.3.8")
@pytest.mark.parametrize("end", [b"\r", b"\n", b"\n\r", b"\r\r\n"])
def test_bare_line_ends_from_servers_are_refused(end: bytes) -> None:
    reply = refused(CLEAN + b"a" + end + b"b\r\n", FROM_SERVER)
    assert (reply.code, reply.status) == (BAD_CONTENT.code, BAD_CONTENT.status)
    assert "bare CR or LF" in reply.text


@pytest.mark.rfc("5322#2.1.1")
def test_an_over_long_line_is_refused_from_servers_and_let_pass_on_submission() -> None:
    content = CLEAN + b"a" * 999 + b"\r\n"
    assert "998" in refused(content, FROM_SERVER).text
    completed(content)
    completed(CLEAN + b"a" * 998 + b"\r\n", FROM_SERVER)


@pytest.mark.rfc("6409#6.3")
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (FROM + FROM + b"\r\n", "From: header field may occur only once"),
        (b"To: a\r\n" + FROM + b"TO: b\r\n\r\n", "To: header field may occur only once"),
        (b"Subject: a\r\n\r\n", "From: header field is missing"),
        (b"From:\r\n\r\n", "From: header field names no address"),
        (b"From: nobody:;\r\n\r\n", "From: header field names no address"),
        (b"From: nobody\r\n\r\n", "From: header field is no valid list"),
        (FROM + b"Sender: a b\r\n\r\n", "Sender: header field is no valid list"),
        (b"From: J\xfcrg <a@b>\r\n\r\n", "From: header field has octets that are not UTF-8"),
        (FROM + b"nonsense\r\n\r\n", "no field (name, colon, body) (line 2)"),
    ],
)
def test_header_faults_of_submissions_name_the_field(content: bytes, words: str) -> None:
    reply = refused(content)
    assert (reply.code, reply.status) == (BAD_CONTENT.code, BAD_CONTENT.status)
    assert words in reply.text


@pytest.mark.parametrize(
    "content",
    [
        b"Subject: no From, no Date\r\n\r\nx\r\n",
        b"To: a\r\nTo: b\r\n\r\n",
        b"From: not an address\r\n\r\n",
        b"\r\nno header\r\n",
    ],
)
@pytest.mark.rfc("5321#6.4")
def test_mail_from_servers_is_left_as_it_is(content: bytes) -> None:
    result = completed(content, FROM_SERVER)
    assert result.octets == (RECEIVED, content)


def test_two_authors_are_refused_from_servers_too() -> None:
    assert "From" in refused(FROM + FROM + b"\r\n", FROM_SERVER).text


@pytest.mark.rfc("5321#6.3")
@pytest.mark.parametrize("facts", [SUBMISSION, FROM_SERVER])
def test_a_loop_is_stopped(facts: Facts) -> None:
    assert refused(b"Received: x\r\n" * 100 + CLEAN, facts) == MAIL_LOOP
    completed(b"Received: x\r\n" * 99 + CLEAN, facts)


def test_a_message_without_header_and_reverse_path_has_no_author() -> None:
    assert "From" in refused(b"\r\nBody\r\n", Facts(HOP, is_submission=True, reverse_path="")).text


@pytest.mark.rfc("5322#4")
@pytest.mark.parametrize("facts", [SUBMISSION, FROM_SERVER])
def test_a_nul_is_refused_wherever_it_stands(facts: Facts) -> None:
    for content in (CLEAN + b"\0", CLEAN + b"a\0b\r\n", b"Subject: \0\r\n" + CLEAN):
        reply = refused(content, facts)
        assert (reply.code, reply.status) == (554, "5.6.0")
        assert "NUL" in reply.text


def test_a_from_that_is_too_long_is_named() -> None:
    reply = refused(b"From: " + b"a.a.a " * 40_000 + b"\r\n\r\n")
    assert reply.code == 554
    assert "From: header field of addresses is longer than 16 KiB" in reply.text


_TEXT = st.text(st.characters(codec="ascii", exclude_characters="\r\n\0"), max_size=30)


@given(
    subject=_TEXT,
    body=st.lists(st.binary(max_size=60).map(lambda b: b.translate(None, b"\r\n\0")), max_size=8),
)
def test_content_out_is_prefix_and_content_in(subject: str, body: list[bytes]) -> None:
    content = b"Subject: %s\r\n%s\r\n%s\r\n" % (subject.encode(), FROM, b"\r\n".join(body))
    result = completed(content)
    assert b"".join(result.octets) == result.prefix + content
    assert result.prefix.startswith(RECEIVED)


_ENDS = st.lists(st.sampled_from([b"a", b"\r\n", b"\r", b"\n", b".", b""]), max_size=12).map(
    b"".join
)


@given(_ENDS)
def test_normalised_line_ends_are_clean_and_stay(content: bytes) -> None:
    bare = b"\r" in content.replace(b"\r\n", b"") or b"\n" in content.replace(b"\r\n", b"")
    assert has_clean_line_ends(content) is not bare
    clean = with_clean_line_ends(content)
    assert has_clean_line_ends(clean)
    assert with_clean_line_ends(clean) == clean
    if not bare:
        assert clean == content


@pytest.mark.parametrize("flaw", [b"", b"\r", b"\n", b"\n\r", b"a\rb", b"a\nb"])
def test_large_content_is_judged_like_small(flaw: bytes) -> None:
    line = b"a" * 76 + b"\r\n"
    for count in (1, 3000):
        assert has_clean_line_ends(line * count + flaw + line) is not bool(flaw)
        assert has_clean_line_ends(flaw + line * count) is not bool(flaw)


@given(st.lists(st.integers(0, 1300), max_size=6), st.booleans())
def test_long_lines_are_found(lengths: list[int], ended: bool) -> None:
    content = b"\r\n".join(b"a" * n for n in lengths) + (b"\r\n" if ended else b"")
    assert has_long_line(content) is any(n > 998 for n in lengths)


@given(st.binary(max_size=200), st.booleans())
def test_garbage_never_raises(content: bytes, is_submission: bool) -> None:
    complete(content, Facts(HOP, is_submission=is_submission, reverse_path="a@b.example"))
