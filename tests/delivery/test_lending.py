"""Large contents are in memory once, and of no account's more than it leaves free."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import pytest

from gatepost.delivery import lending as lending_module
from gatepost.delivery.bounds import Bounds
from gatepost.delivery.contents import Content, Contents
from gatepost.delivery.lending import LARGE, Lending, Loans, Lots
from gatepost.delivery.parcel import Parcel
from gatepost.model.delivery import DeliveryState
from gatepost.model.ids import AccountName, SubmissionId
from gatepost.model.submission import Submission
from tests.delivery.rig import Rig
from tests.delivery.test_pool import item
from tests.sink import Sink

BODY = b"Subject: large\r\n\r\n" + (b"x" * 70 + b"\r\n") * 1400
SIZE = len(BODY)


def message(name: str, account: str = "", size: int = 100_000) -> Submission:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    owner = AccountName(account) if account else None
    return Submission(SubmissionId(name), "a@x.example", size, at, account=owner)


async def test_an_account_has_no_more_than_it_leaves_free_and_others_always_one() -> None:
    lending = Lending(500_000)
    mallory = [message(f"m{n}", "mallory") for n in range(5)]
    assert [lending.borrow(each) for each in mallory] == [True, True, False, False, False]
    assert [lending.borrow(message(f"b{n}", "bob")) for n in range(2)] == [True, False]
    for number in range(7):
        assert lending.borrow(message(f"n{number}", f"account {number}"))
    assert lending.room.octets == 1_000_000
    assert not lending.borrow(message("last", "who comes last"))
    lending.give(mallory[0].id)
    assert lending.borrow(message("last", "who comes last"))


async def test_what_several_have_is_there_once() -> None:
    lending, one = Lending(500_000), message("one")
    assert [lending.borrow(one) for _ in range(50)] == [True] * 50
    assert lending.room.octets == 100_000
    reads: list[Sequence[SubmissionId]] = []

    async def read(wanted: Sequence[SubmissionId]) -> dict[SubmissionId, Content]:
        reads.append(wanted)
        await asyncio.sleep(0)
        return dict.fromkeys(wanted, (b"content",))

    found = await asyncio.gather(*(lending.contents([one.id], read) for _ in range(50)))
    assert len({id(each[one.id]) for each in found}) == 1
    assert reads == [[one.id]]
    for _ in range(50):
        lending.give(one.id)
    assert lending.room.octets == 0


async def test_what_is_small_is_not_counted() -> None:
    lending = Lending(0)
    loans = Loans(lending)
    assert await loans.borrow(message("small", size=LARGE))
    assert await loans.copy(message("small", size=LARGE))
    assert not loans.has_any
    assert lending.room.octets == 0


async def test_who_has_nothing_waits_for_what_others_give_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lending = Lending(400_000)
    first, second, third = (Loans(lending) for _ in range(3))
    assert await first.borrow(message("1", "a"))
    assert await first.copy(message("1", "a", 100_000))
    assert lending.copies.octets == 150_000
    waiting = asyncio.create_task(second.borrow(message("2", "a", 200_000)))
    copying = asyncio.create_task(third.copy(message("3", "a", 200_000)))
    await asyncio.sleep(0)
    assert {waiting.done(), copying.done()} == {False}
    assert not await first.borrow(message("4", "a", 200_000))  # who has some does not wait
    first.end()
    assert await waiting
    assert await copying
    monkeypatch.setattr(lending_module, "_PATIENCE", 0.01)
    assert not await second.borrow(message("5", "a", 200_000))
    assert not await second.copy(message("5", "a", 200_000))
    second.end()
    third.end()
    assert (lending.room.octets, lending.copies.octets) == (0, 0)


async def test_a_claim_has_all_that_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    lending = Lending(700_000)
    first, second = Loans(lending), Loans(lending)
    items = [item(number, 100_000) for number in range(6)]
    *parcels, held = [Parcel(each.leased.submission, [each], None) for each in items]
    held.pieces = (b"content",)
    lots = await first.lots([*parcels[:4], held, parcels[4]])
    assert lots == Lots(parcels[:3], [parcels[3], held, parcels[4]], [])
    assert lending.room.octets == 300_000
    monkeypatch.setattr(lending_module, "_PATIENCE", 0.01)
    assert await second.lots([held, parcels[3]]) == Lots([held], [], [parcels[3]])
    first.end()
    assert lending.room.octets == 0


async def sites(stack: AsyncExitStack, rig_of: type[Rig], count: int) -> tuple[Rig, list[Sink]]:
    sinks = [await stack.enter_async_context(Sink(host="127.0.0.2", offers=()))]
    port = sinks[0].port
    for number in range(3, count + 2):
        sink = Sink(host=f"127.0.0.{number}", port=port, offers=())
        sinks += [await stack.enter_async_context(sink)]
    rig = await stack.enter_async_context(
        rig_of(port, bounds=Bounds(look=0.02, dial=5.0, lent=5 * SIZE))
    )
    for number, sink in enumerate(sinks):
        sink.go.clear()
        rig.mx(f"d{number}.example", (10, f"mx.d{number}.example", sink.host))
    return rig, sinks


async def test_a_message_to_many_slow_hosts_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[SubmissionId] = []
    of = Contents.of

    async def counted(
        self: Contents, wanted: Sequence[SubmissionId]
    ) -> dict[SubmissionId, Content]:
        reads.extend(wanted)
        return await of(self, wanted)

    monkeypatch.setattr(Contents, "of", counted)
    async with AsyncExitStack() as stack, asyncio.timeout(60):
        rig, sinks = await sites(stack, Rig, 5)
        paths = [f"b@d{number}.example" for number in range(5)]
        sent = await rig.submit(*paths, content=BODY, hand_over=False)
        while not all(sink.sessions for sink in sinks):
            await asyncio.sleep(0.02)
        assert len(reads) == 1
        for sink in sinks:
            sink.go.set()
        await rig.until_state(sent, DeliveryState.DELIVERED)
        assert {sink.messages[0].content for sink in sinks} == {BODY}


@pytest.mark.parametrize("eight_bit", [False, True])
async def test_large_messages_of_an_account_leave_room_and_all_arrive(eight_bit: bool) -> None:
    """Those that a host cannot take as they are, are there once more, written anew."""
    content = BODY.replace(b"xx", "é".encode()) if eight_bit else BODY
    more = {"eight_bit": eight_bit}
    async with AsyncExitStack() as stack, asyncio.timeout(60):
        rig, sinks = await sites(stack, Rig, 6)
        sent = []
        for number in range(5):
            sent += await rig.submit(
                f"b@d{number}.example",
                content=content,
                hand_over=False,
                needs=more,
                account=AccountName("m"),
            )
        while sum(sink.sessions for sink in sinks) < 2:
            await asyncio.sleep(0.02)
        other = await rig.submit(
            "b@d5.example", content=content, hand_over=False, needs=more, account=AccountName("o")
        )
        while not sinks[5].sessions:
            await asyncio.sleep(0.02)
        assert sum(sink.sessions for sink in sinks[:5]) == 2
        for sink in sinks:
            sink.go.set()
        rows = await rig.until_state([*sent, *other], DeliveryState.DELIVERED)
        assert {row.attempts for row in rows} == {1}
