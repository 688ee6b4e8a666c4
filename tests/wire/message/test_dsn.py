"""Reports to senders, read back with the standard library's parser."""

from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.message.dsn import Action, Report, ReportedRecipient, compose
from gatepost.wire.message.limits import RETURNED_HEADER
from gatepost.wire.message.line_ends import has_clean_line_ends
from gatepost.wire.message.reencode import Capacity, reencode

AT = datetime(2026, 11, 23, 23, 15, tzinfo=UTC)
REFUSED = ReportedRecipient(
    "bob@example.net", Action.FAILED, "5.1.1", "550 5.1.1 No such user", "mx.example.net", AT
)
DELAYED = replace(
    REFUSED, action=Action.DELAYED, status="4.2.1", retry_until=AT + timedelta(days=5)
)
ORIGINAL = b"From: <app@example.com>\r\nSubject: Hello\r\n\r\nSecret body\r\n"
REPORT = Report(
    "relay.example", "app@example.com", "0192a5", AT, "frontier", (REFUSED,), ORIGINAL, AT
)


def read(content: bytes) -> EmailMessage:
    message = message_from_bytes(content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert [part.defects for part in message.walk() if part.defects] == []
    return message


def status_groups(report: Report) -> list[dict[str, str]]:
    status = read(compose(report)).get_payload(1)
    return [dict(group.items()) for group in status.get_payload()]


@pytest.mark.rfc("6522#3")
@pytest.mark.rfc("3464#2")
def test_a_report_has_three_parts() -> None:
    message = read(compose(REPORT))
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    kinds = [part.get_content_type() for part in message.get_payload()]
    assert kinds == ["text/plain", "message/delivery-status", "text/rfc822-headers"]


@pytest.mark.rfc("3834#5.1")
def test_its_header_says_who_writes_and_that_it_is_a_machine() -> None:
    message = read(compose(REPORT))
    assert message["From"] == "Mail Delivery System <MAILER-DAEMON@relay.example>"
    assert message["To"] == "app@example.com"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["Message-ID"] == "<0192a5@relay.example>"
    assert message["Date"].datetime == AT


@pytest.mark.rfc("3464#2.3")
def test_programs_read_what_became_of_each_recipient() -> None:
    expired = replace(
        REFUSED, forward_path="eve@example.org", action=Action.EXPIRED, status="4.4.1"
    )
    groups = status_groups(replace(REPORT, recipients=(REFUSED, expired)))
    date = "Mon, 23 Nov 2026 23:15:00 +0000"
    assert groups[0] == {"Reporting-MTA": "dns; relay.example", "Arrival-Date": date}
    assert groups[1] == {
        "Final-Recipient": "rfc822; bob@example.net",
        "Action": "failed",
        "Status": "5.1.1",
        "Remote-MTA": "dns; mx.example.net",
        "Diagnostic-Code": "smtp; 550 5.1.1 No such user",
        "Last-Attempt-Date": date,
    }
    assert (groups[2]["Action"], groups[2]["Status"]) == ("failed", "4.4.1")


@pytest.mark.rfc("3464#2.3.9")
def test_only_a_delay_says_until_when_it_will_be_tried() -> None:
    delayed = status_groups(replace(REPORT, recipients=(DELAYED,)))[1]
    assert delayed["Action"] == "delayed"
    assert delayed["Will-Retry-Until"] == "Sat, 28 Nov 2026 23:15:00 +0000"
    failed = replace(DELAYED, action=Action.FAILED)
    assert "Will-Retry-Until" not in status_groups(replace(REPORT, recipients=(failed,)))[1]


@pytest.mark.rfc("3464#2.3.5")
def test_without_a_remote_host_the_reason_is_told_as_our_own() -> None:
    own = replace(REFUSED, remote_host="", diagnostic="no host could be reached", status="")
    content = compose(replace(REPORT, recipients=(own,)))
    group = status_groups(replace(REPORT, recipients=(own,)))[1]
    assert "Remote-MTA" not in group
    assert "Diagnostic-Code" not in group
    assert group["Status"] == "5.0.0"
    assert b"The reason: no host could be reached" in content


@pytest.mark.parametrize(
    ("recipient", "subject", "words"),
    [
        (
            REFUSED,
            "could not be delivered",
            "The server mx.example.net said: 550 5.1.1 No such user",
        ),
        (REFUSED, "could not be delivered", "Check the address"),
        (DELAYED, "is delayed", "need not do anything now"),
        (DELAYED, "is delayed", "It will be tried until Sat, 28 Nov 2026"),
        (
            replace(REFUSED, action=Action.EXPIRED, status="4.4.1"),
            "could not",
            "Send it again later",
        ),
        (replace(REFUSED, status="5.7.1"), "could not", "does not want this message"),
        (replace(REFUSED, status="5.2.2"), "could not", "mailbox is full"),
        (replace(REFUSED, status="5.3.4"), "could not", "too large"),
        (replace(REFUSED, status="5.6.0"), "could not", "show this report to your operator"),
    ],
)
def test_people_read_what_happened_and_what_to_do(
    recipient: ReportedRecipient, subject: str, words: str
) -> None:
    message = read(compose(replace(REPORT, recipients=(recipient,))))
    assert subject in message["Subject"]
    assert words in " ".join(message.get_payload(0).get_content().split())


def test_the_header_section_comes_back_and_the_body_does_not() -> None:
    content = compose(REPORT)
    assert b"Subject: Hello\r\n" in content
    assert b"Secret body" not in content


@pytest.mark.parametrize("original", [b"", b"\r\nbody\r\n", b"no header end", b"X: \xff\0\r\n\r\n"])
def test_any_original_is_returned_in_seven_bits(original: bytes) -> None:
    content = compose(replace(REPORT, original=original))
    read(content)
    assert content.isascii()
    assert b"\0" not in content


def test_a_huge_header_section_is_cut_at_a_line() -> None:
    content = compose(replace(REPORT, original=b"X: 0123456789\r\n" * 10_000))
    assert len(content) < RETURNED_HEADER + 4096
    last = read(content).get_payload(2).get_payload()
    assert set(last.split()) == {"X:", "0123456789"}


@pytest.mark.rfc("6533#3")
def test_an_address_outside_ascii_is_spelt_in_seven_bits() -> None:
    recipient = replace(REFUSED, forward_path="j\u00fcrg@example.net")
    group = status_groups(replace(REPORT, recipients=(recipient,)))[1]
    assert group["Final-Recipient"] == r"utf-8; j\x{FC}rg@example.net"


def test_a_report_about_nobody_is_our_own_fault() -> None:
    with pytest.raises(ValueError, match="without recipients"):
        compose(replace(REPORT, recipients=()))


@given(
    diagnostic=st.text(max_size=3000),
    host=st.text(max_size=300),
    status=st.text(max_size=8),
    original=st.binary(max_size=3000),
)
def test_whatever_others_said_it_stays_a_sound_message(
    diagnostic: str, host: str, status: str, original: bytes
) -> None:
    recipient = replace(REFUSED, diagnostic=diagnostic, remote_host=host, status=status)
    content = compose(replace(REPORT, recipients=(recipient,), original=original))
    assert content.isascii()
    assert content.count(b"\r") == content.count(b"\n") == content.count(b"\r\n")
    assert max(map(len, content.split(b"\r\n"))) <= 998
    message = read(content)
    assert [p.get_content_type() for p in message.get_payload()][1] == "message/delivery-status"


@pytest.mark.parametrize("end", [b"\n.\nMAIL FROM:<a@b.test>\n", b"\r.\r", b"\n"])
def test_binary_content_does_not_come_back_whole(end: bytes) -> None:
    """A report goes by DATA: a bare line end in it could end it for the next server."""
    made = compose(replace(REPORT, original=b"Subject: x\r\n\r\nhello" + end, whole=True))
    assert has_clean_line_ends(made)
    assert b"hello" not in made


UTF8 = "Subject: Grüße\r\nFrom: größe@example.com\r\n\r\nGrüße\r\n".encode()


@pytest.mark.rfc("6533#4.2")
@pytest.mark.rfc("6532#3.7")
@pytest.mark.parametrize(
    ("original", "whole", "kind"),
    [
        (UTF8, True, "message/global"),
        (UTF8, False, "text/rfc822-headers"),
        (b"Subject: hi\r\n\r\n" + "Grüße\r\n".encode(), True, "message/rfc822"),
        (b"Subject: \xff\r\n\r\nhello\r\n", True, "message/rfc822"),
        (b"Subject: \xff\r\n\r\nhello\r\n", False, "text/rfc822-headers"),
    ],
)
def test_an_internationalised_message_comes_back_as_one(
    original: bytes, whole: bool, kind: str
) -> None:
    third = read(compose(replace(REPORT, original=original, whole=whole))).get_payload()[2]
    assert third.get_content_type() == kind
    if kind == "message/global":
        made = compose(replace(REPORT, original=original, whole=whole))
        assert b"message/global\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + original in made


def test_it_goes_where_only_seven_bits_do() -> None:
    made = reencode(compose(replace(REPORT, original=UTF8, whole=True)), Capacity.SEVEN_BIT)
    assert isinstance(made, bytes)
    assert made.isascii()
    encoded = made.partition(b"Content-Transfer-Encoding: base64\r\n\r\n")[2]
    assert b64decode(encoded.partition(b"\r\n--")[0]) == UTF8
