"""Rspamd receives the same messages over the same DNS as we do: its SPF, DKIM and DMARC are ours."""

from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from gatepost.wire.dkim.verify import DkimResult, verify
from gatepost.wire.records.dmarc import DmarcResult, Policy, evaluate
from gatepost.wire.records.spf import SpfResult
from gatepost.wire.records.spf_check import SpfFacts, check_host
from tests.interop.test_verdicts import MESSAGES
from tests.support.rspamd import Rspamd, rspamd
from tests.support.spf_suite import answered
from tests.support.zone_servers import nsd
from tests.wire.dkim.keys import DOMAIN, NOW, prefix_for, records

pytestmark = pytest.mark.interop("nsd", "rspamd")

TEXTS = {
    **{name: texts[0] for name, texts in records().items()},
    DOMAIN: "v=spf1 ip4:192.0.2.1 a:mail.example.com -all",
    "soft.example.com": "v=spf1 include:football.example.com ~all",
    "any.example.com": "v=spf1 ?all",
    "_dmarc.example.com": "v=DMARC1; p=reject; sp=quarantine",
    "_dmarc.football.example.com": "v=DMARC1; p=reject",
    "_dmarc.none.example.com": "v=DMARC1; p=none",
    "_dmarc.strict.example.com": "v=DMARC1; p=reject; adkim=s; aspf=s",
}
ZONE = {
    **{name: [("TXT", [text])] for name, text in TEXTS.items()},
    "mail.example.com": [("A", "192.0.2.9")],
}
#: Rspamd 3.4 forgives faults in SPF records, for which RFC 7208 §4.6 wants permerror: none stand here.
#: It hashes a body of nothing but white space otherwise than everybody else.
READABLE = {name: m for name, m in MESSAGES.items() if not name.startswith("body of white space")}


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rspamd]:
    lines = "".join(f'{name}. TXT "{text}"\n' for name, text in TEXTS.items())
    lines += "mail.example.com. A 192.0.2.9\n"
    with (
        nsd(tmp_path_factory.mktemp("dns"), {"example.com": lines}) as dns,
        rspamd(tmp_path_factory.mktemp("rspamd"), dns.port) as running,
    ):
        yield running


@pytest.mark.rfc("6376#6.1")
@pytest.mark.parametrize("name", READABLE)
def test_rspamd_finds_a_signature_that_holds_where_we_do(name: str, receiver: Rspamd) -> None:
    message = READABLE[name]
    known = {n.replace("football", "baseball"): () for n in records()} | records()
    ours = any(v.result is DkimResult.PASS for v in verify(message, known, NOW))
    found = receiver.symbols(message, Ip="192.0.2.1")
    assert ("R_DKIM_ALLOW" in found) is ours, (sorted(found), verify(message, known, NOW))


SPF = {
    SpfResult.PASS: "R_SPF_ALLOW",
    SpfResult.FAIL: "R_SPF_FAIL",
    SpfResult.SOFTFAIL: "R_SPF_SOFTFAIL",
    SpfResult.NEUTRAL: "R_SPF_NEUTRAL",
    SpfResult.NONE: "R_SPF_NA",
}
DMARC = {
    Policy.NONE: "DMARC_POLICY_SOFTFAIL",
    Policy.QUARANTINE: "DMARC_POLICY_QUARANTINE",
    Policy.REJECT: "DMARC_POLICY_REJECT",
}


@pytest.mark.rfc("9989#4.4")
@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
@pytest.mark.parametrize("client", ["192.0.2.9", "198.51.100.1"])
@pytest.mark.parametrize(
    "sender", ["football.example.com", "soft.example.com", "any.example.com", "nothing.example.com"]
)  # fmt: skip
@pytest.mark.parametrize(
    "author", ["football.example.com", "example.com", "x.example.com", "none.example.com",
               "strict.example.com"]
)  # fmt: skip
def test_rspamd_finds_the_same_spf_and_dmarc(
    author: str, sender: str, client: str, signed: bool, receiver: Rspamd
) -> None:
    message = f"From: Joe <joe@{author}>\r\nSubject: hi\r\nTo: a@b.test\r\n\r\nHi\r\n".encode()
    if signed:
        message = prefix_for(message) + message
    facts = SpfFacts(ip_address(client), f"joe@{sender}", "mta.example.com")
    spf = answered(check_host(facts), ZONE)
    domains = [DOMAIN] if signed else []
    passed = sender if spf.result is SpfResult.PASS else ""
    dmarc = answered(evaluate(author, domains, passed), ZONE)
    found = receiver.symbols(message, Ip=client, Helo="mta.example.com", From=f"joe@{sender}")
    assert SPF[spf.result] in found, (spf, sorted(found))
    expected = DMARC[dmarc.policy]
    if dmarc.result is DmarcResult.PASS:
        expected = "DMARC_POLICY_ALLOW"
    assert expected in found, (dmarc, sorted(found))
