"""Sending domains: keys made and imported, rotated, and held against a live DNS."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gatepost.identity.master_key import MasterKey
from gatepost.model.domain import DkimKeyState, sealing_context
from gatepost.model.domain_look import Standing
from gatepost.model.event import EventKind
from gatepost.model.ids import WorkerId
from gatepost.net.resolver import Resolver
from gatepost.operate import domains
from gatepost.operate.accounts import By
from gatepost.operate.domain_check import check
from gatepost.operate.domain_records import Sending, domain_json, records_of, zone_snippet
from gatepost.store.sqlite import open_sqlite
from gatepost.wire.dkim.sign import SigningKey, parse_private_key
from gatepost.wire.records.dkim_key import KeyType
from gatepost.wire.records.txt import txt_strings
from tests.dns_server import DnsServer
from tests.wire.dkim.vectors import RSA_PEM

BY = By(datetime(2026, 11, 24, tzinfo=UTC), "root")
NEXT_DAY = replace(BY, now=BY.now + timedelta(days=1))
KEY = MasterKey(bytes(32))
HOST = "relay.example"
SENDING = Sending(HOST)
ACTIVE, PENDING, RETIRING = DkimKeyState.ACTIVE, DkimKeyState.PENDING, DkimKeyState.RETIRING
GOOD, MISSING, WRONG = Standing.GOOD, Standing.MISSING, Standing.WRONG


@pytest.fixture
async def store(tmp_path: Path):
    opened = await open_sqlite(tmp_path, WorkerId("node/1/0"))
    yield opened
    await opened.close()


def dated(domain) -> list[str]:
    """Return what stands before the random part and behind it, in the selectors of a domain."""
    parts = [re.fullmatch(r"(gp[0-9]{8})-[0-9a-f]{6}([er])", key.selector) for key in domain.keys]
    return sorted("".join(part.groups()) for part in parts if part)


def states(domain) -> dict[str, DkimKeyState]:
    return {key.selector: key.state for key in domain.keys}


async def test_a_new_domain_has_two_keys_with_dated_selectors(store):
    domain = await domains.add(store, "Example.COM.", KEY, by=BY)
    assert domain.name == "example.com"
    assert dated(domain) == ["gp20261124e", "gp20261124r"]
    assert set(states(domain).values()) == {ACTIVE}
    assert {key.algorithm for key in domain.keys} == {KeyType.RSA, KeyType.ED25519}
    for key in domain.keys:
        pem = KEY.open(key.private_key, sealing_context("example.com", key.selector))
        private = SigningKey("example.com", key.selector, parse_private_key(pem.encode()))
        assert private.public == key.public
        assert "PRIVATE" not in key.private_key.reveal()
    events = await store.read(lambda reading: reading.events())
    assert [each.event.kind for each in events] == [EventKind.DOMAIN_ADDED]
    assert await domains.listing(store) == [await domains.show(store, "example.com")]


async def test_a_name_may_be_written_in_u_labels(store):
    assert (await domains.add(store, "bücher.example", KEY, by=BY)).name == "xn--bcher-kva.example"
    assert (await domains.show(store, "BÜCHER.example")).name == "xn--bcher-kva.example"


@pytest.mark.parametrize("name", ["", "com", "a b.example", "192.0.2.1", "x..example"])
async def test_what_is_no_full_domain_is_refused(store, name):
    with pytest.raises(domains.BadDomainError):
        await domains.add(store, name, KEY, by=BY)


async def test_a_domain_is_added_once(store):
    await domains.add(store, "example.com", KEY, by=BY)
    with pytest.raises(domains.DomainExistsError):
        await domains.add(store, "example.com", KEY, by=BY)
    with pytest.raises(domains.NoSuchDomainHereError, match=r"did you mean \"example\.com\""):
        await domains.remove(store, "exmple.com", by=BY)
    await domains.remove(store, "example.com", by=BY)
    assert await domains.listing(store) == []


async def test_an_imported_key_signs_alone_and_again_changes_nothing(store):
    imported = domains.ImportedKey("mail", RSA_PEM)
    domain = await domains.add(store, "example.com", KEY, imported=imported, by=BY)
    assert states(domain) == {"mail": ACTIVE}
    again = await domains.add(store, "example.com", KEY, imported=imported, by=NEXT_DAY)
    assert again == domain
    second = domains.ImportedKey("mail2", RSA_PEM)
    both = await domains.add(store, "example.com", KEY, imported=second, by=NEXT_DAY)
    assert states(both) == {"mail": ACTIVE, "mail2": PENDING}


@pytest.mark.parametrize(
    ("selector", "pem"), [("", RSA_PEM), ("a b", RSA_PEM), ("x" * 64, RSA_PEM), ("mail", b"no key")]
)
async def test_what_cannot_be_imported_is_refused(store, selector, pem):
    imported = domains.ImportedKey(selector, pem)
    with pytest.raises(domains.BadDomainError):
        await domains.add(store, "example.com", KEY, imported=imported, by=BY)
    assert await domains.listing(store) == []


async def test_no_selector_names_another_key_on_the_same_day(store):
    """Caches hold the old record, and mail that the old key signed is under way."""
    seen: dict[str, str] = {}
    for _ in range(3):
        domain = await domains.add(store, "example.com", KEY, by=BY)
        await domains.prepare_rotation(store, "example.com", KEY, by=BY)
        await domains.complete_rotation(store, "example.com", by=BY)
        left = await domains.forget_retired(store, "example.com", needed_for=timedelta(0), by=BY)
        for key in (*domain.keys, *left.keys):
            assert seen.setdefault(key.selector, key.public) == key.public
        await domains.remove(store, "example.com", by=BY)
    assert len(seen) == 12


async def test_a_rotation_overlaps(store):
    old = await domains.add(store, "example.com", KEY, by=BY)
    made = await domains.prepare_rotation(store, "example.com", KEY, by=BY)
    assert dated(made) == ["gp20261124e", "gp20261124e", "gp20261124r", "gp20261124r"]
    new = states(made).keys() - states(old).keys()
    assert states(made) == states(old) | dict.fromkeys(new, PENDING)
    again = await domains.prepare_rotation(store, "example.com", KEY, by=NEXT_DAY)
    assert states(again) == states(made)
    turned = await domains.complete_rotation(store, "example.com", by=BY)
    signs = dict.fromkeys(new, ACTIVE)
    assert states(turned) == dict.fromkeys(states(old), RETIRING) | signs
    week = timedelta(days=7)
    with pytest.raises(domains.StillNeededError, match="2026-12-01 00:00 UTC"):
        await domains.forget_retired(store, "example.com", needed_for=week, by=NEXT_DAY)
    week_later = replace(BY, now=BY.now + week)
    left = await domains.forget_retired(store, "example.com", needed_for=week, by=week_later)
    assert states(left) == signs


async def test_the_records_fit_into_strings_of_a_zone(store):
    domain = await domains.add(store, "example.com", KEY, by=BY)
    records = records_of(domain, SENDING)
    assert [(r.purpose, r.kind, r.optional) for r in records] == [
        ("SPF", "TXT", False),
        ("DKIM", "TXT", False),
        ("DKIM", "TXT", False),
        ("DMARC", "TXT", False),
        ("SPF", "TXT", True),
        ("MX", "MX", True),
        ("MTA-STS", "TXT", True),
        ("TLS-RPT", "TXT", True),
    ]
    assert records[0].text == "v=spf1 a:relay.example ~all"
    zone = zone_snippet(records)
    for line in zone.replace("( ", "").replace(" )", "").splitlines():
        if not line.startswith(";"):
            assert len(line.partition('"')[2]) <= 256
    shown = domain_json(domain, SENDING)
    assert all("".join(r["strings"]) == r["text"] for r in shown["records"] if r["type"] == "TXT")
    assert "PRIVATE" not in str(shown)


async def published(dns: DnsServer, domain, *, leave_out: str = "") -> None:
    dns.add(HOST, "A", "192.0.2.25")
    for record in records_of(domain, SENDING):
        if record.purpose != leave_out:
            text = record.text if record.kind == "MX" else " ".join(txt_strings(record.text))
            dns.add(record.name, record.kind, text)


async def findings(domain, dns: DnsServer) -> dict[str, Standing]:
    resolver = Resolver([dns.address], hosts_file=Path("/nonexistent"))
    found = await check(domain, SENDING, resolver, KEY)
    for each in found:
        assert bool(each.mend) == (each.standing is not GOOD)
    return {each.name: each.standing for each in found}


async def test_what_is_published_as_printed_is_good(store):
    domain = await domains.add(store, "example.com", KEY, by=BY)
    async with DnsServer() as dns:
        await published(dns, domain)
        assert set((await findings(domain, dns)).values()) == {GOOD}


@pytest.mark.parametrize("purpose", ["SPF", "DKIM", "DMARC"])
async def test_what_is_missing_is_said(store, purpose):
    domain = await domains.add(store, "example.com", KEY, by=BY)
    async with DnsServer() as dns:
        await published(dns, domain, leave_out=purpose)
        found = await findings(domain, dns)
    records = records_of(domain, SENDING)
    lacking = {r.name for r in records if r.purpose == purpose and not r.optional}
    assert {name for name, standing in found.items() if standing is MISSING} == lacking


@pytest.mark.parametrize(
    ("texts", "standing"),
    [
        (["v=DKIM1; k=rsa; p="], WRONG),
        (["v=DKIM1; k=ed25519; p=AAAA"], WRONG),
        (["v=DKIM1; k=rsa; p=MIGf"], WRONG),
        (["v=DKIM1; t=y; k=rsa; p={p}"], WRONG),
        (["v=DKIM1; h=sha1; k=rsa; p={p}"], WRONG),
        (["v=DKIM1; k=rsa; p={p}", "v=DKIM1; k=rsa; p="], WRONG),
        (["k=rsa; n=ours; p={p};"], GOOD),
    ],
)
async def test_a_published_key_is_held_against_the_private_one(store, texts, standing):
    domain = await domains.add(store, "example.com", KEY, by=BY)
    key = next(record for record in records_of(domain, SENDING) if "k=rsa" in record.text)
    public = key.text.partition("p=")[2]
    async with DnsServer() as dns:
        await published(dns, domain)
        written = [text.replace("{p}", public) for text in texts]
        dns.add(key.name, "TXT", *(" ".join(txt_strings(text)) for text in written))
        assert (await findings(domain, dns))[key.name] is standing


@pytest.mark.parametrize(
    ("text", "standing"),
    [
        ("v=spf1 a:relay.example -all", GOOD),
        ("v=spf1 +a:relay.example -all", GOOD),
        ("v=spf1 ip4:192.0.2.25 -all", GOOD),
        ("v=spf1 -all", WRONG),
        ("v=spf1 include:_spf.other.example -all", WRONG),
        ("v=spf1 include:_spf.good.example -all", GOOD),
        ("v=spf1 mx -all", WRONG),
        ("v=spf1 ip4:192.0.2.0/24 -all", GOOD),
        ("v=spf1 redirect=_spf.good.example", GOOD),
        ("v=spf1 include:_spf.silent.example -all", Standing.UNKNOWN),
        ("v=spf10 a:relay.example", MISSING),
    ],
)
async def test_spf_must_allow_this_relay(store, text, standing):
    domain = await domains.add(store, "example.com", KEY, by=BY)
    async with DnsServer() as dns:
        await published(dns, domain)
        dns.add("example.com", "TXT", f'"{text}"', '"some other text"')
        dns.add("_spf.good.example", "TXT", '"v=spf1 ip4:192.0.2.16/28 -all"')
        dns.for_name("_spf.silent.example").rcode = "SERVFAIL"
        assert (await findings(domain, dns))["example.com"] is standing


SOURCES = replace(SENDING, addresses=("192.0.2.30", "2001:db8::30"), of_hostname=False)


@pytest.mark.parametrize(
    ("sending", "terms"),
    [
        (SENDING, "a:relay.example"),
        (SOURCES, "ip4:192.0.2.30 ip6:2001:db8::30"),
        (replace(SOURCES, of_hostname=True), "a:relay.example ip4:192.0.2.30 ip6:2001:db8::30"),
        (replace(SENDING, of_hostname=False), "a:relay.example"),
    ],
)
async def test_spf_names_what_mail_leaves_from(store, sending, terms):
    domain = await domains.add(store, "example.com", KEY, by=BY)
    texts = [r.text for r in records_of(domain, sending) if r.purpose == "SPF"]
    assert texts == [f"v=spf1 {terms} ~all", f"v=spf1 {terms} -all"]


@pytest.mark.parametrize(
    ("text", "standing", "words"),
    [
        ("v=spf1 ip4:192.0.2.30 ip6:2001:db8::30 -all", GOOD, "it allows 192.0.2.30 and 2001:db8"),
        ("v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all", GOOD, "by what it names"),
        ("v=spf1 ip6:2001:db8::30 -all", WRONG, "it does not allow 192.0.2.30: fail"),
        ("v=spf1 a:relay.example -all", WRONG, "it does not allow 192.0.2.30: fail"),
        ("v=spf1 ip4:192.0.2.30 -all", WRONG, "it does not allow 2001:db8::30: fail"),
    ],
)
async def test_spf_must_allow_each_source_address(store, text, standing, words):
    domain = await domains.add(store, "example.com", KEY, by=BY)
    async with DnsServer() as dns:
        await published(dns, domain)
        dns.add("example.com", "TXT", f'"{text}"')
        resolver = Resolver([dns.address], patience=3.0)
        found = await check(domain, SOURCES, resolver, KEY)
        await resolver.close()
    finding = next(f for f in found if f.name == "example.com")
    assert (finding.standing, words in finding.what) == (standing, True), finding.what
    assert standing is GOOD or 'in front of "all"' in finding.mend


async def test_a_policy_above_the_domain_counts(store):
    domain = await domains.add(store, "news.example.com", KEY, by=BY)
    async with DnsServer() as dns:
        await published(dns, domain, leave_out="DMARC")
        dns.add("_dmarc.example.com", "TXT", '"v=DMARC1; p=reject"')
        assert (await findings(domain, dns))["_dmarc.example.com"] is GOOD


async def test_a_dns_that_does_not_answer_is_no_good_answer(store):
    domain = await domains.add(store, "example.com", KEY, by=BY)
    async with DnsServer() as dns:
        dns.behaviour.rcode = "SERVFAIL"
        found = await findings(domain, dns)
    optional = {r.name for r in records_of(domain, SENDING) if r.optional}
    assert {name for name, standing in found.items() if standing is Standing.NOTE} == optional
    assert {found[name] for name in found if name not in optional} == {Standing.UNKNOWN}


async def test_what_comes_to_this_relay_is_needed(store):
    domain = await domains.add(store, "example.com", KEY, by=BY)
    here = replace(SENDING, receives=frozenset({"bounces.example.com", "example.com", "x.test"}))
    needed = {(r.kind, r.name) for r in records_of(domain, here) if not r.optional}
    assert {name for kind, name in needed if kind == "MX"} == {"bounces.example.com", "example.com"}
    shown = domain_json(domain, here)
    assert shown["mta_sts"][1] == {
        "url": "https://mta-sts.example.com/.well-known/mta-sts.txt",
        "policy": "version: STSv1\r\nmode: testing\r\nmx: relay.example\r\nmax_age: 604800\r\n",
    }


@pytest.mark.parametrize(
    ("name", "kind", "texts", "said"),
    [
        ("bounces.example.com", "MX", ["10 relay.example."], None),
        ("bounces.example.com", "MX", ["10 other.example."], "goes to other.example"),
        ("bounces.example.com", "MX", ["0 ."], "goes to nobody"),
        ("_mta-sts.bounces.example.com", "TXT", ['"v=STSv1; id=1"'], "not for the policy"),
        ("_smtp._tls.bounces.example.com", "TXT", ['"v=TLSRPTv1;rua=mailto:a@b.test"'], None),
        (
            "_smtp._tls.bounces.example.com",
            "TXT",
            ['"v=TLSRPTv1; rua=mailto:x@b.test"', '"v=TLSRPTv1; rua=mailto:a@b.test"'],
            "there are 2",
        ),
        ("_smtp._tls.bounces.example.com", "TXT", ['"something"'], "there is no TLS-RPT record"),
    ],
)
async def test_optional_records_are_looked_at(store, name, kind, texts, said):
    domain = await domains.add(store, "example.com", KEY, by=BY)
    async with DnsServer() as dns:
        await published(dns, domain)
        dns.add(name, kind, *texts)
        resolver = Resolver([dns.address], hosts_file=Path("/nonexistent"))
        found = await check(domain, SENDING, resolver, KEY)
    notes = [each for each in found if each.standing is not GOOD]
    if said is None:
        assert notes == []
    else:
        (note,) = notes
        assert (note.name, note.standing) == (name, Standing.NOTE)
        assert said in note.what
