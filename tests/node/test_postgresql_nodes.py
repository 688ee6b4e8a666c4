"""Two nodes over one PostgreSQL: what one knows the other knows, and either serves."""

import json
import smtplib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
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


def send_some_time(node: Node, login: Node, recipient: str) -> None:
    """Send while the store may have other worries."""

    def is_sent() -> bool:
        try:
            send(node, login, recipient)
        except (OSError, smtplib.SMTPException):
            return False
        return True

    wait_until(is_sent, "the message")


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


def test_each_event_is_in_the_journal_of_a_node_also_when_one_dies(
    nodes: tuple[Node, Node],
) -> None:
    first, second = nodes
    for number in range(5):
        send(nodes[number % 2], first, f"early{number}@dest.example")
    wait_until(lambda: accepted(nodes) >= early, "the journal")
    writer = max(nodes, key=lambda node: len(journal(node)))
    other = second if writer is first else first
    kept = position(first.directory.parent)
    writer.kill()
    before = [line["position"] for line in journal(writer)]
    for number in range(5):
        send_some_time(other, first, f"late{number}@dest.example")
    wait_until(lambda: accepted(nodes) >= late, "the other node's journal")
    writer.start()
    send_some_time(writer, first, "last@dest.example")
    wait_until(lambda: "last@dest.example" in accepted(nodes), "a journal")
    told, retold = ([line["position"] for line in journal(node)] for node in (writer, other))
    for lines in (told, retold):
        assert lines == sorted(set(lines))
    # What is there twice is what it had written since it wrote down last how far it had come.
    twice = sorted(set(told) & set(retold))
    assert twice == before[len(before) - len(twice) :]
    assert all(number > kept for number in twice)


early = {f"early{number}@dest.example" for number in range(5)}
late = {f"late{number}@dest.example" for number in range(5)}


def journal(node: Node) -> list[dict[str, Any]]:
    """Return the lines that are whole."""
    files = sorted((node.directory / "state" / "journal").glob("*.jsonl"))
    whole = b"".join(file.read_bytes() for file in files).rpartition(b"\n")[0]
    return [json.loads(line) for line in whole.splitlines()]


def position(directory: Path) -> int:
    """Return how far the journal has come, as the nodes' database says."""
    with psycopg.connect(database_of(directory)) as database:
        rows = database.execute(
            "SELECT value FROM counter WHERE name = 'reader/journal'"
        ).fetchall()
    return int(rows[0][0]) if rows else 0


def accepted(nodes: tuple[Node, Node]) -> set[str]:
    """Return whose deliveries are captured, by the journals."""
    lines = [line for node in nodes for line in journal(node)]
    return {line["facts"]["recipient"] for line in lines if line["kind"] == "delivery.captured"}


def test_either_node_verifies_the_store(nodes: tuple[Node, Node]) -> None:
    for node in nodes:
        assert "whole" in node.run("queue", "verify").stdout
