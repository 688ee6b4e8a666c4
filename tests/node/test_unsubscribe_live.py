"""One click on a running node: a message gets its link, POST uses it, the next one is refused."""

import http.client
import re
import smtplib
from pathlib import Path
from urllib.parse import urlsplit

import dkim
import pytest

from tests.support.node import CAPTURE_ALL, HOST, Node, wait_until
from tests.support.ports import free_ports

BOB, EVE = "bob@y.example", "eve@y.example"
AUTHOR = "news@brand.test"
LETTER = f"From: {AUTHOR}\r\nTo: bob\r\nGatepost-Stream: news\r\nSubject: hello\r\n\r\nHello!\r\n"
LINK = re.compile(rb"^List-Unsubscribe: <(https://mail\.example/u/[\w-]+)>\r\n", re.MULTILINE)


def send(node: Node, to: str, letter: str = LETTER) -> str:
    """Send as a client of smtplib; return the reply to the content."""
    with smtplib.SMTP_SSL(HOST, node.ports.submissions, context=node.trust(), timeout=20) as client:
        client.login(node.account, node.password)
        client.mail(node.account)
        client.rcpt(to)
        code, text = client.data(letter)
        return f"{code} {text.decode()}"


def ask(port: int, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(HOST, port, timeout=20)
    try:
        sent = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.rfc("8058#3")
def test_one_click(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    public = f'[http]\naddress = "{HOST}:{port}"\npublic_url = "https://mail.example/"\n'
    node = Node(tmp_path / "node", f"{CAPTURE_ALL}\n{public}")
    node.set_up(node.account, "@brand.test")
    node.run("domain", "add", "brand.test")
    node.start()
    try:
        play(node, port)
    finally:
        assert node.stop() == 0, node.log.read_text()


def play(node: Node, port: int) -> None:
    taken = send(node, BOB)
    assert taken.startswith("250"), taken
    identifier = taken.rpartition(" ")[2]
    wait_until(lambda: bool(node.captured(BOB)), "the first message")
    content = node.content(node.captured(BOB)[0])
    assert b"Gatepost-Stream" not in content
    found = LINK.search(content)
    assert found, content
    is_covered(node, content)
    assert "stream news, link added" in node.run("trace", identifier).stdout

    path = urlsplit(found[1].decode()).path
    assert ask(port, "GET", path)[0] == 200
    assert node.json("suppression", "list") == []
    for _ in range(2):
        assert ask(port, "POST", path, "List-Unsubscribe=One-Click")[0] == 200
    (row,) = node.json("suppression", "list", "--class", "unsubscribed")
    assert (row["subject"], row["account"], row["stream"]) == (BOB, node.account, "news")
    assert ask(port, "POST", path[:-4], "List-Unsubscribe=One-Click")[0] == 404

    replies: list[str] = []

    def is_refused() -> bool:
        replies.append(send(node, BOB))
        return replies[-1].startswith("550")

    wait_until(is_refused, "the second message refused")
    assert f"5.7.1 Recipient is suppressed here: <{BOB}> unsubscribed from news" in replies[-1]
    assert send(node, EVE).startswith("250")
    assert send(node, BOB, LETTER.replace("Stream: news", "Stream: invoices")).startswith("250")


def is_covered(node: Node, content: bytes) -> None:
    """Hold the message to dkimpy, with what `domain show` says must be published."""
    records = {
        record["name"].rstrip("."): record["text"]
        for record in node.json("domain", "show", "brand.test")["records"]
        if "_domainkey" in record["name"]
    }
    assert len(records) == 2

    def dns_text(name: bytes, **_: object) -> bytes:
        return records[name.decode().rstrip(".")].encode()

    for which in range(2):
        judge = dkim.DKIM(content)
        assert judge.verify(which, dnsfunc=dns_text)
        signed = {name.lower() for name, _ in judge.signed_headers}
        assert {b"list-unsubscribe", b"list-unsubscribe-post"} <= signed
