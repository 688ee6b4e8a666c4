from itertools import cycle, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.records.mx import MxAnswer, MxRecord, hosts_to_try, mx_answer, parse_mx


@pytest.mark.parametrize(
    ("text", "record"),
    [
        ("10 mx.example.com.", MxRecord(10, "mx.example.com")),
        ("0 .", MxRecord(0, "")),
        ("65535 MX.Example.", MxRecord(65535, "mx.example")),
    ],
)
def test_a_record_is_read(text: str, record: MxRecord):
    assert parse_mx(text) == record


@pytest.mark.parametrize("text", ["", "mx.example.", "-1 a.", "65536 a.", "10", "² a."])
def test_what_is_no_record_is_refused(text: str):
    with pytest.raises(ValueError, match="no MX record"):
        parse_mx(text)


def answer(*records: tuple[int, str]) -> MxAnswer:
    return mx_answer("example.com", [MxRecord(p, h) for p, h in records])


@pytest.mark.rfc("5321#5.1")
def test_without_mx_the_domain_stands_for_itself():
    assert answer() == MxAnswer("example.com", (MxRecord(0, "example.com"),), implicit=True)


@pytest.mark.rfc("7505#3")
@pytest.mark.parametrize(
    ("records", "null", "hosts"),
    [
        ([(0, "")], True, ()),
        ([(10, "")], True, ()),
        ([(0, ""), (10, "a")], False, ("a",)),
        ([(10, "a")], False, ("a",)),
    ],
)
def test_a_null_mx_is_told(records: list[tuple[int, str]], null: bool, hosts: tuple[str, ...]):
    found = answer(*records)
    assert found.null_mx is null
    assert not found.implicit
    assert hosts_to_try(found, (), repeat(0.5)) == hosts


@pytest.mark.rfc("5321#5.1")
@pytest.mark.parametrize(
    ("records", "ours", "chance", "hosts"),
    [
        ([(20, "b"), (10, "a")], [], [0.5], ["a", "b"]),
        ([(10, "a"), (10, "b"), (10, "c")], [], [0.9, 0.1, 0.5], ["b", "c", "a"]),
        ([(10, "a"), (10, "b"), (5, "c")], [], [0.9, 0.5, 0.1], ["c", "b", "a"]),
        # We are on the list: only those better than us.
        ([(10, "a"), (20, "relay.us"), (30, "c")], ["relay.us"], [0.5], ["a"]),
        ([(10, "a"), (10, "relay.us"), (30, "c")], ["RELAY.us."], [0.5], []),
        ([(10, "a"), (20, "us1"), (15, "us2")], ["us1", "us2"], [0.5], ["a"]),
        ([], ["example.com"], [0.5], []),
        ([], ["relay.us"], [0.5], ["example.com"]),
    ],
)
def test_hosts_are_tried_in_order(
    records: list[tuple[int, str]], ours: list[str], chance: list[float], hosts: list[str]
):
    assert list(hosts_to_try(answer(*records), ours, cycle(chance))) == hosts


def test_a_host_listed_twice_keeps_its_best_place():
    assert answer((30, "a"), (10, "a"), (20, "b")).records == (MxRecord(10, "a"), MxRecord(20, "b"))


NAMES = st.sampled_from(["", "a", "b", "c", "d", "us"])


@given(
    st.lists(st.tuples(st.integers(0, 5), NAMES)),
    st.lists(st.floats(0, 1, exclude_max=True), min_size=1),
)
def test_order_follows_preference_and_never_leads_back(
    records: list[tuple[int, str]], chance: list[float]
):
    found = answer(*records)
    hosts = hosts_to_try(found, ["us"], cycle(chance))
    places = {r.host: r.preference for r in found.records}
    tried = [places[h] for h in hosts]
    assert tried == sorted(tried)
    assert len(set(hosts)) == len(hosts)
    assert all(p < places.get("us", 99) for p in tried)
    if "us" not in places:
        assert set(hosts) == set(places)
