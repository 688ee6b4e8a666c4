"""The alignment gate: submissions, what the DNS says of them, and what becomes of it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gatepost.model.event import Event, EventKind
from gatepost.model.settings import AlignmentSettings
from gatepost.model.submission import Submission
from gatepost.net.resolver import Resolver
from gatepost.reception.accept import Accepted
from gatepost.reception.alignment import Gate
from gatepost.wire.dkim.canonical import body_hash
from gatepost.wire.dkim.sign import SigningKey, SigningTime, sign
from gatepost.wire.message.header import HeaderFault, scan
from gatepost.wire.records.dkim_key import dkim_key_text
from gatepost.wire.smtp.replies import NOT_ALIGNED, Reply
from tests.dns_server import DnsServer
from tests.support.reception import APP, NOON


@pytest.fixture
async def dns() -> AsyncIterator[DnsServer]:
    async with DnsServer() as server:
        server.add("_dmarc.example.com", "TXT", '"v=DMARC1; p=reject"')
        server.add("_dmarc.strict.test", "TXT", '"v=DMARC1; p=none; adkim=s; aspf=s"')
        server.add("bounce.example.com", "TXT", '"v=spf1 -all"')
        yield server


class Post:
    """A gate and what it was asked about."""

    def __init__(self, dns: DnsServer, *, patience: float = 20.0, **settings: Any) -> None:
        self.now = 1000.0
        self.events: list[Event] = []
        self.resolver = Resolver([dns.address], clock=lambda: self.now)
        self.gate = Gate(
            self.resolver,
            AlignmentSettings(**settings),
            "relay.test",
            self.events.append,
            clock=lambda: self.now,
            patience=patience,
        )

    async def judge(
        self,
        *authors: str,
        by: tuple[str, ...] = (),
        reverse_path: str = "a@other.test",
        pieces: tuple[bytes, ...] = (b"x",),
        brought: tuple[str, ...] = (),
        is_trial: bool = False,
    ) -> Accepted | Reply:
        submission = Submission(
            id="019b0000000070008000000000000001",
            reverse_path=reverse_path,
            size=1,
            received_at=NOON,
            origin="submission",
            account=APP,
        )
        accepted = Accepted(
            submission,
            (),
            pieces,
            Event(EventKind.ACCEPTED, NOON),
            authors,
            signed_by=by,
            brought=brought,
            is_trial=is_trial,
        )
        return await self.gate.judge(accepted)

    async def verdict(self, *authors: str, **more: Any) -> str:
        judged = await self.judge(*authors, **more)
        assert isinstance(judged, Accepted)
        return str(judged.event.facts["alignment"])


@pytest.mark.parametrize(
    ("authors", "by", "reverse_path", "verdict"),
    [
        (["a@example.com"], ("example.com",), "a@other.test", "aligned by DKIM example.com; policy reject"),
        (["a@News.Example.com"], ("example.com",), "", "aligned by DKIM example.com; policy reject"),
        (["a@example.com"], (), "b@bounce.example.com", "aligned by SPF bounce.example.com; policy reject"),
        (["a@example.com"], (), "", "unaligned: signed by nobody, returns to relay.test; policy reject"),
        (["a@example.com", "b@strict.test"], ("example.com",), "a@example.com",
         "unaligned: signed by example.com, returns to example.com; policy none"),
        (["a@bücher.test"], ("xn--bcher-kva.test",), "", "aligned by DKIM xn--bcher-kva.test; no policy published"),
    ],
)  # fmt: skip
async def test_verdicts_stand_in_the_event(
    dns: DnsServer, authors: list[str], by: tuple[str, ...], reverse_path: str, verdict: str
) -> None:
    assert await Post(dns).verdict(*authors, by=by, reverse_path=reverse_path) == verdict


@pytest.mark.parametrize(
    ("settings", "refused", "warned"),
    [
        ({}, False, 0),
        ({"mode": "warn"}, False, 1),
        ({"mode": "enforce"}, True, 0),
        ({"enforce": ["*"]}, True, 0),
        ({"enforce": ["example.com"]}, True, 0),
        ({"enforce": ["*.example.com", "other.test"]}, False, 0),
        ({"mode": "enforce", "observe": ["example.com"]}, False, 0),
        ({"mode": "enforce", "warn": ["example.com"]}, False, 1),
        ({"enforce": ["example.com"], "observe": ["*"]}, True, 0),
    ],
)
async def test_modes(dns: DnsServer, settings: dict[str, Any], refused: bool, warned: int) -> None:
    post = Post(dns, **settings)
    judged = await post.judge("a@example.com")
    assert isinstance(judged, Reply) is refused
    assert len(post.events) == warned


@pytest.mark.rfc("7372#3.4")
async def test_the_refusal_names_what_is_amiss_and_what_to_publish(dns: DnsServer) -> None:
    judged = await Post(dns, mode="enforce").judge("a@x.example.com", by=("nobody.test",))
    assert isinstance(judged, Reply)
    assert (judged.code, judged.status) == (NOT_ALIGNED.code, "5.7.26")
    assert judged.text == (
        "Receivers would not find this aligned for DMARC: From x.example.com, signed by nobody.test,"
        " returns to other.test\nadd x.example.com as a sending domain and publish its key at"
        " SELECTOR._domainkey.x.example.com"
    )


async def test_warnings_are_not_a_crowd(dns: DnsServer) -> None:
    post = Post(dns, mode="warn")
    told = []
    for seconds in (0, 10, 400, 3000, 300):
        post.now += seconds
        await post.judge("a@example.com")
        await asyncio.gather(*post.gate._flights.values())  # a new verdict, and no new warning
        told.append(len(post.events))
    assert told == [1, 1, 1, 1, 2]
    assert post.events[0].kind is EventKind.ALIGNMENT_WARNED
    assert post.events[0].facts["domain"] == "example.com"
    assert str(post.events[0].facts["mend"]).startswith("add example.com")


async def test_a_trial_warns_nobody(dns: DnsServer) -> None:
    post = Post(dns, mode="warn")
    assert isinstance(await post.judge("a@example.com", is_trial=True), Accepted)
    assert not post.events


@pytest.mark.parametrize(
    ("author", "by", "organization"),
    [
        ("a@x.example.com", (), "example.com"),  # as its policy has it
        ("a@x.nowhere.test", ("nowhere.test",), "nowhere.test"),  # no policy: the domain that signs
        ("a@x.nowhere.test", ("other.test",), "x.nowhere.test"),
    ],
)
async def test_providers_count_mail_for_the_author_s_organization(
    dns: DnsServer, author: str, by: tuple[str, ...], organization: str
) -> None:
    judged = await Post(dns).judge(author, by=by)
    assert isinstance(judged, Accepted)
    assert judged.organizational == organization


async def test_the_dns_is_asked_once_for_a_kind_of_mail(dns: DnsServer) -> None:
    post = Post(dns)
    await post.verdict("a@example.com", by=("example.com",))
    asked = dns.count
    for name in ("b", "c", "d"):
        await post.verdict(f"{name}@example.com", by=("example.com",), reverse_path="x@other.test")
    assert dns.count == asked
    post.now += 301
    dns.add("_dmarc.example.com", "TXT", '"v=DMARC1; p=none"')
    # what is older serves while a newer verdict is on its way
    assert "policy reject" in await post.verdict("a@example.com", by=("example.com",))
    await asyncio.gather(*post.gate._flights.values())
    assert "policy none" in await post.verdict("a@example.com", by=("example.com",))


async def test_a_crowd_of_the_same_kind_waits_for_one_answer(dns: DnsServer) -> None:
    dns.behaviour.delay = 0.05
    post = Post(dns)
    verdicts = await asyncio.gather(
        *(post.verdict("a@example.com", by=("example.com",)) for _ in range(50))
    )
    assert set(verdicts) == {"aligned by DKIM example.com; policy reject"}
    assert max(dns.queries.values()) == 1


@pytest.mark.parametrize("how", ["silent", "servfail"])
async def test_what_the_dns_does_not_say_goes_out(dns: DnsServer, how: str) -> None:
    dns.behaviour = replace(
        dns.behaviour, silent=how == "silent", rcode="SERVFAIL" if how == "servfail" else None
    )
    post = Post(dns, mode="enforce", patience=0.05)
    assert await post.verdict("a@example.com") == "unknown: the DNS does not say"
    dns.behaviour = replace(dns.behaviour, silent=False, rcode=None)
    assert await post.verdict("a@example.com") == "unknown: the DNS does not say"  # kept a while
    await post.resolver.close()
    post.gate._patience = 20.0
    post.now += 31  # a verdict that could not be had is believed for half a minute
    assert await post.verdict("a@example.com") == "unknown: the DNS does not say"
    await asyncio.gather(*post.gate._flights.values())
    assert isinstance(await post.judge("a@example.com"), Reply)


async def test_returns_of_ours_and_mail_from_servers_are_not_judged(dns: DnsServer) -> None:
    post = Post(dns, mode="enforce")
    judged = await post.judge()
    assert isinstance(judged, Accepted)
    assert "alignment" not in judged.event.facts
    assert not dns.count


CONTENT = b"From: a@example.com\r\nSubject: hello\r\n\r\nGood day.\r\n"


def signed_elsewhere(
    dns: DnsServer, content: bytes = CONTENT, domain: str = "example.com"
) -> bytes:
    """Return content with a signature of a domain that came with it; its key is published."""
    key = SigningKey(domain, "theirs", Ed25519PrivateKey.generate())
    text = dkim_key_text(key.key_type, key.public)
    dns.add(f"theirs._domainkey.{domain}", "TXT", f'"{text}"')
    header = scan(content)
    assert not isinstance(header, HeaderFault)
    at = int(NOON.timestamp())
    when = SigningTime(at, at + 3600)
    return sign(content, header, body_hash((content[header.body :],)), (key,), when) + content


async def verdict_on(post: Post, content: bytes) -> str:
    judged = await post.judge("a@example.com", pieces=(content,), brought=("example.com",))
    assert isinstance(judged, Accepted)
    return str(judged.event.facts["alignment"])


async def test_a_signature_that_came_with_a_message_counts_where_it_holds(dns: DnsServer) -> None:
    content = signed_elsewhere(dns)
    assert await verdict_on(Post(dns), content) == "aligned by DKIM example.com; policy reject"
    changed = await verdict_on(Post(dns), content.replace(b"Good day", b"Buy this"))
    assert changed == "unaligned: signed by nobody, returns to other.test; policy reject"
    forged = await verdict_on(Post(dns), content.replace(b"s=theirs", b"s=nobody"))
    assert forged == changed


async def test_a_key_that_cannot_be_looked_up_now_refuses_nothing(dns: DnsServer) -> None:
    content = signed_elsewhere(dns)
    dns.for_name("theirs._domainkey.example.com").rcode = "SERVFAIL"
    post = Post(dns, mode="enforce")
    assert await verdict_on(post, content) == "unknown: the DNS does not say"


async def test_a_stranger_s_key_that_cannot_be_looked_up_excuses_nothing(dns: DnsServer) -> None:
    content = signed_elsewhere(dns, domain="stranger.test")
    dns.for_name("theirs._domainkey.stranger.test").rcode = "SERVFAIL"
    judged = await Post(dns, mode="enforce").judge(
        "a@example.com", pieces=(content,), brought=("stranger.test",)
    )
    assert isinstance(judged, Reply)
    assert judged.code == NOT_ALIGNED.code


async def test_a_good_signature_counts_beside_one_that_cannot_be_looked_up(dns: DnsServer) -> None:
    content = signed_elsewhere(dns, signed_elsewhere(dns), "stranger.test")
    dns.for_name("theirs._domainkey.stranger.test").rcode = "SERVFAIL"
    assert await verdict_on(Post(dns), content) == "aligned by DKIM example.com; policy reject"


async def test_what_is_aligned_by_our_own_asks_for_no_key(dns: DnsServer) -> None:
    post = Post(dns)
    judged = await post.judge(
        "a@example.com", by=("example.com",), pieces=(b"", CONTENT), brought=("example.com",)
    )
    assert isinstance(judged, Accepted)
    assert not [name for name, _ in dns.queries if "_domainkey" in name]
