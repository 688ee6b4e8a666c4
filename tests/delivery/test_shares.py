"""A destination that is slow keeps no other waiting, however much of its mail is due."""

import asyncio

import pytest

from gatepost.delivery.bounds import Bounds
from gatepost.delivery.shares import Shares
from gatepost.model.delivery import DeliveryState
from gatepost.model.lane import Lane
from tests.delivery.rig import Rig
from tests.support.ports import free_port


@pytest.mark.parametrize(
    ("in_hand", "free", "crowd"),
    [
        ({}, 4000, set()),
        ({"a": 15}, 10, set()),
        ({"a": 16, "b": 15}, 10, {"a"}),
        ({"a": 1333}, 2667, {"a"}),
        ({"a": 1332}, 2668, set()),
        ({"a": 500, "b": 499, "c": 2000}, 1000, {"a", "c"}),
    ],
)
def test_half_of_what_is_free_is_enough(in_hand, free, crowd) -> None:
    shares = Shares()
    for name, count in in_hand.items():
        for _ in range(count):
            shares.add(Lane.BULK, name)
    room = {Lane.OTP: 9999, Lane.BULK: free}
    assert shares.crowd(room) == {(Lane.BULK, name) for name in crowd}
    assert {name for name in in_hand if shares.has_enough(Lane.BULK, name, free)} == crowd
    assert not shares.has_enough(Lane.BULK, "other", free)
    assert not shares.has_enough(Lane.OTP, "a", free)


@pytest.mark.parametrize(
    ("held", "count", "free", "may"),
    [
        (0, 1, 1, True),
        (0, 64, 1, True),
        (0, 65, 1, False),
        (63, 1, 1, True),
        (64, 1, 1, False),
        (0, 1000, 4000, True),
        (2000, 1000, 2000, True),
        (3000, 1000, 1000, False),
        (3199, 1, 801, True),
        (3200, 1, 800, False),
    ],
)
def test_an_account_hands_over_four_times_what_is_left(held, count, free, may) -> None:
    shares = Shares()
    for _ in range(held):
        shares.add(Lane.BULK, "a", "mallory")
    assert shares.hands_over(Lane.BULK, "mallory", count, free) is may
    assert shares.hands_over(Lane.BULK, "bob", 1, free)
    assert shares.hands_over(Lane.OTP, "mallory", 1, free)


@pytest.mark.parametrize(
    ("in_hand", "free", "crowding"),
    [
        ({}, 0, set()),
        ({"a": 15, "b": 16}, 0, {"b"}),
        ({"a": 2239}, 560, set()),
        ({"a": 2240}, 560, {"a"}),
        ({"a": 80, "b": 79, "": 300}, 20, {"a", ""}),
    ],
)
def test_an_account_is_leased_four_times_what_is_left(in_hand, free, crowding) -> None:
    shares = Shares()
    for name, count in in_hand.items():
        for _ in range(count):
            shares.add(Lane.BULK, "y.example", name)
    room = {Lane.OTP: 0, Lane.BULK: free}
    assert shares.crowding(room) == {(Lane.BULK, name) for name in crowding}


def test_what_left_is_forgotten() -> None:
    shares = Shares()
    for _ in range(16):
        shares.add(Lane.BULK, "a")
    for _ in range(16):
        shares.remove(Lane.BULK, "a")
    nothing = dict.fromkeys(Lane, 0)
    assert (shares.crowd(nothing), shares.crowding(nothing)) == (set(), set())
    # Names that are never seen again take no memory.
    assert (shares._in_hand, shares._of_account) == ({}, {})


@pytest.mark.parametrize("hand_over", [True, False], ids=["from our door", "from a neighbour's"])
async def test_a_destination_that_hangs_leaves_room_for_others(hand_over: bool) -> None:
    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 wait\r\n")

    port = free_port()
    server = await asyncio.start_server(hang, "127.0.0.2", port)
    quick = await asyncio.start_server(take_all, "127.0.0.1", port)
    async with Rig(port, bounds=Bounds(look=0.02, held=100, take_at_once=40)) as rig:
        rig.mx("slow.example", (10, "mx.slow.example", "127.0.0.2"))
        for name in ("a", "z"):
            rig.mx(f"{name}.example", (10, "mx.quick.example", "127.0.0.1"))
        for number in range(300):
            await rig.submit(f"s{number}@slow.example", lane=Lane.BULK, hand_over=hand_over)
        others = []
        for name in "az" * 20:
            others += await rig.submit(f"b@{name}.example", lane=Lane.BULK, hand_over=False)
        await rig.until_state(others, DeliveryState.DELIVERED)
        async with asyncio.timeout(30):
            while rig.scheduler.held >= 60:  # what was delivered is let go of a moment later
                await asyncio.sleep(0.02)
    server.close()
    quick.close()


async def take_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 hello\r\n")
    in_content = False
    while line := await reader.readline():
        if in_content and line != b".\r\n":
            continue
        in_content = line.startswith(b"DATA")
        writer.write(b"354 go on\r\n" if in_content else b"250 fine\r\n")
    writer.close()
