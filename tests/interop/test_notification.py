"""Reports by wish with programs of others: asked for by Net::SMTP and smtplib, passed on to Postfix,
which reports itself, or made by us for a mailbox of our own.
"""

import email
import smtplib
from collections.abc import Iterator
from email import policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.conftest import NodeMaker
from tests.support.node import HOST, Node, wait_until
from tests.support.postfix import Postfix, running_postfix
from tests.support.programs import need, need_perl_modules, need_root, run

CLIENTS = Path(__file__).parent / "clients"
CONTENT = b"Subject: report please\r\nFrom: alice@local.test\r\n\r\nHello.\r\n"
LOCAL = """
[[local_domains]]
name = "local.test"
deliver_to = "maildir:mail"

[[routes]]
match = ["*"]
via = "capture"
"""


def reports(messages: list[bytes]) -> list[EmailMessage]:
    """Return those that are reports, read by the standard library."""
    read = [email.message_from_bytes(octets, policy=policy.default) for octets in messages]
    return [m for m in read if m.get_content_type() == "multipart/report"]


def fields(report: EmailMessage) -> tuple[EmailMessage, EmailMessage]:
    _, status, _ = report.iter_parts()
    about, recipient = status.get_payload()
    return about, recipient


def mailbox(node: Node, name: str) -> list[bytes]:
    return [file.read_bytes() for file in (node.data_dir / "mail" / name / "new").glob("*")]


@pytest.fixture(scope="module")
def postfix() -> Iterator[Postfix]:
    need("postfix")
    need_root()
    with running_postfix("next.example") as server:
        yield server


@pytest.mark.interop("postfix")
@pytest.mark.rfc("3461#5.2.1")
def test_postfix_is_told_and_reports_itself(postfix: Postfix, make_node: NodeMaker) -> None:
    node = make_node(
        f"""
        [[routes]]
        match = ["{postfix.domain}"]
        via = "smtp:{HOST}:{postfix.port}"
        """
    )
    node.add_account("reports", "long enough", f"@{postfix.domain}")
    sender, recipient = f"app@{postfix.domain}", f"you@{postfix.domain}"
    content = CONTENT.replace(b"alice@local.test", sender.encode())
    with smtplib.SMTP(HOST, node.ports.submission, timeout=30) as server:
        server.starttls(context=node.trust())
        server.login("reports", "long enough")
        assert server.has_extn("dsn")
        for notify in ("SUCCESS,FAILURE", "NEVER"):
            server.sendmail(
                sender,
                [recipient],
                content,
                ["RET=HDRS", "ENVID=QQ+2B314"],
                [f"NOTIFY={notify}", f"ORCPT=rfc822;Yo+2Bu@{postfix.domain}"],
            )
    # Two messages, and Postfix's report about the first of them.
    wait_until(lambda: len(postfix.received()) == 3, "Postfix's report")
    (report,) = reports(postfix.received())
    about, who = fields(report)
    assert about["Reporting-MTA"] == "dns; next.test"
    assert about["Original-Envelope-Id"] == "QQ+314"
    assert who["Original-Recipient"].replace(" ", "") == f"rfc822;Yo+u@{postfix.domain}"
    assert who["Action"] == "delivered"
    for row in node.json("queue", "list", "--recipient", recipient, "--state", "delivered"):
        assert row["last_outcome"]["reports"]
        events = node.json("trace", row["message"])[0]["events"]
        assert "return.sent" not in [event["kind"] for event in events]


@pytest.mark.interop("perl")
@pytest.mark.rfc("3461#5.2.3", "3461#6.3")
def test_net_smtp_asks_and_we_report_a_mailbox_of_ours(make_node: NodeMaker) -> None:
    node = make_node(LOCAL)
    node.add_account("reports", "long enough", "@local.test")
    perl = need_perl_modules("Net::SMTP", "Authen::SASL", "IO::Socket::SSL")
    command = [
        perl,
        str(CLIENTS / "net_smtp_dsn.pl"),
        *(HOST, str(node.ports.submission), "reports", "long enough"),
        *("alice@local.test", "bob@local.test", "FULL", "order-7", "SUCCESS,DELAY"),
    ]
    done = run(command, stdin=CONTENT)
    assert done.returncode == 0, done.stdout
    wait_until(lambda: bool(mailbox(node, "alice")), "our report")
    (report,) = reports(mailbox(node, "alice"))
    assert report["Return-Path"] == "<>"
    about, who = fields(report)
    assert about["Original-Envelope-Id"] == "order-7"
    assert (who["Action"], who["Status"]) == ("delivered", "2.0.0")
    assert who["Original-Recipient"] == "rfc822; bob@local.test"
    assert len(mailbox(node, "bob")) == 1
    (row,) = node.json("queue", "list", "--recipient", "bob@local.test", "--state", "delivered")
    assert (row["notify"], row["orcpt"]) == ("SUCCESS,DELAY", "rfc822;bob@local.test")
