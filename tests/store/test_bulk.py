"""Counts of what goes to large providers: what every Store promises."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from gatepost.store.bulk import BulkCount
from gatepost.store.protocols import Store
from tests.store.openers import OPENERS

DAY = date(2026, 1, 1)
ONE = BulkCount(DAY, "gmail", "example.com", 3)
TWO = BulkCount(DAY, "yahoo", "example.com", 5)


@pytest.fixture(params=OPENERS, ids=lambda opener: opener.__name__)
async def store(request: pytest.FixtureRequest, tmp_path):
    opened = await request.param(tmp_path)
    yield opened
    await opened.close()


async def test_counts_add_up_and_are_told_newest_and_largest_first(store: Store):
    assert await store.write(lambda tx: tx.count_bulk([ONE, TWO])) == [ONE, TWO]
    assert await store.write(lambda tx: tx.count_bulk([ONE])) == [replace(ONE, count=6)]
    next_day = replace(ONE, day=DAY + timedelta(1), count=1)
    await store.write(lambda tx: tx.count_bulk([next_day]))
    counts = await store.read(lambda reading: reading.bulk_counts(DAY))
    assert counts == [next_day, replace(ONE, count=6), TWO]
    assert await store.read(lambda reading: reading.bulk_counts(next_day.day)) == [next_day]


async def test_past_days_are_forgotten(store: Store):
    await store.write(lambda tx: tx.count_bulk([ONE, TWO, replace(ONE, day=DAY + timedelta(1))]))
    assert await store.write(lambda tx: tx.forget_bulk(DAY)) == 0
    assert await store.write(lambda tx: tx.forget_bulk(DAY + timedelta(1))) == 2
    assert len(await store.read(lambda reading: reading.bulk_counts(DAY))) == 1
