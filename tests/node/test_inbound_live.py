"""Port 25 of a running node: genuine mail, forged mail, and a DNS that tells them apart."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gatepost.reception.inbound import PATIENCE
from tests.dns_server import DnsServer
from tests.node.talk import Talk
from tests.support.node import Node, wait_until
from tests.wire.dkim.keys import DOMAIN, prefix_for, records

SETTINGS = """
[[local_domains]]
name = "local.test"
mailboxes = ["alice"]
deliver_to = "maildir:local"
[inbound]
dmarc = "enforce"
[dns]
resolvers = ["{dns}"]
"""
LETTER = f"From: Joe <joe@{DOMAIN}>\r\nSubject: hello\r\n\r\nHello!\r\n".encode()
FORGED = b"Authentication-Results: relay.test; dkim=pass header.d=bank.test\r\n"


@pytest.fixture
async def dns() -> AsyncIterator[DnsServer]:
    async with DnsServer() as server:
        for name, texts in records().items():
            server.add(name, "TXT", *(f'"{text}"' for text in texts))
        server.add(DOMAIN, "TXT", '"v=spf1 ip4:127.0.0.1 -all"')
        server.add(f"_dmarc.{DOMAIN}", "TXT", '"v=DMARC1; p=reject"')
        server.add("_dmarc.bank.test", "TXT", '"v=DMARC1; p=reject"')
        yield server


def deliver(port: int, reverse_path: str, content: bytes) -> str:
    with Talk(port) as talk:
        talk.hello()
        talk.envelope(reverse_path, "alice@local.test")
        return talk.message(content)


@pytest.mark.rfc("8601#5")
async def test_genuine_and_forged_mail(dns: DnsServer, tmp_path: Path) -> None:
    node = Node(tmp_path / "node", SETTINGS.format(dns=dns.address))
    inbox = node.data_dir / "local"

    def mail() -> list[str]:
        texts = [path.read_text("latin-1") for path in inbox.rglob("new/*")]
        return [" ".join(text.split()) for text in texts]

    def talk() -> tuple[str, str, str, str]:
        node.set_up()
        node.start()
        port = node.ports.mx
        genuine = deliver(port, "anyone@other.test", FORGED + prefix_for(LETTER) + LETTER)
        by_spf = deliver(port, f"joe@{DOMAIN}", LETTER)
        changed = prefix_for(LETTER) + LETTER.replace(b"Hello!", b"Pay me!")
        forged = deliver(port, "joe@bank.test", changed.replace(DOMAIN.encode(), b"bank.test"))
        wait_until(lambda: len(mail()) == 2, "two messages in the maildir")
        number = genuine.rpartition(" ")[2]
        told = node.run("trace", number).stdout
        assert node.stop() == 0
        return genuine, by_spf, forged, told

    genuine, by_spf, forged, told = await asyncio.wait_for(asyncio.to_thread(talk), PATIENCE * 5)
    assert genuine.startswith("250 ")
    assert by_spf.startswith("250 ")
    assert forged.startswith("550 5.7.26 ")
    assert "bank.test" in forged
    signed = next(text for text in mail() if "DKIM-Signature" in text)
    unsigned = next(text for text in mail() if "DKIM-Signature" not in text)
    assert re.search("Authentication-Results: relay.test; spf=none.*; dkim=pass", signed)
    assert "dmarc=pass" in signed
    assert "bank.test" not in signed
    assert "spf=pass smtp.mailfrom=football.example.com; dkim=none" in unsigned
    assert f"DMARC pass {DOMAIN}" in told
