"""Lanes, wishes and times of release: what every store keeps, and in which order it hands out."""

from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from gatepost.model.delivery import DeliveryState
from gatepost.model.ids import WorkerId
from gatepost.model.lane import LANES, Lane
from gatepost.store.notices import NoticeKind
from gatepost.store.sqlite import open_sqlite
from gatepost.store.sqlite_schema import VERSIONS
from gatepost.wire.smtp.notification import Notify, RecipientWishes, Ret
from tests.store.makers import ACCEPTED, NOON, delivery, lease, settled, submission
from tests.store.test_store_contract import ask, do, one, opener, put, store, take  # noqa: F401

OTP, TRANSACTIONAL, BULK = LANES
MINUTE = timedelta(minutes=1)


async def fill(store, **numbers: int) -> None:  # noqa: F811
    """Put so many of each lane into the queue; bulk came first, and is due first."""

    def job(transaction):
        for name, number in numbers.items():
            due_at = NOON - MINUTE * (LANES.index(Lane(name)) + 1)
            for _ in range(number):
                message = submission()
                way = delivery(message, lane=Lane(name), next_attempt_at=due_at)
                transaction.add_deliveries(message, [way])

    await store.write(job)


async def test_what_was_asked_for_comes_back(store) -> None:  # noqa: F811
    message = submission(
        ret=Ret.FULL, envid="a+2Bb", priority=-4, hold="for;60", release_at=NOON + MINUTE
    )
    wishes = RecipientWishes(Notify.NEVER, "rfc822;Bob@y.example")
    _, (way,), (leased,) = await put(store, lease=lease(), of=message, lane=BULK, wishes=wishes)
    assert leased.delivery.wishes == wishes
    assert leased.submission == message
    await do(store, "settle", [settled(leased, DeliveryState.DELIVERED, ACCEPTED)])
    found = await one(store, way.id)  # from the table of the day
    assert (found.lane, found.wishes) == (BULK, wishes)
    assert await ask(store, "submission", message.id) == message


@pytest.mark.parametrize(
    ("limit", "within", "dealt"),
    [
        (21, None, (16, 4, 1)),
        (100, None, (40, 20, 40)),
        (200, None, (40, 20, 60)),
        (21, {OTP: 100, TRANSACTIONAL: 0, BULK: 2}, (20, 0, 1)),
        (50, {OTP: 50, TRANSACTIONAL: 5, BULK: 0}, (40, 5, 0)),
    ],
)
async def test_due_mail_is_dealt_by_lane_the_most_urgent_first(store, limit, within, dealt) -> None:  # noqa: F811
    await fill(store, bulk=60, transactional=20, otp=40)
    leased = await do(store, "lease_due", NOON, lease(), limit=limit, within=within)
    lanes = [one.delivery.lane for one in leased]
    assert tuple(lanes.count(lane) for lane in LANES) == dealt
    assert lanes == sorted(lanes, key=LANES.index)


async def test_what_leases_of_the_dead_held_is_dealt_like_the_rest(store) -> None:  # noqa: F811
    await fill(store, bulk=6, otp=2)
    assert len(await take(store, limit=8)) == 8
    later = NOON + MINUTE * 3
    leased = await do(
        store, "lease_due", later, lease(minutes=9), limit=4, within={OTP: 4, BULK: 1}
    )
    assert [one.delivery.lane for one in leased] == [OTP, OTP, BULK]


async def test_the_next_due_is_told_for_the_lanes_that_are_asked_for(store) -> None:  # noqa: F811
    await fill(store, bulk=1, otp=1)
    assert await ask(store, "next_due_at") == NOON - MINUTE * 3
    assert await ask(store, "next_due_at", [OTP, TRANSACTIONAL]) == NOON - MINUTE
    assert await ask(store, "next_due_at", [TRANSACTIONAL]) is None


async def test_a_message_for_later_is_not_due_and_keeps_its_time_for_trying(store) -> None:  # noqa: F811
    at = NOON + timedelta(days=3)
    message = submission(release_at=at)
    _, (way,), _ = await put(
        store, of=message, next_attempt_at=at, expires_at=at + timedelta(days=2)
    )
    assert await take(store) == []
    assert await ask(store, "next_due_at") == at
    await do(store, "change_queue", [way.id], [DeliveryState.DUE], DeliveryState.DUE, NOON)
    (leased,) = await take(store)
    assert leased.delivery.expires_at == NOON + timedelta(days=2)


async def test_a_message_for_later_that_was_held_waits_on_when_it_is_released(store) -> None:  # noqa: F811
    at = NOON + timedelta(days=3)
    message = submission(release_at=at)
    _, (way,), _ = await put(store, of=message, next_attempt_at=at, expires_at=at + MINUTE)
    both = (DeliveryState.HELD, DeliveryState.DUE)
    for state in both:
        await do(store, "change_queue", [way.id], both, state, NOON)
    found = await one(store, way.id)
    assert (found.next_attempt_at, found.expires_at) == (at, at + MINUTE)
    assert await ask(store, "next_due_at") == at


async def test_a_success_is_owed_like_a_return(store) -> None:  # noqa: F811
    _, (way,), (leased,) = await put(store, lease=lease())
    await do(store, "settle", [settled(leased, notice=NoticeKind.SUCCESS)])
    (notice,) = await ask(store, "notices_due", limit=9)
    assert notice.kind is NoticeKind.SUCCESS
    await do(store, "clear_notice", way.id, NoticeKind.RETURN)
    assert len(await ask(store, "notices_due", limit=9)) == 1
    await do(store, "clear_notice", way.id, NoticeKind.SUCCESS)
    assert await ask(store, "notices_due", limit=9) == []


# -- SQLite's own


async def test_finding_what_is_due_is_answered_by_the_index(tmp_path: Path) -> None:
    opened = await open_sqlite(tmp_path, WorkerId("node/1/0"), clock=lambda: NOON)
    from gatepost.store import sqlite_transaction as its
    from gatepost.store.pools import of_each

    def plan(reading, sql, *bindings) -> str:
        return " | ".join(row[3] for row in reading.rows(f"EXPLAIN QUERY PLAN {sql}", bindings))

    ready = await opened.read(lambda r: plan(r, its._READY, 0, 0, "", 1, 9))
    counted = await opened.read(lambda r: plan(r, of_each(its._HOW_MANY, 1, after=3), 0, 1, 9, ""))
    assert "USING INDEX delivery_next (state=? AND lane=? AND pool=? AND ready_at<?)" in ready
    assert "B-TREE" not in ready
    found = "COVERING INDEX delivery_next (state=? AND lane=? AND pool=? AND ready_at<?)"
    assert counted.count(found) == 3
    await opened.close()


async def test_a_database_of_the_version_before_keeps_its_queue_and_its_days(
    tmp_path: Path,
) -> None:
    before = next(n for n, version in enumerate(VERSIONS) if "COLUMN lane" in version.pre)
    connection = apsw.Connection(str(tmp_path / "gatepost.db"))
    for version in VERSIONS[:before]:
        connection.execute(version.pre)
    connection.execute(f"PRAGMA user_version = {before}")
    columns = (
        "id, submission_id, forward_path, destination, next_attempt_at, expires_at, state,"
        " attempts, leases, outcome, reason, warned"
    )
    connection.execute(f"CREATE TABLE delivery_20261122 ({columns})")
    for name, table, state in (("d1", "delivery", 0), ("d2", "delivery_20261122", 3)):
        connection.execute(
            f"INSERT INTO {table} ({columns}) VALUES"
            f" ('{name}', 's', 'b@y.example', 'y.example', 1, 2, {state}, 0, 0, NULL, '', 0)"
        )
    connection.execute("UPDATE delivery SET ready_at = 1")
    connection.execute(
        "INSERT INTO submission (id, reverse_path, size, received_at, origin, message_id, client,"
        " eight_bit) VALUES ('s', '', 1, 1, 'mx', '', '', 0)"
    )
    connection.execute("INSERT INTO notice VALUES ('d2', 1, 's')")
    connection.close()
    opened = await open_sqlite(tmp_path, WorkerId("node/1/0"), clock=lambda: NOON)
    assert [x.delivery.lane for x in await take(opened)] == [TRANSACTIONAL]
    (notice,) = await ask(opened, "notices_due", limit=9)
    assert (notice.kind, notice.delivery.lane) == (NoticeKind.WARNING, TRANSACTIONAL)
    await opened.close()
