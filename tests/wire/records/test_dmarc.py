"""DMARC: records, the walk up the tree, alignment and policy as tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.records.dmarc import (
    MOST_QUESTIONS,
    DmarcRecord,
    DmarcResult,
    Policy,
    evaluate,
    parse_dmarc,
    walk,
)
from gatepost.wire.records.question import Answer, Question
from tests.support.spf_suite import answered, driven

PLAIN = "v=DMARC1; p=reject"


def zone(**records: str) -> dict[str, list]:
    """Return a zone from "name=record": "example_com" is the name _dmarc.example.com."""
    return {f"_dmarc.{name.replace('_', '.')}": [("TXT", [text])] for name, text in records.items()}


@pytest.mark.rfc("9989#4.7")
@pytest.mark.parametrize(
    ("text", "record"),
    [
        (PLAIN, DmarcRecord(Policy.REJECT)),
        ("v=DMARC1", DmarcRecord(applies=False)),
        ("v=DMARC1;p=none", DmarcRecord()),
        ("v = DMARC1 ; p = QUARANTINE ;", DmarcRecord(Policy.QUARANTINE)),
        ("v=DMARC1; p=none; sp=reject; np=quarantine",
         DmarcRecord(subdomains=Policy.REJECT, missing=Policy.QUARANTINE)),
        ("v=DMARC1; p=none; adkim=s; aspf=S", DmarcRecord(strict_dkim=True, strict_spf=True)),
        ("v=DMARC1; p=none; adkim=x; psd=maybe; t=n", DmarcRecord()),
        ("v=DMARC1; p=reject; psd=y; t=y", DmarcRecord(Policy.REJECT, psd="y", testing=True)),
        ("v=DMARC1; p=reject; pct=0; rf=afrf; ri=86400; new=tag", DmarcRecord(Policy.REJECT)),
        ("v=DMARC1; p=reject; rua=mailto:a@example.com, https://b.example/x",
         DmarcRecord(Policy.REJECT, reports=("mailto:a@example.com", "https://b.example/x"))),
        # an unreadable policy is p=none where reports are asked for, else nothing (§4.10.1)
        ("v=DMARC1; p=rejct; rua=mailto:a@example.com", DmarcRecord(reports=("mailto:a@example.com",))),
        ("v=DMARC1; rua=mailto:a@example.com", DmarcRecord(reports=("mailto:a@example.com",))),
        ("v=DMARC1; p=rejct", DmarcRecord(applies=False)),
        ("v=DMARC1; p=reject; sp=what", DmarcRecord(applies=False)),
        ("v=DMARC1; p=reject; rua=nonsense", DmarcRecord(Policy.REJECT)),
        # no records
        ("", None),
        ("v=spf1 -all", None),
        ("v=dmarc1; p=reject", None),
        ("v=DMARC10; p=reject", None),
        ("p=reject; v=DMARC1", None),
        ("v=DMARC1; p=reject; p=none", None),
        ("v=DMARC1 p=reject", None),
    ],
)  # fmt: skip
def test_records(text: str, record: DmarcRecord | None) -> None:
    assert parse_dmarc(text) == record


@given(st.text(max_size=60))
def test_garbage_never_raises(text: str) -> None:
    parse_dmarc(text)
    parse_dmarc(f"v=DMARC1;{text}")


@pytest.mark.rfc("9989#4.10")
@pytest.mark.parametrize(
    ("domain", "asked"),
    [
        ("com", ["com"]),
        ("a.mail.example.com", ["a.mail.example.com", "mail.example.com", "example.com", "com"]),
        ("a.b.c.d.e.f.g.com",
         ["a.b.c.d.e.f.g.com", "b.c.d.e.f.g.com", "c.d.e.f.g.com", "d.e.f.g.com", "e.f.g.com",
          "f.g.com", "g.com", "com"]),
        ("a.b.c.d.e.f.g.h.i.j.mail.example.com",
         ["a.b.c.d.e.f.g.h.i.j.mail.example.com", "g.h.i.j.mail.example.com",
          "h.i.j.mail.example.com", "i.j.mail.example.com", "j.mail.example.com",
          "mail.example.com", "example.com", "com"]),
    ],
)  # fmt: skip
def test_which_names_a_walk_asks_for(domain: str, asked: list[str]) -> None:
    seen: list[str] = []

    def tell(question: Question) -> Answer:
        seen.append(question.name)
        return Answer(exists=False)

    assert driven(walk(domain), tell).organizational == domain
    assert seen == [f"_dmarc.{name}" for name in asked]
    assert len(seen) <= MOST_QUESTIONS


@pytest.mark.rfc("9989#4.10.2")
@pytest.mark.parametrize(
    ("records", "organizational"),
    [
        ({}, "a.mail.example.com"),
        ({"mail_example_com": PLAIN, "example_com": PLAIN}, "example.com"),
        ({"mail_example_com": PLAIN + "; psd=n", "example_com": PLAIN}, "mail.example.com"),
        ({"com": PLAIN + "; psd=y"}, "example.com"),
        ({"com": PLAIN}, "com"),
        ({"example_com": PLAIN + "; psd=y", "mail_example_com": PLAIN}, "mail.example.com"),
        ({"a_mail_example_com": PLAIN + "; psd=y"}, "a.mail.example.com"),
    ],
)
def test_organisational_domains(records: dict[str, str], organizational: str) -> None:
    assert answered(walk("a.mail.example.com"), zone(**records)).organizational == organizational


def test_several_records_at_a_name_are_none() -> None:
    records = {"_dmarc.example.com": [("TXT", [PLAIN]), ("TXT", ["v=DMARC1; p=none"])]}
    assert answered(walk("example.com"), records).found == ()


#: From, records, domains that signed, SPF's domain: result, policy.
TABLE = [
    ("no record", "example.com", {}, ["example.com"], "example.com", "none", "none"),
    ("same", "example.com", {"example_com": PLAIN}, ["example.com"], "", "pass", "reject"),
    ("spf alone", "example.com", {"example_com": PLAIN}, [], "example.com", "pass", "reject"),
    ("nothing", "example.com", {"example_com": PLAIN}, [], "", "fail", "reject"),
    ("stranger", "example.com", {"example_com": PLAIN}, ["other.test"], "other.test", "fail", "reject"),
    ("one of several", "example.com", {"example_com": PLAIN}, ["other.test", "example.com"], "",
     "pass", "reject"),
    ("parent signs", "news.example.com", {"example_com": PLAIN}, ["example.com"], "", "pass", "reject"),
    ("child signs", "example.com", {"example_com": PLAIN}, ["news.example.com"], "", "pass", "reject"),
    ("sibling signs", "a.example.com", {"example_com": PLAIN}, ["b.example.com"], "", "pass", "reject"),
    ("strict dkim", "news.example.com", {"example_com": PLAIN + "; adkim=s"}, ["example.com"], "",
     "fail", "reject"),
    ("strict dkim, spf relaxed", "news.example.com", {"example_com": PLAIN + "; adkim=s"},
     ["example.com"], "bounce.example.com", "pass", "reject"),
    ("strict spf", "example.com", {"example_com": PLAIN + "; aspf=s"}, [], "bounce.example.com",
     "fail", "reject"),
    ("strict, same", "news.example.com", {"example_com": PLAIN + "; adkim=s; aspf=s"},
     ["news.example.com"], "", "pass", "reject"),
    ("not a suffix of labels", "example.com", {"example_com": PLAIN}, ["badexample.com"], "",
     "fail", "reject"),
    ("sp", "news.example.com", {"example_com": "v=DMARC1; p=reject; sp=none"}, [], "", "fail", "none"),
    ("own record before sp", "news.example.com",
     {"example_com": "v=DMARC1; p=none; sp=none", "news_example_com": PLAIN}, [], "", "fail", "reject"),
    ("np for what is not there", "nothing.example.com",
     {"example_com": "v=DMARC1; p=none; np=reject"}, [], "", "fail", "reject"),
    ("no np for what is there", "www.example.com",
     {"example_com": "v=DMARC1; p=none; np=reject"}, [], "", "fail", "none"),
    ("sp for what is not there, without np", "nothing.example.com",
     {"example_com": "v=DMARC1; p=none; sp=quarantine"}, [], "", "fail", "quarantine"),
    ("testing", "example.com", {"example_com": PLAIN + "; t=y"}, [], "", "fail", "quarantine"),
    ("testing quarantine", "example.com", {"example_com": "v=DMARC1; p=quarantine; t=y"}, [], "",
     "fail", "none"),
    ("public suffix's policy", "example.bank", {"bank": "v=DMARC1; p=reject; psd=y"}, [], "",
     "fail", "reject"),
    ("below a public suffix", "a.example.bank", {"bank": "v=DMARC1; p=reject; psd=y"},
     ["example.bank"], "", "pass", "reject"),
    ("two below a public suffix", "one.bank", {"bank": "v=DMARC1; p=reject; psd=y"}, ["two.bank"], "",
     "fail", "reject"),
    ("psd=n cuts off", "a.dept.example.com",
     {"dept_example_com": PLAIN + "; psd=n", "example_com": PLAIN}, ["example.com"], "", "fail", "reject"),
    ("middle record is not asked", "a.b.example.com",
     {"b_example_com": "v=DMARC1; p=none", "example_com": PLAIN}, [], "", "fail", "reject"),
    ("own is unreadable", "news.example.com",
     {"example_com": PLAIN, "news_example_com": "v=DMARC1; p=rejct"}, [], "", "none", "none"),
    ("unreadable", "example.com", {"example_com": "v=DMARC1; p=rejct"}, [], "", "none", "none"),
]  # fmt: skip


@pytest.mark.rfc("9989#4.10.1")
@pytest.mark.parametrize(
    ("author", "records", "dkim", "spf", "result", "policy"),
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)
def test_verdicts(
    author: str, records: dict, dkim: list[str], spf: str, result: str, policy: str
) -> None:
    answers = {**zone(**records), "www.example.com": [("A", "192.0.2.1")]}
    verdict = answered(evaluate(author, dkim, spf), answers)
    assert (verdict.result.value, verdict.policy.value) == (result, policy)


@pytest.mark.parametrize(
    ("broken", "dkim", "result"),
    [
        ("_dmarc.example.com", ["example.com"], DmarcResult.TEMPORARY),
        # aligned whatever stands further up
        ("_dmarc.com", ["example.com"], DmarcResult.PASS),
        # "not aligned" would be a guess
        ("_dmarc.news.example.com", ["news.example.com"], DmarcResult.PASS),
        ("_dmarc.com", ["other.test"], DmarcResult.TEMPORARY),
    ],
)
def test_what_nobody_can_tell(broken: str, dkim: list[str], result: DmarcResult) -> None:
    answers = {**zone(example_com=PLAIN), broken: [("TIMEOUT", None)]}
    assert answered(evaluate("example.com", dkim, ""), answers).result is result
