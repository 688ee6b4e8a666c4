"""SPF: the published suite of RFC 7208, pyspf beside us, and what neither of them asks."""

import random
import time
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.records.question import Answer, Question, RecordType
from gatepost.wire.records.spf import SpfResult, parse_spf, spf_texts
from gatepost.wire.records.spf_check import (
    MOST_LOOK_UPS,
    MOST_NAMES,
    MOST_RECORDS,
    SpfFacts,
    SpfVerdict,
    check_host,
)
from gatepost.wire.records.spf_error import SpfSyntaxError
from gatepost.wire.records.spf_macro import LONGEST_NAME, fitting_name
from tests.support.spf_suite import Case, Zone, answered, cases, driven, need_package, pyspf

CASES = list(cases())


def check(zone: Zone, sender: str = "a@example.com", client: str = "192.0.2.1") -> SpfVerdict:
    return answered(check_host(SpfFacts(ip_address(client), sender, "mta.example.org")), zone)


def test_the_suite_is_here() -> None:
    need_package()
    assert len(CASES) > 200


@pytest.mark.rfc("7208#4")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_suite_of_rfc_7208(case: Case) -> None:
    facts = SpfFacts(ip_address(case.client), case.mail_from, case.helo)
    verdict = answered(check_host(facts), case.zone)
    assert verdict.result.value in case.results, verdict
    if case.explanation is not None:
        # Nibbles in either case: RFC 7208 §7.4 shows them small, the suite large.
        assert (verdict.explanation or "DEFAULT").lower() == case.explanation.lower()


# -- beside pyspf, over records made by chance

_TERMS = (
    "all", "-all", "~all", "?all", "a", "-a", "a/24", "a//64", "mx", "~mx/16", "ptr",
    "ptr:example.org", "ip4:192.0.2.1", "-ip4:192.0.2.0/28", "ip6:2001:db8::/32", "a:host.example.com",
    "mx:mail.example.com", "include:one.example.com", "include:two.example.com",
    "exists:%{i}.list.example.com", "exists:%{l}.%{d2}", "redirect=one.example.com",
    "exp=why.example.com", "redirect=two.example.com", "note=%{d}", "a:nowhere.example.com",
    "exists:%{ir}.%{v}.example.com", "ip4:192.0.2.300", "a:%", "include:nobody.example.com",
)  # fmt: skip


def _zone_by_chance(dice: random.Random) -> Zone:
    def record(name: str = "") -> tuple[str, list[str]]:
        # pyspf finds a record that includes itself before it is asked to look there.
        fitting = [term for term in _TERMS if term != f"include:{name}.example.com"]
        terms = dice.sample(fitting, dice.randint(1, 5))
        return ("TXT", ["v=spf1 " + " ".join(terms)])

    return {
        "example.com": [record(), ("A", "192.0.2.77"), ("MX", [10, "mail.example.com"])],
        "one.example.com": [record("one"), ("A", "192.0.2.1")],
        "two.example.com": [record("two"), ("MX", [1, "host.example.com"])],
        "host.example.com": [("A", "192.0.2.1"), ("AAAA", "2001:db8::1")],
        "mail.example.com": [("A", "192.0.2.9"), ("MX", [5, "host.example.com"])],
        "why.example.com": [("TXT", ["%{i} is not %{d}"])],
        "192.0.2.1.list.example.com": [("A", "127.0.0.2")],
        "1.2.0.192.in-addr.arpa": [("PTR", "name.example.org")],
        "name.example.org": [("A", "192.0.2.1")],
    }


def _by_pyspf(zone: Zone, sender: str, client: str) -> str:
    spf = pyspf()

    def look_up(name: str, kind: str, *_: object, **__: object) -> list[object]:
        found = []
        for each, value in zone.get(name.lower().rstrip("."), []):
            if each == kind:
                octets = tuple(part.encode() for part in value) if kind == "TXT" else value
                if kind == "AAAA":
                    octets = ip_address(value).packed
                found.append(((name, each), octets))
        return found

    spf.DNSLookup = look_up
    query = spf.query(i=client, s=sender, h="mta.example.org", strict=True)
    query.set_default_explanation("")
    return str(query.check()[0])


@pytest.mark.parametrize("seed", range(300))
def test_pyspf_agrees_over_records_made_by_chance(seed: int) -> None:
    zone = _zone_by_chance(random.Random(seed))
    for client in ("192.0.2.1", "192.0.2.200", "2001:db8::1"):
        verdict = check(zone, "a@example.com", client)
        assert verdict.result.value == _by_pyspf(zone, "a@example.com", client), (zone, verdict)


# -- limits and hostile records


@pytest.mark.rfc("7208#4.6.4")
def test_a_record_that_includes_itself_ends() -> None:
    zone: Zone = {"example.com": [("TXT", ["v=spf1 include:example.com -all"])]}
    verdict = check(zone)
    assert verdict.result is SpfResult.PERMANENT
    assert f"more than {MOST_LOOK_UPS} look-ups" in verdict.reason


@pytest.mark.rfc("7208#4.6.4")
def test_questions_are_bounded_whatever_a_zone_says() -> None:
    """Every mechanism with as much behind it as one can put there."""
    asked: list[Question] = []
    terms = " ".join(f"mx:m{i}.example.com ptr:p%{{p}}.example.com" for i in range(40))

    def tell(question: Question) -> Answer:
        asked.append(question)
        return _plenty(question, terms)

    facts = SpfFacts(ip_address("192.0.2.1"), "a@example.com", "h.example.org")
    assert driven(check_host(facts), tell).result is SpfResult.PERMANENT
    assert len(asked) <= 1 + MOST_LOOK_UPS * (1 + MOST_NAMES)


def _plenty(question: Question, terms: str) -> Answer:
    names = tuple(f"h{i}.example.com" for i in range(MOST_NAMES))
    found = {
        RecordType.TXT: (f"v=spf1 {terms} -all",),
        RecordType.A: ("198.51.100.1",),
        RecordType.MX: names,
        RecordType.PTR: names * 10,
    }
    return Answer(found.get(question.kind, ()))


@pytest.mark.rfc("7208#2.4")
def test_helo_is_checked_for_the_null_reverse_path() -> None:
    zone: Zone = {"mta.example.org": [("TXT", ["v=spf1 ip4:192.0.2.1 -all"])]}
    verdict = check(zone, "")
    assert (verdict.result, verdict.domain) == (SpfResult.PASS, "mta.example.org")


def test_a_client_whose_ipv4_address_is_mapped() -> None:
    zone: Zone = {"example.com": [("TXT", ["v=spf1 ip4:192.0.2.1 -all"])]}
    assert check(zone, client="::ffff:192.0.2.1").result is SpfResult.PASS


def test_the_term_that_decided_is_told() -> None:
    zone: Zone = {"example.com": [("TXT", ["v=spf1 a:host.example.com ~all"])]}
    assert check(zone).term == "~all"


@pytest.mark.parametrize(
    "words", ["line\nend", "b\u00e4d", "bell\a"], ids=["line-end", "not-ascii", "control"]
)
def test_an_explanation_that_no_reply_can_hold_is_none(words: str) -> None:
    zone: Zone = {
        "example.com": [("TXT", ["v=spf1 -all exp=why.example.com"])],
        "why.example.com": [("TXT", [words])],
    }
    verdict = check(zone)
    assert (verdict.result, verdict.explanation) == (SpfResult.FAIL, "")


@given(st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=80))
def test_garbage_is_a_syntax_error_or_a_record(text: str) -> None:
    try:
        parse_spf(f"v=spf1 {text}")
    except SpfSyntaxError:
        return
    assert spf_texts([f"v=spf1 {text}"])


@given(
    st.lists(st.sampled_from(["%{", "}", "s", "d", "9", "r", "-", ".", "%%", "%_", "a", ":", "/"]))
)
def test_macros_of_any_shape_end(parts: list[str]) -> None:
    zone: Zone = {"example.com": [("TXT", [f"v=spf1 exists:{''.join(parts)} -all"])]}
    assert check(zone).result in {SpfResult.PERMANENT, SpfResult.FAIL}


@pytest.mark.parametrize(
    "macro", ["%{s}", "%{S}", "%{sr-}", "%{l1r.+,/_=-}"], ids=["s", "escaped", "reversed", "parted"]
)
def test_a_record_of_nothing_but_macros_is_expanded_at_once(macro: str) -> None:
    """Four thousand macros of three hundred characters, in labels of one."""
    terms = " ".join(f"exists:{macro * (1500 // len(macro))}.t{i}.example.com" for i in range(10))
    why = "%{S}" * 15_000
    zone: Zone = {
        "example.com": [("TXT", [f"v=spf1 {terms} -all exp=why.example.com"])],
        "why.example.com": [("TXT", [why])],
    }
    domain = f"{'b.' * 60}example.com"
    zone[domain] = zone["example.com"]
    began = time.thread_time()
    verdict = check(zone, f"{'a.' * 31}a@{domain}")
    assert time.thread_time() - began < 0.5
    assert verdict.result in {SpfResult.PERMANENT, SpfResult.FAIL}


@given(st.text("ab.", max_size=600))
def test_labels_are_taken_from_the_left_until_a_name_fits(name: str) -> None:
    expected = name.removesuffix(".")
    while len(expected) > LONGEST_NAME and "." in expected:
        expected = expected.partition(".")[2]
    assert fitting_name(name) == expected


def test_all_addresses_together_are_bounded() -> None:
    """A hundred hosts with hundreds of addresses each are not all looked at."""
    zone: Zone = {
        "example.com": [("TXT", ["v=spf1 a:a.example.com mx:a.example.com mx:b.example.com -all"])]
    }
    for each in "ab":
        zone[f"{each}.example.com"] = [
            ("MX", (n, f"h{n}.{each}.example.com")) for n in range(10)
        ]  # fmt: skip
        for n in range(10):
            zone[f"h{n}.{each}.example.com"] = [("A", f"10.0.{n}.{i}") for i in range(200)]
    zone["a.example.com"] += [("A", "10.1.1.1")]
    verdict = check(zone)
    assert verdict.result is SpfResult.PERMANENT
    assert verdict.reason == f"more than {MOST_RECORDS} records, at h4.a.example.com"
