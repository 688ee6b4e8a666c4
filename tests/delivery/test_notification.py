"""What a sender wants to hear goes on to a next hop that tells, and is told by us where it does not."""

import email
from email import policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from gatepost.model.delivery import DeliveryState
from gatepost.model.route import ViaLmtp, ViaMaildir
from gatepost.wire.smtp.notification import Notify, RecipientWishes, Ret
from tests.delivery.rig import CONTENT, Rig, routing
from tests.sink import Sink

DELIVERED, REFUSED = DeliveryState.DELIVERED, DeliveryState.REFUSED
WISHES = RecipientWishes(Notify.SUCCESS | Notify.FAILURE, "rfc822;B+2Bx@y.example")


def reports(rig: Rig) -> list[EmailMessage]:
    """Read the reports with a parser that is not ours."""
    return [email.message_from_bytes(r.content, policy=policy.default) for r in rig.returns]


def fields(report: EmailMessage) -> tuple[EmailMessage, EmailMessage]:
    """Return the fields about the message, and those about its only recipient."""
    assert report.get_content_type() == "multipart/report"
    assert report.get_param("report-type") == "delivery-status"
    _, status, _ = report.iter_parts()
    about, recipient = status.get_payload()
    return about, recipient


@pytest.mark.rfc("3461#5.2.1")
async def test_a_next_hop_that_tells_is_told_and_we_keep_silent() -> None:
    async with Sink(offers=("DSN", "MT-PRIORITY")) as sink, Rig(sink.port) as rig:
        rig.mx("y.example", (10, "mx.y.example", "127.0.0.1"))
        (row,) = await rig.until_state(
            await rig.submit(
                "b@y.example", wishes=WISHES, ret=Ret.HDRS, envid="QQ+2B1", priority=-4
            )
        )
        assert row.last_outcome is not None
        assert row.last_outcome.reports
        (message,) = sink.messages
        assert message.mail.endswith("RET=HDRS ENVID=QQ+2B1 MT-PRIORITY=-4")
        assert (
            "RCPT TO:<b@y.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;B+2Bx@y.example"
            in (sink.commands[0])
        )
        assert not rig.store.tables.notices
        assert not rig.returns


@pytest.mark.rfc("3461#5.2.2", "3461#6.3", "3464#2.3.3")
async def test_a_next_hop_that_does_not_tell_makes_us_tell_that_it_was_relayed() -> None:
    async with Sink() as sink, Rig(sink.port) as rig:
        rig.mx("y.example", (10, "mx.y.example", "127.0.0.1"))
        await rig.submit("b@y.example", wishes=WISHES, ret=Ret.FULL, envid="QQ+2B1", hold="for;60")
        await rig.returned.wait()
        assert "ENVID" not in sink.messages[0].mail
        (report,) = reports(rig)
        assert report["subject"] == "Your message was delivered"
        about, recipient = fields(report)
        assert about["Original-Envelope-Id"] == "QQ+1"
        assert about["Future-Release-Request"] == "for;60"
        assert about["Reporting-MTA"] == "dns; relay.test"
        assert about["Arrival-Date"]
        assert recipient["Original-Recipient"] == "rfc822; B+x@y.example"
        assert recipient["Final-Recipient"] == "rfc822; b@y.example"
        assert (recipient["Action"], recipient["Status"]) == ("relayed", "2.0.0")
        assert recipient["Remote-MTA"] == "dns; mx.y.example"
        assert recipient["Diagnostic-Code"].startswith("smtp; 250")
        # RET=FULL is for failures (RFC 3461 §4.3).
        *_, third = report.iter_parts()
        assert third.get_content_type() == "text/rfc822-headers"


@pytest.mark.rfc("3461#5.2.3")
async def test_the_last_hop_makes_us_tell_that_it_was_delivered(tmp_path: Path) -> None:
    async with Sink(lmtp=True) as sink:
        local = {
            "m.example": ViaMaildir(str(tmp_path)),
            "l.example": ViaLmtp("127.0.0.1", sink.port),
        }
        routes = routing(local, directory=str(tmp_path))
        async with Rig(routes=routes) as rig:
            for path in ("b@m.example", "b@l.example"):
                rig.returned.clear()
                ids = await rig.submit(path, wishes=RecipientWishes(Notify.SUCCESS))
                await rig.until_state(ids, DELIVERED)
                await rig.returned.wait()
            for report in reports(rig):
                _, recipient = fields(report)
                assert (recipient["Action"], recipient["Status"][0]) == ("delivered", "2")
                assert recipient["Original-Recipient"] is None


@pytest.mark.rfc("3461#4.3", "3461#6.2")
@pytest.mark.parametrize(
    ("ret", "content", "kind"),
    [
        (Ret.FULL, CONTENT, "message/rfc822"),
        (Ret.FULL, CONTENT + b"\xc3\xa4\r\n", "message/rfc822"),
        (Ret.HDRS, CONTENT, "text/rfc822-headers"),
        (None, CONTENT, "text/rfc822-headers"),
        (Ret.FULL, CONTENT + b"x" * 2**20, "text/rfc822-headers"),
        (Ret.FULL, CONTENT + b"x" * 999 + b"\r\n", "text/rfc822-headers"),
    ],
    ids=["whole", "8-bit", "header", "unsaid", "too large", "long line"],
)
async def test_a_failure_brings_back_as_much_as_was_asked_for(
    ret: Ret | None, content: bytes, kind: str
) -> None:
    refuse = {"b@y.example": "550 5.1.1 no such user"}
    async with Sink(refuse=refuse) as sink, Rig(sink.port) as rig:
        rig.mx("y.example", (10, "mx.y.example", "127.0.0.1"))
        await rig.submit("b@y.example", content=content, ret=ret, eight_bit=True)
        await rig.returned.wait()
        (report,) = reports(rig)
        *_, third = report.iter_parts()
        assert third.get_content_type() == kind
        assert not third.defects
        if kind == "message/rfc822":
            (inner,) = third.get_payload()
            assert inner["subject"] == "hi"
            assert content in rig.returns[0].content


@pytest.mark.rfc("3461#5.2.6")
@pytest.mark.parametrize("notify", [Notify.NEVER, Notify.SUCCESS, Notify.DELAY])
async def test_who_wants_no_failures_hears_of_none(notify: Notify) -> None:
    refuse = {"b@y.example": "550 5.1.1 no such user"}
    async with Sink(refuse=refuse) as sink, Rig(sink.port) as rig:
        rig.mx("y.example", (10, "mx.y.example", "127.0.0.1"))
        ids = await rig.submit("b@y.example", wishes=RecipientWishes(notify))
        await rig.until_state(ids, REFUSED)
        assert not rig.store.tables.notices
        assert not rig.returns


async def test_recipients_of_one_message_are_told_of_apart() -> None:
    """RFC 3461 §5.2.8: a report has nobody of whom the sender did not want to hear."""
    async with Sink() as sink, Rig(sink.port) as rig:
        rig.mx("y.example", (10, "mx.y.example", "127.0.0.1"))
        await rig.submit("b@y.example", wishes=RecipientWishes(Notify.SUCCESS))
        await rig.submit("c@y.example", wishes=RecipientWishes(Notify.NEVER))
        await rig.returned.wait()
        assert b"b@y.example" in rig.returns[0].content
        assert b"c@y.example" not in rig.returns[0].content
