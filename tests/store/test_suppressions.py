"""Suppressions and account rules: what every Store promises."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gatepost.model.account import Account
from gatepost.model.delivery import DeliveryState
from gatepost.model.ids import AccountName
from gatepost.model.suppression import Suppression, SuppressionClass
from gatepost.store.protocols import Store
from gatepost.store.queue_view import QueueFilter
from gatepost.store.suppressions import AccountRule, SuppressionFilter, SuppressionKey
from tests.store.makers import CONTENT, NOON, REFUSED, delivery, lease, settled, submission
from tests.store.openers import OPENERS

APP = AccountName("app@example.com")
BOB = Suppression("bob@y.example", SuppressionClass.BOUNCED, NOON, APP, reason="550 no")
DOMAIN = Suppression("@y.example", SuppressionClass.MANUAL, NOON + timedelta(1))
NEWS = replace(BOB, kind=SuppressionClass.UNSUBSCRIBED, stream="news", reason="")
SUBJECTS = ("bob@y.example", "@y.example")


@pytest.fixture(params=OPENERS, ids=lambda opener: opener.__name__)
async def store(request: pytest.FixtureRequest, tmp_path: Path):
    opened = await request.param(tmp_path)
    yield opened
    await opened.close()


async def put(store: Store, *suppressions: Suppression, replace: bool = False) -> int:
    return await store.write(lambda tx: tx.add_suppressions(suppressions, replace=replace))


async def test_an_account_meets_its_own_and_the_global_ones(store: Store):
    assert await put(store, BOB, DOMAIN, NEWS) == 3
    other = replace(BOB, account=AccountName("other"))
    await put(store, other)
    ours = await store.read(lambda r: r.suppressions_of(SUBJECTS, APP))
    assert sorted(ours, key=lambda s: s.stream) == [BOB, DOMAIN, NEWS]
    assert await store.read(lambda r: r.suppressions_of(SUBJECTS, None)) == [DOMAIN]


async def test_what_is_there_stays_unless_it_is_replaced(store: Store):
    await put(store, BOB)
    later = replace(BOB, since=NOON + timedelta(9), kind=SuppressionClass.MANUAL)
    assert await put(store, later) == 0
    assert await store.read(lambda r: r.suppressions_of(SUBJECTS, APP)) == [BOB]
    assert await put(store, later, replace=True) == 1
    assert await store.read(lambda r: r.suppressions_of(SUBJECTS, APP)) == [later]


async def test_listing_filters_and_pages(store: Store):
    await put(store, BOB, DOMAIN, NEWS)
    listed = [DOMAIN, BOB, NEWS]

    async def ask(limit=10, after=None, **which):
        wanted = SuppressionFilter(**which)
        return await store.read(lambda r: r.suppressions(wanted, limit=limit, after=after))

    assert await ask() == listed
    assert await ask(limit=2) == listed[:2]
    assert await ask(after=SuppressionKey("bob@y.example", APP)) == [NEWS]
    assert await ask(account=APP) == [BOB, NEWS]
    assert await ask(only_global=True) == [DOMAIN]
    assert await ask(kind=SuppressionClass.MANUAL) == [DOMAIN]
    assert await ask(stream="news") == [NEWS]
    assert await ask(subject="@y.example") == [DOMAIN]


async def test_numbers_rise_and_never_come_again(store: Store):
    await put(store, BOB, DOMAIN)
    first = await store.read(lambda r: r.suppressed_subjects(0, 10))
    assert [subject for _, subject in first] == ["bob@y.example", "@y.example"]
    key = SuppressionKey("@y.example")
    assert await store.write(lambda tx: tx.remove_suppression(key))
    assert not await store.write(lambda tx: tx.remove_suppression(key))
    await put(store, DOMAIN)
    last = first[-1][0]
    again = await store.read(lambda r: r.suppressed_subjects(last, 10))
    assert [subject for _, subject in again] == ["@y.example"]
    assert again[0][0] > last


async def test_an_account_takes_its_suppressions_and_its_rule_along(store: Store):
    rule = AccountRule(APP, drops=True, stream="news", links=True)
    assert await store.read(lambda r: r.account_rule(APP)) == AccountRule(APP)
    await store.write(lambda tx: tx.put_account(Account(APP, (APP,), NOON)))
    await store.write(lambda tx: tx.put_account_rule(rule))
    await put(store, BOB, DOMAIN)
    assert await store.read(lambda r: r.account_rules()) == [rule]
    assert await store.write(lambda tx: tx.remove_account(APP))
    assert await store.read(lambda r: r.account_rules()) == []
    assert await store.read(lambda r: r.suppressions(SuppressionFilter(), limit=9)) == [DOMAIN]


async def test_a_settlement_suppresses_in_its_own_transaction(store: Store):
    one = submission()
    (leased,) = await store.write(
        lambda tx: tx.add_deliveries(one, [delivery(one)], lease()), (one.id, [CONTENT])
    )
    final = settled(leased, DeliveryState.REFUSED, REFUSED, suppression=BOB)
    late = replace(final, held=replace(final.held, fence=99), suppression=DOMAIN)
    await store.write(lambda tx: tx.settle([late]))
    assert await store.read(lambda r: r.suppressions(SuppressionFilter(), limit=9)) == []
    await store.write(lambda tx: tx.settle([final]))
    assert await store.read(lambda r: r.suppressions(SuppressionFilter(), limit=9)) == [BOB]


async def test_a_delivery_that_is_final_from_the_start_is_closed(store: Store):
    one = submission()
    dropped = delivery(one, "x@y.example", state=DeliveryState.CANCELLED, reason="suppressed")
    leased = await store.write(
        lambda tx: tx.add_deliveries(one, [dropped, delivery(one)], lease()), (one.id, [CONTENT])
    )
    assert [each.delivery.forward_path for each in leased] == ["bob@y.example"]
    rows = await store.read(lambda r: r.deliveries(QueueFilter(id=one.id), limit=9))
    assert {row.delivery.state for row in rows} == {DeliveryState.CANCELLED, DeliveryState.LEASED}
    assert await store.read(lambda r: r.content(one.id)) == CONTENT
    await store.write(lambda tx: tx.settle([settled(leased[0])]))
    assert await store.read(lambda r: r.content(one.id)) is None
