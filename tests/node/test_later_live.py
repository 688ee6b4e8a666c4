"""Messages for later, and lanes, on a running node: asked for, shown, released early, cancelled."""

import smtplib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.node import HOST, Node, wait_until

CONTENT = "Subject: later\r\nFrom: app@example.com\r\n{}\r\nHello.\r\n"


def send(node: Node, recipient: str, *options: str, field: str = "") -> None:
    with smtplib.SMTP(HOST, node.ports.submission, timeout=30) as server:
        server.starttls(context=node.trust())
        server.login(node.account, node.password)
        content = CONTENT.format(field)
        server.sendmail(node.account, [recipient], content, list(options))


def row(node: Node, recipient: str) -> dict[str, Any]:
    (found,) = node.json(
        "queue", "list", "--recipient", recipient, "--state", "due", "--state", "captured",
        "--state", "cancelled",
    )  # fmt: skip
    return found


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.rfc("4865#4.2")
def test_a_message_is_not_released_before_its_time(node: Node) -> None:
    send(node, "soon@else.test", "HOLDFOR=2")
    assert row(node, "soon@else.test")["release_at"]
    wait_until(lambda: bool(node.captured("soon@else.test")), "the release")
    (traced,) = node.json("trace", "soon@else.test")
    accepted, captured = (moment(event["at"]) for event in traced["events"])
    # HOLDFOR counts from the acceptance on; the worker looks for what is due in time.
    assert timedelta(seconds=2) <= captured - accepted < timedelta(seconds=25)


def test_the_operator_sees_a_message_for_later_and_sends_or_cancels_it(node: Node) -> None:
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    for recipient in ("early@else.test", "never@else.test"):
        send(node, recipient, field=f"Gatepost-Send-At: {at.isoformat()}\r\n")
        found = row(node, recipient)
        assert (found["state"], moment(found["release_at"])) == ("due", at)
        assert moment(found["next_attempt_at"]) == at
    told = node.run("trace", "early@else.test").stdout
    assert "waits until" in told
    assert "its sender asked for that" in told
    node.run("queue", "retry", "--recipient", "early@else.test")
    wait_until(lambda: bool(node.captured("early@else.test")), "the early release")
    (captured,) = node.captured("early@else.test")
    assert moment(captured["expires_at"]) < at + timedelta(days=4)  # five from now on
    assert b"Gatepost-" not in node.content(captured)
    node.run("queue", "cancel", "--recipient", "never@else.test")
    assert row(node, "never@else.test")["state"] == "cancelled"


@pytest.mark.rfc("6710#4.1")
def test_lanes_of_accounts_and_what_messages_ask_for(node: Node) -> None:
    shown = node.json("account", "lane", node.account, "otp")
    assert shown["lane"] == "otp"
    wanted = [
        ("a@else.test", (), "", "otp", 4),
        ("b@else.test", ("MT-PRIORITY=2",), "", "transactional", 2),
        ("c@else.test", ("MT-PRIORITY=-3",), "", "bulk", -3),
        ("d@else.test", (), "Gatepost-Lane: bulk\r\n", "bulk", -4),
    ]

    def in_time() -> bool:
        """A change takes effect within a second (decision 5)."""
        send(node, "first@else.test")
        rows = node.captured("first@else.test")
        return bool(rows) and rows[-1]["lane"] == "otp"

    wait_until(in_time, "the account's lane")
    for recipient, options, field, lane, priority in wanted:
        send(node, recipient, *options, field=field)
        wait_until(lambda r=recipient: bool(node.captured(r)), recipient)
        (captured,) = node.captured(recipient)
        assert captured["lane"] == lane, recipient
        (traced,) = node.json("trace", recipient)
        assert traced["message"]["priority"] == priority, recipient
        assert b"Gatepost-" not in node.content(captured)
        assert (b"PRIORITY 2" in node.content(captured)) is (recipient == "b@else.test")
    assert "bulk" in node.run("queue", "list", "--captured").stdout
    node.run("account", "lane", node.account, "none")
    assert node.json("account", "show", node.account)["lane"] is None
