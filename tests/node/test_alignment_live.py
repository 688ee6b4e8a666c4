"""A running node that holds its submissions to alignment, and what mends a refusal."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.dns_server import DnsServer
from tests.node.talk import upgraded
from tests.support.node import CAPTURE_ALL, Node, wait_until

SETTINGS = (
    """
[[routes]]
match = ["hosted.test"]
via = "mx"
"""
    + CAPTURE_ALL
    + """
[alignment]
enforce = ["brand.test"]
[dns]
resolvers = ["{dns}"]
"""
)
LETTER = b"From: news@brand.test\r\nTo: you@elsewhere.test\r\nSubject: hello\r\n\r\nHello!\r\n"


@pytest.fixture
async def dns() -> AsyncIterator[DnsServer]:
    async with DnsServer() as server:
        server.add("_dmarc.brand.test", "TXT", '"v=DMARC1; p=reject"')
        server.add("hosted.test", "MX", "1 aspmx.l.google.com.")  # which has no address here
        yield server


@pytest.mark.rfc("7372#3.4")
async def test_a_sending_domain_mends_the_refusal(dns: DnsServer, tmp_path: Path) -> None:
    node = Node(tmp_path / "node", SETTINGS.format(dns=dns.address))

    def submit(content: bytes) -> str:
        with upgraded(node.ports.submission) as talk:
            assert talk.login(node.account, node.password).startswith("235")
            talk.envelope(node.account, "you@hosted.test", "you@gmail.com")
            return talk.message(content)

    def play() -> None:
        node.set_up(node.account, "@brand.test", "@other.test")
        node.start()
        refused = submit(LETTER)
        assert refused.startswith("550-5.7.26 ")
        assert "From brand.test, signed by nobody, returns to example.com" in refused
        assert "\n550 5.7.26 add brand.test as a sending domain and publish its key" in refused
        other = submit(LETTER.replace(b"brand", b"other"))
        assert other.startswith("250")
        told = node.run("trace", other.rpartition(" ")[2]).stdout
        assert "DMARC: unaligned: signed by nobody, returns to example.com" in told
        node.run("domain", "add", "brand.test")
        replies: list[str] = []

        def is_taken() -> bool:
            replies.append(submit(LETTER))
            return replies[-1].startswith("250")

        wait_until(is_taken, "the new domain signs")
        told = node.run("trace", replies[-1].rpartition(" ")[2]).stdout
        assert "DMARC: aligned by DKIM brand.test; policy reject" in told
        assert node.stop() == 0
        told = node.run("bulk", "--days", "2").stdout
        assert "gmail                     1 of 5000  brand.test" in told
        counts = {
            (row["provider"], row["domain"]): row["count"]
            for row in node.json("bulk", "--days", "2")
        }
        assert counts == {
            (provider, domain): 1
            for provider in ("gmail", "google-hosted")
            for domain in ("brand.test", "other.test")
        }

    await asyncio.to_thread(play)
