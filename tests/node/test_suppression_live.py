"""Suppressions on a running node: obeyed within a second, made by what the other side says."""

from collections.abc import Iterator

import pytest

from tests.node.conftest import ACCOUNT, PASSWORD, NodeOf
from tests.node.talk import Talk, anyone
from tests.node.test_end_to_end import SinkThread
from tests.sink import Sink
from tests.support.node import Node, wait_until

SETTINGS = """
[[routes]]
match = ["*"]
via = "smtp:127.0.0.1:{port}"
"""


@pytest.fixture(scope="module")
def sink() -> Iterator[SinkThread]:
    thread = SinkThread(Sink(refuse={"gone@y.example": "550 5.1.1 no such user"}))
    yield thread
    thread.stop()


@pytest.fixture
def node(node_of: NodeOf, sink: SinkThread) -> Node:
    return node_of(SETTINGS.format(port=sink.sink.port), workers=2)


def rcpt(node: Node, recipient: str) -> str:
    with Talk(node.ports.submissions, tls=anyone()) as talk:
        talk.hello()
        talk.login(ACCOUNT, PASSWORD)
        talk.must(f"MAIL FROM:<{ACCOUNT}>", "250")
        return talk.ask(f"RCPT TO:<{recipient}>")


def everywhere(node: Node, recipient: str, beginning: str) -> bool:
    """Tell whether a recipient is answered so, whichever worker is met."""
    return all(rcpt(node, recipient).startswith(beginning) for _ in range(12))


def send(node: Node, *recipients: str) -> str:
    with Talk(node.ports.submissions, tls=anyone()) as talk:
        talk.hello()
        talk.login(ACCOUNT, PASSWORD)
        talk.must(f"MAIL FROM:<{ACCOUNT}>", "250")
        for recipient in recipients:
            talk.must(f"RCPT TO:<{recipient}>", "250")
        talk.must("DATA", "354")
        return talk.ask(f"From: {ACCOUNT}\r\nSubject: hello\r\n\r\nhello\r\n.").split()[-1]


def test_an_operator_s_word_reaches_all_workers(node: Node) -> None:
    assert rcpt(node, "bob@y.example").startswith("250")
    node.run("suppression", "add", "bob@y.example", "--reason", "asked by phone")
    wait_until(lambda: everywhere(node, "Bob@Y.Example", "550 5.7.1"), "the refusal")
    assert "manual since" in rcpt(node, "bob@y.example")
    node.run("suppression", "remove", "bob@y.example")
    wait_until(lambda: rcpt(node, "bob@y.example").startswith("250"), "the address back")


def test_who_is_refused_as_unknown_is_suppressed_for_that_account(node: Node) -> None:
    identifier = send(node, "gone@y.example", "bob@z.example")
    bounced = ("suppression", "list", "--class", "bounced")
    wait_until(lambda: bool(node.json(*bounced)), "the suppression")
    (found,) = node.json(*bounced)
    assert (found["subject"], found["account"]) == ("gone@y.example", ACCOUNT)
    assert found["reason"] == "550 5.1.1 no such user"
    wait_until(lambda: "no such user" in rcpt(node, "gone@y.example"), "the refusal")
    assert "gone@y.example was suppressed" in node.run("trace", identifier).stdout


def test_an_account_may_have_it_dropped(node: Node) -> None:
    node.run("suppression", "add", "drop@y.example")
    wait_until(lambda: rcpt(node, "drop@y.example").startswith("550"), "the refusal")
    node.run("suppression", "rule", ACCOUNT, "--drop")
    wait_until(lambda: everywhere(node, "drop@y.example", "250"), "the rule")
    both = send(node, "drop@y.example", "eve@z.example")
    alone = send(node, "drop@y.example")

    def is_done(identifier: str) -> bool:
        (traced,) = node.json("trace", identifier)
        states = {d["recipient"]: d["state"] for d in traced["deliveries"]}
        return states.get("eve@z.example", "delivered") == "delivered"

    for identifier in (both, alone):
        wait_until(lambda: is_done(identifier), "the delivery")  # noqa: B023 - waited for here
        assert "drop@y.example was dropped" in node.run("trace", identifier).stdout
    node.run("suppression", "rule", ACCOUNT, "--refuse")
