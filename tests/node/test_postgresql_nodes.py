"""Two nodes over one PostgreSQL: what one knows the other knows, and either serves."""

import smtplib
from collections.abc import Iterator

import pytest

from tests.support.node import CAPTURE_ALL, HOST, Node, on_all_workers, wait_until
from tests.support.postgresql import database_of
from tests.support.two_nodes import two_nodes


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Node]]:
    directory = tmp_path_factory.mktemp("nodes")
    url = database_of(directory)
    first, second = made = two_nodes(directory, url, CAPTURE_ALL)
    for node in made:
        node.start()
    yield first, second
    for node in made:
        node.stop()


def send(node: Node, login: Node, recipient: str) -> None:
    with smtplib.SMTP(HOST, node.ports.submission, timeout=30) as client:
        client.starttls(context=node.trust())
        client.login(login.account, login.password)
        letter = f"From: {login.account}\r\nSubject: hello\r\n\r\nTo {recipient}.\r\n"
        client.sendmail(login.account, [recipient], letter)


def logs_in(node: Node, account: str, password: str) -> bool:
    with smtplib.SMTP(HOST, node.ports.submission, timeout=30) as client:
        client.starttls(context=node.trust())
        try:
            client.login(account, password)
        except smtplib.SMTPAuthenticationError:
            return False
        return True


def test_an_account_of_one_node_sends_through_the_other(nodes: tuple[Node, Node]) -> None:
    first, second = nodes
    send(second, first, "bob@dest.example")
    wait_until(lambda: bool(first.captured("bob@dest.example")), "the message")
    (row,) = first.captured("bob@dest.example")
    assert b"To bob@dest.example." in first.content(row)


def test_a_change_is_heard_of_on_all_workers(nodes: tuple[Node, Node]) -> None:
    first, second = nodes
    first.add_account("other@example.com", "a-password-1")
    for node in nodes:
        on_all_workers(lambda n=node: logs_in(n, "other@example.com", "a-password-1"), "the login")
    second.run("account", "suspend", "other@example.com")
    for node in nodes:
        on_all_workers(
            lambda n=node: not logs_in(n, "other@example.com", "a-password-1"), "the suspension"
        )


def test_either_node_verifies_the_store(nodes: tuple[Node, Node]) -> None:
    for node in nodes:
        assert "whole" in node.run("queue", "verify").stdout
