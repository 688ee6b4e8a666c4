"""Our verdicts beside those of mailauth, dkimpy and opendkim: the same messages, the same DNS."""

import base64
import json
import random
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import dkim
import pytest

from gatepost.wire.dkim.verify import DkimResult, verify
from gatepost.wire.records.dmarc import evaluate
from gatepost.wire.records.spf_check import SpfFacts, check_host
from tests.support.programs import need, need_node_module, run
from tests.support.spf_suite import Zone, answered
from tests.wire.dkim.corpus import CORPUS
from tests.wire.dkim.keys import DOMAIN, NOW, prefix_for, records
from tests.wire.dkim.vectors import RSA_PEM
from tests.wire.records.test_dmarc import TABLE, zone
from tests.wire.records.test_spf import _zone_by_chance

FORMS = ["relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple"]


def mailauth(cases: list[Mapping[str, Any]]) -> list[Any]:
    """Return mailauth's answers."""
    node = need_node_module("mailauth")
    script = str(Path(__file__).with_name("mailauth_judge.js"))
    done = run([node, script], stdin=json.dumps(cases).encode())
    assert done.returncode == 0, done.stdout[-2000:]
    answers = json.loads(done.stdout)
    assert isinstance(answers, list)
    return answers


def dns_of(answers: Zone) -> dict[str, Any]:
    """Return a zone in the words of the script."""
    found: dict[str, Any] = {}
    for name, rows in answers.items():
        for kind, value in rows:
            text = "".join(value) if kind == "TXT" else value
            if kind == "MX":
                text = {"priority": value[0], "exchange": value[1]}
            found.setdefault(f"{name} {kind}", []).append(text)
    return found


# -- DMARC

#: What RFC 9989 has and mailauth has not (it goes by RFC 7489: a list of public suffixes, no np=, t=
#: and psd=); and strict alignment, for which mailauth 4.13 takes relaxed where that fails.
OTHERWISE = {
    "np for what is not there", "testing", "testing quarantine", "public suffix's policy",
    "below a public suffix", "psd=n cuts off", "unreadable", "own is unreadable",
    "sp for what is not there, without np", "strict dkim", "strict spf", "two below a public suffix",
}  # fmt: skip


@pytest.mark.interop("mailauth")
@pytest.mark.rfc("9989#4.4")
def test_mailauth_aligns_as_we_do() -> None:
    rows = [row for row in TABLE if row[0] not in OTHERWISE]
    assert len(rows) >= 15
    asked, ours = [], []
    for _, author, texts, dkim_domains, spf, *_ in rows:
        answers = {**zone(**texts), "www.example.com": [("A", "192.0.2.1")]}
        verdict = answered(evaluate(author, dkim_domains, spf), answers)
        ours.append([verdict.result.value, verdict.policy.value])
        asked.append(
            {"kind": "dmarc", "author": author, "dkim": dkim_domains, "spf": spf,
             "records": dns_of(answers)}
        )  # fmt: skip
    names = [row[0] for row in rows]
    assert dict(zip(names, mailauth(asked), strict=True)) == dict(zip(names, ours, strict=True))


# -- SPF


@pytest.mark.interop("mailauth")
@pytest.mark.rfc("7208#4")
def test_mailauth_finds_the_same_spf_results() -> None:
    asked, ours, zones = [], [], []
    message = base64.b64encode(b"From: a@example.com\r\n\r\nHi\r\n").decode()
    for seed in range(300):
        answers = _zone_by_chance(random.Random(seed))
        client = ("192.0.2.1", "192.0.2.200", "2001:db8::1")[seed % 3]
        facts = SpfFacts(ip_address(client), "a@example.com", "mta.example.org")
        ours.append(answered(check_host(facts), answers).result.value)
        zones.append(answers["example.com"])
        asked.append(
            {"kind": "verify", "content": message, "ip": client, "helo": "mta.example.org",
             "sender": "a@example.com", "records": dns_of(answers)}
        )  # fmt: skip
    theirs = [answer["spf"] for answer in mailauth(asked)]
    # mailauth stops at the first match, and so misses faults behind it (RFC 7208 §4.6), and has no
    # limit of void look-ups; pyspf says permerror there, as we do (tests/wire/records/test_spf.py).
    differing = [
        row
        for row in zip(zones, ours, theirs, strict=True)
        if row[1] != row[2] and row[1] != "permerror"
    ]
    assert not differing
    assert ours.count("permerror") < 150


# -- DKIM


def changed(message: bytes) -> dict[str, bytes]:
    """Return a signed message, and the ways in which it may be spoilt, or not, on its way."""
    signature = prefix_for(message)
    head, _, body = message.partition(b"\r\n\r\n")
    return {
        "as it is": signature + message,
        "a field before": b"X-Seen: 1\r\n" + signature + message,
        "a second From": b"From: b@other.test\r\n" + signature + message,
        "a word more": signature + message + b"more\r\n",
        "empty lines more": signature + message.rstrip(b"\r\n") + b"\r\n\r\n\r\n",
        "signed twice": signature + signature + message,
        "five signatures": signature.replace(b"d=football", b"d=baseball")
        + signature * 2
        + message,
        "one signature spoilt": signature.replace(b"bh=", b"bh=AAAA", 1) + message,
        "folded anew": signature + head.replace(b"Joe <joe", b"Joe\r\n <joe") + b"\r\n\r\n" + body,
        "without a body": signature + head + b"\r\n\r\n",
    }


MESSAGES = {
    f"{name}, {how}": message
    for name, plain in CORPUS.items()
    for how, message in changed(plain).items()
    if name != "long body"
}


@pytest.mark.interop("mailauth")
@pytest.mark.rfc("6376#6.1")
def test_mailauth_finds_the_same_dkim_results() -> None:
    known = {f"{name} TXT": list(texts) for name, texts in records().items()}
    asked = [
        {"kind": "verify", "content": base64.b64encode(message).decode(), "ip": "192.0.2.1",
         "helo": "mta.test", "sender": "", "records": known}
        for message in MESSAGES.values()
    ]  # fmt: skip
    theirs = [sorted(r == "pass" for r in answer["dkim"]) for answer in mailauth(asked)]
    ours = [_holding(message) for message in MESSAGES.values()]
    names = list(MESSAGES)
    assert [n for n, a, b in zip(names, ours, theirs, strict=True) if a != b] == []


def _holding(message: bytes) -> list[bool]:
    with_all = {**dict.fromkeys(_names(message), ()), **records()}
    return sorted(v.result is DkimResult.PASS for v in verify(message, with_all, NOW))


def _names(message: bytes) -> list[str]:
    return [name.replace("football", "baseball") for name in records()]


@pytest.mark.rfc("6376#6.1")
@pytest.mark.parametrize("name", MESSAGES)
def test_dkimpy_finds_the_same_first_signature(name: str) -> None:
    """Its first RSA signature; dkimpy judges them one by one, from the top."""
    message = MESSAGES[name]
    known = {**dict.fromkeys(_names(message), ()), **records()}

    def look_up(asked: bytes, timeout: int = 5) -> bytes:
        texts = known.get(asked.decode().removesuffix("."), ())
        return texts[0].encode() if texts else b""

    for index, verdict in enumerate(verify(message, known, NOW)):
        try:
            theirs = dkim.DKIM(message, minkey=1024).verify(idx=index, dnsfunc=look_up)
        except dkim.DKIMException:
            theirs = False
        assert theirs is (verdict.result is DkimResult.PASS), (index, verdict)


@pytest.mark.interop("mailauth")
@pytest.mark.parametrize("form", FORMS)
def test_we_accept_what_mailauth_signs(form: str) -> None:
    asked = [
        {"kind": "sign", "content": base64.b64encode(plain).decode(), "domain": DOMAIN,
         "selector": "test", "key": RSA_PEM.decode(), "canonicalization": form}
        for plain in CORPUS.values()
    ]  # fmt: skip
    signatures = mailauth(asked)
    for (name, plain), signature in zip(CORPUS.items(), signatures, strict=True):
        verdicts = verify(base64.b64decode(signature) + plain, records(), NOW)
        assert [v.result for v in verdicts] == [DkimResult.PASS], (name, verdicts)


@pytest.mark.interop("opendkim")
@pytest.mark.parametrize("name", [n for n, m in MESSAGES.items() if m.endswith(b"\r\n")])
def test_opendkim_finds_the_same_best_signature(name: str, tmp_path: Path) -> None:
    """It tells of a message whether one signature holds."""
    message = MESSAGES[name]
    known = tmp_path / "keys"
    known.write_text("".join(f"{n} {texts[0]}\n" for n, texts in records().items()))
    configuration = tmp_path / "opendkim.conf"
    configuration.write_text(f"TestPublicKeys {known}\nMode v\n")
    file = tmp_path / "message"
    file.write_bytes(message)
    done = run([need("opendkim"), "-x", str(configuration), "-t", str(file)])
    with_all = {**dict.fromkeys(_names(message), ()), **records()}
    ours = any(v.result is DkimResult.PASS for v in verify(message, with_all, NOW))
    assert ("succeeded" in done.stdout) is ours, done.stdout
