"""What DMARC will see in a message that has not left yet."""

import pytest

from gatepost.wire.records.dmarc_foresight import Alignment, Departure, foresee
from tests.support.spf_suite import answered
from tests.wire.records.test_dmarc import PLAIN, zone

SPF = [("TXT", ["v=spf1 -all"])]
ALIGNED, UNALIGNED, UNKNOWN = Alignment.ALIGNED, Alignment.UNALIGNED, Alignment.UNKNOWN

#: author, who signs, return path, DMARC records, names with SPF: verdict, words, mend (a part of it)
TABLE = [
    ("both", "example.com", ["example.com"], "example.com", {"example_com": PLAIN}, ["example.com"],
     ALIGNED, "aligned by DKIM example.com and SPF example.com; policy reject", ""),
    ("dkim", "example.com", ["example.com"], "other.test", {"example_com": PLAIN}, ["other.test"],
     ALIGNED, "aligned by DKIM example.com; policy reject", ""),
    ("spf", "example.com", [], "bounce.example.com", {"example_com": PLAIN}, ["bounce.example.com"],
     ALIGNED, "aligned by SPF bounce.example.com; policy reject", ""),
    ("spf that nobody published", "example.com", [], "bounce.example.com", {"example_com": PLAIN}, [],
     UNALIGNED, "unaligned: signed by nobody, returns to bounce.example.com; policy reject",
     "add example.com as a sending domain and publish its key at SELECTOR._domainkey.example.com"),
    ("no policy, same", "example.com", ["example.com"], "other.test", {}, [],
     ALIGNED, "aligned by DKIM example.com; no policy published", ""),
    ("no policy, parent signs", "news.example.com", ["example.com"], "other.test", {}, [],
     UNALIGNED, "unaligned: signed by example.com, returns to other.test; no policy published",
     'publish _dmarc.example.com TXT "v=DMARC1; p=none"'),
    ("strict, parent signs", "news.example.com", ["example.com"], "example.com",
     {"example_com": PLAIN + "; adkim=s; aspf=s"}, ["example.com"],
     UNALIGNED, "unaligned: signed by example.com, returns to example.com; policy reject",
     "_dmarc.example.com says adkim=s: add news.example.com as a sending domain"),
    ("a stranger's signature", "example.com", ["other.test"], "other.test", {"example_com": PLAIN},
     ["other.test"], UNALIGNED,
     "unaligned: signed by other.test, returns to other.test; policy reject", "add example.com"),
    ("sp", "news.example.com", [], "x.test", {"example_com": "v=DMARC1; p=none; sp=quarantine"}, [],
     UNALIGNED, "unaligned: signed by nobody, returns to x.test; policy quarantine", "add news"),
]  # fmt: skip


@pytest.mark.rfc("9989#4.4")
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0])
def test_what_is_foreseen(row: tuple) -> None:
    _, author, dkim, returns, records, with_spf, alignment, words, mend = row
    answers = {**zone(**records), **dict.fromkeys(with_spf, SPF)}
    foreseen = answered(foresee(Departure(author, tuple(dkim), returns)), answers)
    assert (foreseen.alignment, foreseen.words) == (alignment, words)
    assert foreseen.mend.startswith(mend)
    assert bool(foreseen.mend) is (alignment is UNALIGNED)


@pytest.mark.parametrize(
    ("broken", "alignment"),
    [
        ("_dmarc.news.example.com", ALIGNED),  # d= is the author's own: nothing can change that
        ("_dmarc.example.com", ALIGNED),
    ],
)
def test_trouble_does_not_undo_what_is_certain(broken: str, alignment: Alignment) -> None:
    departure = Departure("news.example.com", ("news.example.com",), "other.test")
    assert answered(foresee(departure), {broken: [("TIMEOUT", None)]}).alignment is alignment


def test_trouble_is_unknown_where_it_could_matter() -> None:
    departure = Departure("news.example.com", ("example.com",), "other.test")
    foreseen = answered(foresee(departure), {"_dmarc.example.com": [("TIMEOUT", None)]})
    assert foreseen.alignment is UNKNOWN
    assert foreseen.words == "unknown: the DNS does not say"
    assert not foreseen.mend
