"""Mail from servers: what SPF, DKIM and DMARC say of it, over a real DNS server on loopback."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.model.settings import InboundSettings
from gatepost.model.submission import Origin
from gatepost.net.resolver import Resolver
from gatepost.reception.accept import Acceptance, accept
from gatepost.reception.arrival import Arrival, Origination
from gatepost.reception.inbound import Inbound
from gatepost.wire.dkim.verify import MOST_SIGNATURES
from gatepost.wire.message.authentication_results import forged_fields
from gatepost.wire.message.header import Header, scan
from gatepost.wire.smtp.grammar import parse_mailbox
from gatepost.wire.smtp.notification import Notify
from gatepost.wire.smtp.replies import CANNOT_VERIFY_AUTHOR, DMARC_REFUSED, Reply
from tests.dns_server import DnsServer
from tests.support.reception import RememberingStore
from tests.wire.dkim.keys import DOMAIN, prefix_for, records

BODY = b"Subject: hello\r\n\r\nHello!\r\n"
LETTER = f"From: Joe <joe@{DOMAIN}>\r\n".encode() + BODY
#: Whose From this is depends on whether comments nest, and whether quotes count in them.
AMBIGUOUS = f'From: (( x) "a ) "q) <boss@bank.test> (" <joe@{DOMAIN}> (b")\r\n'.encode() + BODY
STRANGER = b"From: boss@bank.test\r\n" + BODY
SIGNED = prefix_for(LETTER) + LETTER


@pytest.fixture
async def dns() -> AsyncIterator[DnsServer]:
    async with DnsServer() as server:
        for name, texts in records().items():
            server.add(name, "TXT", *(f'"{text}"' for text in texts))
        server.add(DOMAIN, "TXT", '"v=spf1 ip4:192.0.2.7 -all"')
        server.add(f"_dmarc.{DOMAIN}", "TXT", '"v=DMARC1; p=reject"')
        server.add("_dmarc.bank.test", "TXT", '"v=DMARC1; p=reject; sp=quarantine"')
        yield server


class Door:
    """The end of content on port 25, everything behind it real but the store."""

    def __init__(self, dns: DnsServer, *, patience: float = 20.0, **settings: Any) -> None:
        self.store = RememberingStore()
        self.resolver = Resolver([dns.address])
        store: Any = self.store
        inbound = Inbound(
            self.resolver, InboundSettings(**settings), "relay.test", patience=patience
        )
        self.acceptance = Acceptance(
            store, "relay.test", 1 << 26, timedelta(days=5), examine=inbound.examine
        )

    async def take(
        self, content: bytes, reverse_path: str = f"joe@{DOMAIN}", client: str = "192.0.2.7"
    ) -> Reply:
        mailbox = parse_mailbox("alice@local.test")
        assert mailbox
        origination = Origination(Origin.MX, "mta.client.test", client, "ESMTP")
        reply = await accept(
            Arrival(origination, reverse_path, (mailbox,), [content], len(content)), self.acceptance
        )
        await self.resolver.close()
        return reply

    @property
    def kept(self) -> bytes:
        (content,) = self.store.contents.values()
        return content

    @property
    def results(self) -> str:
        """The field that we put before it, in one line."""
        head, _, rest = self.kept.partition(b"\r\nReceived:")
        assert rest
        return re.sub(r"\s+", " ", head.decode())


@pytest.mark.rfc("8601#2.2")
async def test_a_genuine_message(dns: DnsServer) -> None:
    door = Door(dns)
    assert (await door.take(SIGNED)).accepts
    assert door.results.replace(chr(34), "") == (
        f"Authentication-Results: relay.test; spf=pass smtp.mailfrom={DOMAIN};"
        f" dkim=pass header.d={DOMAIN} header.s=test header.a=rsa-sha256"
        f" header.b={_beginning(0)};"
        f" dkim=pass header.d={DOMAIN} header.s=brisbane header.a=ed25519-sha256"
        f" header.b={_beginning(1)}; dmarc=pass header.from={DOMAIN} policy.dmarc=reject"
    )
    assert door.kept.endswith(SIGNED)
    (event,) = door.store.events
    assert event.facts["spf"] == f"pass {DOMAIN}"
    assert event.facts["dkim"] == f"pass {DOMAIN}"
    assert event.facts["dmarc"] == f"pass {DOMAIN} (policy reject)"
    assert event.facts["size"] == door.store.submissions[0].size == len(door.kept)


def _beginning(index: int) -> str:
    return re.findall(rb"\tb=([^\r]{8})", SIGNED)[index].decode()


@pytest.mark.parametrize(
    ("content", "reverse_path", "client", "found"),
    [
        (LETTER, f"joe@{DOMAIN}", "198.51.100.1", "spf=fail .*; dkim=none; dmarc=fail"),
        (LETTER, f"joe@{DOMAIN}", "192.0.2.7", "spf=pass .*; dkim=none; dmarc=pass"),
        (SIGNED.replace(b"Hello!", b"Hullo!"), "a@other.test", "192.0.2.7",
         'spf=none .*; dkim=fail reason="the body was changed" .*; dmarc=fail'),
        (SIGNED, "a@other.test", "198.51.100.1", "spf=none .*; dkim=pass .*; dmarc=pass"),
        (LETTER, "", "192.0.2.7", "spf=none .*smtp.helo=mta.client.test; dkim=none; dmarc=fail"),
        (b"From: a@nothing.test\r\n" + BODY, "", "192.0.2.7", "dmarc=none header.from=nothing.test"),
        (b"From: undisclosed\r\n" + BODY, "", "192.0.2.7", "dmarc=permerror"),
        (AMBIGUOUS, f"joe@{DOMAIN}", "192.0.2.7", "dmarc=permerror$"),
        (b"From: a@x.bank.test\r\n" + BODY, "", "192.0.2.7",
         "dmarc=fail header.from=x.bank.test policy.dmarc=quarantine"),
        (f"From: joe@{DOMAIN}, boss@bank.test\r\n".encode() + BODY, f"joe@{DOMAIN}", "192.0.2.7",
         "dmarc=fail header.from=bank.test policy.dmarc=reject"),
    ],
)  # fmt: skip
async def test_findings_are_written_down(
    dns: DnsServer, content: bytes, reverse_path: str, client: str, found: str
) -> None:
    door = Door(dns)
    assert (await door.take(content, reverse_path, client)).accepts
    assert re.search(found, door.results), door.results


@pytest.mark.rfc("5321#6.2")
@pytest.mark.parametrize(
    ("content", "reverse_path", "client", "verify", "told"),
    [
        (LETTER, f"joe@{DOMAIN}", "192.0.2.7", True, True),  # SPF
        (STRANGER, f"joe@{DOMAIN}", "192.0.2.7", True, True),
        (SIGNED, f"joe@{DOMAIN}", "198.51.100.1", True, True),  # DMARC, by DKIM
        (LETTER, f"joe@{DOMAIN}", "198.51.100.1", True, False),
        (SIGNED, "victim@other.test", "198.51.100.1", True, False),
        (STRANGER, "victim@nothing.test", "192.0.2.7", True, False),
        (LETTER, f"joe@{DOMAIN}", "192.0.2.7", False, False),
    ],
)
async def test_reports_go_to_proven_senders_only(
    dns: DnsServer, content: bytes, reverse_path: str, client: str, verify: bool, told: bool
) -> None:
    """A stranger's message that is refused behind us must hit nobody whose name he took."""
    door = Door(dns, verify=verify)
    assert (await door.take(content, reverse_path, client)).accepts
    (delivery,) = door.store.deliveries
    assert delivery.wishes.notify is (None if told else Notify.NEVER)


@pytest.mark.rfc("7372#3.4")
@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (STRANGER, DMARC_REFUSED.code, "passes for bank.test"),
        (b"From: undisclosed\r\n" + BODY, 554, "From: header field is no valid list of addresses"),
        (b"From: nobody:;\r\n" + BODY, 554, "From: names no address"),
        (BODY, 554, "From: names no address"),
        (AMBIGUOUS, 554, "From: header field can be read as naming others"),
        (f"From: Joe (at home) <joe@{DOMAIN}> (joe@{DOMAIN})\r\n".encode() + BODY, 250, "Queued"),
        (b"From: " + b", ".join(b"a@d%d.test" % i for i in range(9)) + b"\r\n" + BODY, 554, "too many"),
        (b"From: a@x.bank.test\r\n" + BODY, 250, "Queued"),  # sp=quarantine
        (LETTER, 250, "Queued"),
    ],
)  # fmt: skip
async def test_what_is_enforced(dns: DnsServer, content: bytes, code: int, words: str) -> None:
    door = Door(dns, dmarc="enforce")
    reply = await door.take(content)
    assert reply.code == code
    assert words in reply.text
    assert bool(door.store.contents) == reply.accepts


@pytest.mark.parametrize("trouble", ["accept", "defer"])
async def test_a_dns_that_does_not_answer(dns: DnsServer, trouble: str) -> None:
    dns.behaviour.rcode = "SERVFAIL"
    door = Door(dns, dmarc="enforce", dns_trouble=trouble)
    reply = await door.take(SIGNED)
    if trouble == "defer":
        assert reply.code == CANNOT_VERIFY_AUTHOR.code
        assert not door.store.contents
    else:
        assert reply.accepts
        for method in ("spf", "dkim", "dmarc"):
            assert f"{method}=temperror" in door.results


async def test_a_failure_beside_trouble_refuses_nothing(dns: DnsServer) -> None:
    """DMARC could have passed by SPF, had the DNS told it."""
    dns.for_name(DOMAIN).rcode = "SERVFAIL"
    door = Door(dns, dmarc="enforce")
    assert (await door.take(LETTER, client="198.51.100.1")).accepts
    assert "dmarc=temperror" in door.results


async def test_look_ups_end_with_our_patience(dns: DnsServer) -> None:
    dns.behaviour.silent = True
    door = Door(dns, patience=0.05)
    assert (await door.take(SIGNED)).accepts
    assert door.results.count("=temperror") == 4


async def test_work_for_a_hostile_message_is_bounded(dns: DnsServer) -> None:
    one = prefix_for(LETTER)
    many = b"".join(one.replace(b"s=test", b"s=s%d" % i) for i in range(60))
    door = Door(dns)
    assert (await door.take(many + LETTER)).accepts
    assert door.results.count("dkim=") == MOST_SIGNATURES
    assert sum(1 for name, _ in dns.queries if "_domainkey" in name) <= MOST_SIGNATURES


FORGED = [
    b"relay.test; dkim=pass",
    b"RELAY.TEST; dkim=pass",
    b'"relay.test"; dkim=pass',
    b'"relay\\.test" 1; dkim=pass',
    b" (x) relay.test (y); dkim=pass",
    b"(a (nested) comment) relay.test; dkim=pass",
    b"relay.test. 1; dkim=pass",
    b"relay.test\r\n\t; dkim=pass",
    b"other.test 2; dkim=pass",  # a version that nobody knows
    b"; dkim=pass",
    b"",
]
TRUE = [b"other.test; dkim=pass", b"relay.test.other.test; spf=pass", b"notrelay.test 1; none"]


@pytest.mark.rfc("8601#5")
@pytest.mark.parametrize("verify", [True, False])
async def test_fields_that_claim_to_be_ours_go(dns: DnsServer, verify: bool) -> None:
    forged = b"".join(b"Authentication-Results: " + value + b"\r\n" for value in FORGED)
    true = b"".join(b"Authentication-Results: " + value + b"\r\n" for value in TRUE)
    door = Door(dns, verify=verify)
    assert (await door.take(forged + true + LETTER + forged)).accepts
    assert door.kept.endswith(true + LETTER + forged)
    assert door.kept.count(b"relay.test; dkim=pass") == forged.count(b"relay.test; dkim=pass")


@given(st.binary(max_size=60))
def test_any_value_is_judged(value: bytes) -> None:
    content = b"Authentication-Results: " + value.replace(b"\n", b"") + b"\r\n\r\n"
    header = scan(content)
    if isinstance(header, Header):
        forged_fields(content, header, "relay.test")


async def test_submissions_are_not_examined_but_forge_nothing(dns: DnsServer) -> None:
    door = Door(dns)
    mailbox = parse_mailbox("alice@local.test")
    assert mailbox
    origination = Origination(Origin.SUBMISSION, "client.test", "192.0.2.7", "ESMTPSA")
    forged = b"Bcc: x@y.test\r\nAuthentication-Results: relay.test; dmarc=pass\r\n"
    true = b"Authentication-Results: other.test; dmarc=pass\r\n"
    content = forged + true + STRANGER
    arrival = Arrival(origination, "a@b.test", (mailbox,), [content], len(content))
    assert (await accept(arrival, door.acceptance)).accepts
    assert door.kept.endswith(b"\r\n" + true + STRANGER)
    assert b"relay.test; dmarc" not in door.kept
    assert not dns.count
