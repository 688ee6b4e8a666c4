"""Postfix (Debian) as next hop that lacks something: what it gets then, and what comes back."""

import email
import smtplib
from collections.abc import Iterator

import dkim
import pytest

from tests.conftest import NodeMaker
from tests.support.node import HOST, Node, wait_until
from tests.support.postfix import Postfix, running_postfix
from tests.support.programs import need, need_root

pytestmark = pytest.mark.interop("postfix")

DOMAIN = "next.example"
RETURNS = '[[local_domains]]\nname = "example.com"\ndeliver_to = "maildir:returns"\n'
TEXT = "Grüße aus Köln, and what else there is to say.\r\n"
MESSAGE = (
    "From: App <app@example.com>\r\nTo: somebody@next.example\r\nSubject: {subject}\r\n"
    "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    "Content-Transfer-Encoding: 8bit\r\n\r\n" + TEXT
)


@pytest.fixture(scope="module")
def poor() -> Iterator[Postfix]:
    """One that offers neither 8BITMIME nor SMTPUTF8 nor CHUNKING."""
    need("postfix")
    need_root()
    lacks = "smtpd_discard_ehlo_keywords = 8bitmime, smtputf8, chunking\n"
    with running_postfix(DOMAIN, more=lacks) as server:
        yield server


@pytest.fixture(scope="module")
def rich() -> Iterator[Postfix]:
    need("postfix")
    need_root()
    with running_postfix(DOMAIN, more="smtputf8_enable = yes\n") as server:
        yield server


def relay_to(postfix: Postfix, make_node: NodeMaker) -> Node:
    route = f'[[routes]]\nmatch = ["{DOMAIN}"]\nvia = "smtp:{HOST}:{postfix.port}"\n'
    return make_node(RETURNS + route)


def submit(node: Node, content: bytes, to: str, *options: str) -> None:
    with smtplib.SMTP(HOST, node.ports.submission, timeout=30) as server:
        server.starttls(context=node.trust())
        server.login(node.account, node.password)
        server.ehlo()
        if "SMTPUTF8" in options:
            server.command_encoding = "utf-8"
        server.sendmail(node.account, [to], content, list(options))


def arrival(postfix: Postfix, word: bytes) -> bytes:
    found: list[bytes] = []

    def is_there() -> bool:
        found[:] = [octets for octets in postfix.received() if word in octets]
        return bool(found)

    wait_until(is_there, f"{word!r} at Postfix")
    return found[0]


@pytest.mark.rfc("6152#3", "6376#5.3")
def test_eight_bit_text_is_encoded_and_signed_again(poor: Postfix, make_node: NodeMaker) -> None:
    node = relay_to(poor, make_node)
    node.stop()
    node.run("domain", "add", "example.com")
    node.start()  # a running one would hear of it within a second
    records = node.json("domain", "show", "example.com")["records"]
    submit(node, MESSAGE.format(subject="seven-bit").encode(), f"x@{DOMAIN}", "BODY=8BITMIME")
    octets = arrival(poor, b"seven-bit")
    message = email.message_from_bytes(octets)
    assert octets.isascii()
    assert message["Content-Transfer-Encoding"] == "quoted-printable"
    assert message.get_payload(decode=True) == TEXT.encode()
    start = octets.index(b"DKIM-Signature:")
    texts = {
        r["name"].rstrip(".") + ".": "".join(r["strings"]).encode()
        for r in records
        if "._domainkey." in r["name"]
    }
    check = dkim.DKIM(octets[start:])
    signatures = octets.count(b"DKIM-Signature:")
    assert signatures == len(texts) == 2
    for number in range(signatures):
        assert check.verify(number, dnsfunc=lambda name, **_: texts.get(name.decode()))


@pytest.mark.rfc("6531#3.2")
def test_addresses_beyond_ascii_reach_a_postfix_that_takes_them(
    rich: Postfix, make_node: NodeMaker
) -> None:
    node = relay_to(rich, make_node)
    content = MESSAGE.format(subject="Grüße").encode()
    submit(node, content, f"jürg@{DOMAIN}", "BODY=8BITMIME", "SMTPUTF8")
    octets = arrival(rich, "Subject: Grüße".encode())
    assert f"X-Original-To: jürg@{DOMAIN}".encode() in octets
    assert octets.endswith(content)
    trace = octets.replace(b"\r\n", b"").replace(b"\t", b" ")
    assert b"with UTF8SMTPSA id" in trace  # ours
    assert b"with UTF8SMTP id" in trace  # theirs


@pytest.mark.rfc("6531#3.5", "6533#3")
def test_addresses_beyond_ascii_come_back_from_one_that_does_not(
    poor: Postfix, make_node: NodeMaker
) -> None:
    node = relay_to(poor, make_node)
    content = MESSAGE.format(subject="Grüße").encode()
    submit(node, content, f"jürg@{DOMAIN}", "BODY=8BITMIME", "SMTPUTF8")
    returns = node.data_dir / "returns/app/new"
    wait_until(lambda: any(returns.glob("*")), "the return")
    (file,) = returns.glob("*")
    report = email.message_from_bytes(file.read_bytes())
    (fields,) = [p for p in report.walk() if p.get_content_type() == "message/delivery-status"]
    assert "Status: 5.6.7" in fields.as_string()


@pytest.mark.rfc("6531#3.2")
def test_a_subject_beyond_ascii_arrives_as_encoded_words(
    poor: Postfix, make_node: NodeMaker
) -> None:
    node = relay_to(poor, make_node)
    content = MESSAGE.format(subject="Grüße an alle").encode()
    submit(node, content, f"x@{DOMAIN}", "BODY=8BITMIME", "SMTPUTF8")
    octets = arrival(poor, b"Subject: =?utf-8?B?R3LDvMOfZQ==?= an alle")
    assert email.message_from_bytes(octets).get_payload(decode=True) == TEXT.encode()
