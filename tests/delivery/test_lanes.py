"""A campaign delays no password reset, and is not starved by them either."""

import pytest

from gatepost.delivery.bounds import Bounds
from gatepost.delivery.lane_queue import LaneQueue
from gatepost.delivery.parcel import Parcel
from gatepost.model.delivery import DeliveryState
from gatepost.model.lane import LANES, Lane
from tests.delivery.rig import Rig
from tests.delivery.test_pool import item
from tests.sink import Sink

OTP, TRANSACTIONAL, BULK = LANES
#: Of a claim of eight, the one that was under way and, where more connections work, theirs.
FEW = 3


def parcel(number: int, lane: Lane) -> Parcel:
    one = item(number, 10, lane)
    return Parcel(one.leased.submission, [one], None)


def test_a_queue_gives_each_lane_its_turns() -> None:
    queue = LaneQueue()
    for number in range(42):
        queue.append(parcel(number, BULK))
    assert not queue.holds_more_urgent(BULK)
    for number in range(42, 84):
        queue.append(parcel(number, OTP))
    assert queue.holds_more_urgent(BULK)
    assert not queue.holds_more_urgent(OTP)
    taken = [queue.take_first().lane for _ in range(34)]
    assert taken[0] is OTP
    assert taken.count(BULK) == 2
    assert queue.take_last().lane is BULK
    assert len(queue) == 84 - 35


def test_what_is_put_back_is_next_of_its_lane() -> None:
    queue = LaneQueue()
    first, second = parcel(1, BULK), parcel(2, BULK)
    queue.append(first)
    queue.append(second)
    assert queue.take_first() is first
    queue.put_first(first)
    assert queue.first() is first


@pytest.mark.parametrize("hand_over", [True, False], ids=["from our door", "from a neighbour's"])
@pytest.mark.parametrize("connections", [1, 3])
async def test_5000_of_bulk_at_a_slow_site_do_not_delay_a_one_time_password(
    connections: int, hand_over: bool
) -> None:
    bounds = Bounds(connections_per_site=connections, look=0.02)
    async with Sink() as sink, Rig(sink.port, bounds=bounds) as rig:
        rig.mx("y.example", (10, "mx.y.example", "127.0.0.1"))
        for number in range(5000):
            await rig.submit(f"r{number}@y.example", lane=BULK, hand_over=False)
        await sink.until_messages(20)
        sink.go.clear()  # the site takes its time from here on
        assert rig.scheduler.held <= 3200
        before = len(sink.messages)
        (one,) = await rig.submit("me@y.example", lane=OTP, hand_over=hand_over)
        if not hand_over:
            await rig.until_state([one], DeliveryState.LEASED)
        sink.go.set()
        await rig.until_state([one], DeliveryState.DELIVERED)
        order = [m.forward_paths[0] for m in sink.messages]
        assert order.index("me@y.example") - before <= FEW * connections


async def test_a_second_one_time_password_waits_for_no_rest_of_a_claim() -> None:
    """The first one's claim is filled up with bulk: that gives way, too."""
    bounds = Bounds(connections_per_site=1, look=0.02)
    async with Sink() as sink, Rig(sink.port, bounds=bounds) as rig:
        rig.mx("y.example", (10, "mx.y.example", "127.0.0.1"))
        for number in range(100):
            await rig.submit(f"r{number}@y.example", lane=BULK, hand_over=False)
        await sink.until_messages(20)
        sink.go.clear()
        await rig.submit("first@y.example", lane=OTP)
        sink.go.set()
        await sink.until(lambda: any("first@" in m.forward_paths[0] for m in sink.messages))
        sink.go.clear()
        before = len(sink.messages)
        (second,) = await rig.submit("second@y.example", lane=OTP)
        sink.go.set()
        await rig.until_state([second], DeliveryState.DELIVERED)
        order = [m.forward_paths[0] for m in sink.messages]
        assert order.index("second@y.example") - before <= FEW


async def test_one_time_passwords_without_end_do_not_starve_the_rest() -> None:
    bounds = Bounds(connections_per_site=1, look=0.02)
    async with Sink() as sink, Rig(sink.port, bounds=bounds) as rig:
        rig.mx("y.example", (10, "mx.y.example", "127.0.0.1"))
        sink.go.clear()
        await rig.submit("first@y.example", lane=OTP)
        await sink.until(lambda: sink.sessions == 1)
        for number in range(300):
            await rig.submit(f"o{number}@y.example", lane=OTP)
        bulk = [await rig.submit(f"b{number}@y.example", lane=BULK) for number in range(5)]
        sink.go.set()
        await rig.until_state([one for (one,) in bulk], DeliveryState.DELIVERED)
        order = [m.forward_paths[0] for m in sink.messages]
        places = [order.index(f"b{number}@y.example") for number in range(5)]
        assert places[-1] < 150
