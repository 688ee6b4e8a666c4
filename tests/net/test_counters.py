import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatepost.net.counters import MOST_REASONS, MOST_SOURCES, Counters, Metric
from tests.support.alone import alone


def test_a_connection_is_counted_in_and_out():
    table = Counters.create(2)
    one, two = table.worker(0), table.worker(1)
    assert one.connection_opened("192.0.2.1").from_address == 1
    count = two.connection_opened("192.0.2.1")
    assert (count.total, count.from_address) == (2, 2)
    assert two.connection_opened("192.0.2.2").total == 3
    one.connection_closed("192.0.2.1")
    assert table.connections_from("192.0.2.1") == 1
    assert table.total(Metric.CONNECTIONS) == 2
    assert table.total(Metric.SESSIONS) == 3


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("", "192.0.2.1", False),
    ],
)
def test_ipv6_is_counted_by_its_64(one: str, other: str, same: bool):
    table = Counters.create(1)
    table.worker(0).connection_opened(one)
    assert table.connections_from(other) == int(same)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", True),
        ("192.0.2.1", "::ffff:192.0.2.7", True),
        ("192.0.2.1", "192.0.3.1", False),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", True),
        ("2001:db8:0:1::1", "2001:db8:1:1::1", False),
        ("", "192.0.2.1", False),
    ],
)
def test_networks_are_counted_apart(one: str, other: str, same: bool):
    table = Counters.create(2)
    table.worker(0).connection_opened(one)
    assert table.worker(1).connection_opened(other).from_network == 1 + int(same)
    table.worker(1).connection_closed(other)
    table.worker(0).connection_closed(one)
    assert table.worker(1).connection_opened(other).from_network == 1


def test_the_estimate_is_never_too_low_and_seldom_too_high():
    table = Counters.create(4)
    workers = [table.worker(i) for i in range(4)]
    for n in range(10_000):
        workers[n % 4].connection_opened(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}")
    counts = [
        table.connections_from(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}") for n in range(10_000)
    ]
    assert min(counts) >= 1
    assert max(counts) <= 6
    assert sum(c > 2 for c in counts) < 1500


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 20)), max_size=60))
def test_all_that_came_and_went_leaves_zero(moves: list[tuple[int, int]]):
    table = Counters.create(3)
    for worker, host in moves:
        table.worker(worker).connection_opened(f"192.0.2.{host}")
    for worker, host in moves:
        table.worker(worker).connection_closed(f"192.0.2.{host}")
    assert table.total(Metric.CONNECTIONS) == 0
    assert not any(table.connections_from(f"192.0.2.{host}") for host in range(21))


def test_closing_more_than_was_opened_stays_at_zero():
    worker = Counters.create(1).worker(0)
    worker.connection_closed("192.0.2.1")
    assert worker.connection_opened("192.0.2.1").from_address == 1


def test_forked_workers_see_each_other_and_a_dead_ones_region_is_cleared():
    alone("tests.net.forks", "counters_are_shared")


def test_refused_logins_are_counted_by_reason_and_touch_nothing_else():
    table = Counters.create(2)
    table.worker(1).note_expiry(4711)
    table.worker(1).tick()
    before = table.snapshot()
    for place in range(MOST_REASONS):
        for worker in (table.worker(0), table.worker(1), table.worker(1)):
            worker.add_login_refused(place)
    assert [table.logins_refused(place) for place in range(MOST_REASONS)] == [3] * MOST_REASONS
    assert (table.snapshot(), table.expiry(), table.tick_of(1)) == (before, 4711, 1)
    assert table.of_source(0, Metric.DELIVERED) == 0


def test_metrics_are_summed_over_workers():
    table = Counters.create(3)
    for index in range(table.workers):
        table.worker(index).add(Metric.DELIVERED, index)
    assert table.total(Metric.DELIVERED) == 3
    assert table.worker(2).value(Metric.DELIVERED) == 2


def test_source_addresses_have_places_of_their_own():
    table = Counters.create(2)
    for index in range(2):
        for place in (0, MOST_SOURCES - 1):
            table.worker(index).add_of_source(place, Metric.DELIVERED)
        table.worker(index).add_of_source(0, Metric.REFUSED)
    assert [table.of_source(p, Metric.DELIVERED) for p in (0, 1, MOST_SOURCES - 1)] == [2, 0, 2]
    assert table.of_source(0, Metric.REFUSED) == 2
    assert table.of_source(0, Metric.DEFERRED) == 0
    assert set(table.snapshot().values()) == {0}
    for place, metric in ((MOST_SOURCES, Metric.DELIVERED), (0, Metric.ACCEPTED)):
        with pytest.raises(ValueError, match="is not counted"):
            table.worker(0).add_of_source(place, metric)


def test_a_node_has_a_worker():
    with pytest.raises(ValueError):
        Counters.create(0)
