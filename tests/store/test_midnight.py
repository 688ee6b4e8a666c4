"""What begins on one day and ends on the next."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gatepost.model.delivery import DeliveryState
from gatepost.model.ids import WorkerId
from gatepost.model.settings import RetentionSettings
from gatepost.store.notices import NoticeKind
from gatepost.store.postgresql import open_postgresql
from gatepost.store.protocols import Store
from gatepost.store.sqlite import open_sqlite
from tests.store.makers import CONTENT, REFUSED, delivery, lease, settled, submission
from tests.store.openers import address_of

WORKER = WorkerId("node/1/0")
RETENTION = RetentionSettings(events=timedelta(days=30))
EVENING = datetime(2026, 11, 23, 23, 59, 58, tzinfo=UTC)

Clock = Callable[[], datetime]


async def sqlite(directory: Path, clock: Clock) -> Store:
    return await open_sqlite(directory, WORKER, RETENTION, clock=clock)


async def postgresql(directory: Path, clock: Clock) -> Store:
    return await open_postgresql(address_of(directory), WORKER, RETENTION, clock=clock)


@pytest.mark.parametrize("opener", [sqlite, postgresql], ids=lambda one: one.__name__)
async def test_a_message_is_forgotten_when_its_report_went_out_after_midnight(
    tmp_path: Path, opener: Callable[[Path, Clock], Awaitable[Store]]
) -> None:
    times = [EVENING]
    store = await opener(tmp_path, lambda: times[-1])
    message = submission(received_at=EVENING)
    way = delivery(message, next_attempt_at=EVENING, expires_at=EVENING + timedelta(days=2))
    (leased,) = await store.write(
        lambda t: t.add_deliveries(message, [way], lease()), (message.id, (CONTENT,))
    )
    refused = settled(leased, DeliveryState.REFUSED, REFUSED, notice=NoticeKind.RETURN)
    assert await store.write(lambda t: t.settle([refused]))
    times.append(EVENING + timedelta(seconds=4))
    assert await store.write(lambda t: t.clear_notice(way.id, NoticeKind.RETURN))

    async def is_known_after(days: int) -> bool:
        times.append(EVENING + timedelta(days=days))
        await store.tidy(times[-1])
        return await store.read(lambda r: r.submission(message.id)) is not None

    assert await is_known_after(29)
    assert not await is_known_after(32)
    await store.close()
