"""Rows whose values only a newer program knows (ADR 20): each is left alone, and stops nothing else."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gatepost.events.journal import journal_lines
from gatepost.model.delivery import DeliveryState
from gatepost.model.domain import Domain
from gatepost.model.event import EventKind, LaterKind
from gatepost.store.protocols import NoticeKind, QueueFilter, Store
from gatepost.store.rows import NewerRowError
from tests.store.makers import CONTENT, NOON, delivery, event, lease, settled, submission
from tests.store.openers import OPENERS
from tests.store.test_domains import DOMAIN, OLD

#: A value of each column that a newer program may have learned.
NEWER = {
    "origin": "UPDATE submission SET origin = 'report' WHERE id = '{0}'",
    "ret": "UPDATE submission SET ret = 9 WHERE id = '{0}'",
    "outcome": "UPDATE delivery SET outcome = '[\"forwarded\"]' WHERE submission_id = '{0}'",
    "notify": "UPDATE delivery SET notify = 4096 WHERE submission_id = '{0}'",
}


@pytest.fixture(params=OPENERS, ids=lambda opener: opener.__name__)
async def store(request: pytest.FixtureRequest, tmp_path: Path):
    opened = await request.param(tmp_path)
    yield opened
    await opened.close()


async def put(store: Store, recipient: str, newer: str | None = None):
    message = submission()
    way = delivery(message, recipient)
    await store.write(lambda t: t.add_deliveries(message, [way]), (message.id, (CONTENT,)))
    if newer is not None:
        await store.write(lambda t: t.execute(newer.format(message.id)))
    return way


@pytest.mark.parametrize("column", NEWER)
async def test_a_row_of_a_newer_program_is_left_alone_and_said(store, column, caplog):
    newer = await put(store, "a@y.example", NEWER[column])
    ours = await put(store, "b@y.example")
    due = lambda t: t.lease_due(NOON, lease(), limit=9)  # noqa: E731
    assert [one.delivery.id for one in await store.write(due)] == [ours.id]
    assert f"{newer.id} waits for a program that can read it" in caplog.text
    # It does not stand before what falls due later, nor is it looked for without a pause.
    assert (await store.read(lambda r: r.next_due_at())) > NOON
    await store.write(lambda t: t.free_leases("node/1/0"))
    by_name = lambda t: t.lease_these([newer.id, ours.id], lease())  # noqa: E731
    assert [one.delivery.id for one in await store.write(by_name)] == [ours.id]
    rows = await store.read(lambda r: r.deliveries(QueueFilter(), limit=9))
    assert [row.delivery.id for row in rows] == [ours.id]
    assert (await store.read(lambda r: r.queue_depth()))[DeliveryState.LEASED] == 2


async def test_an_outcome_of_a_newer_program_may_have_more_fields(store):
    way = await put(store, "a@y.example")
    fields = '["deferred",451,"4.3.0","later","","","",false,false,"","more"]'
    await store.write(lambda t: t.execute(f"UPDATE delivery SET outcome = '{fields}'"))
    (one,) = await store.write(lambda t: t.lease_due(NOON, lease(), limit=9))
    assert (one.delivery.id, one.delivery.last_outcome.words) == (way.id, "451 4.3.0 later")


async def test_an_event_of_a_newer_kind_is_passed_on_in_its_words(store):
    kinds = EventKind.ACCEPTED, LaterKind('web"hook'), EventKind.DELIVERED
    await store.write(lambda t: t.add_events([event(kind) for kind in kinds]))
    events = await store.read(lambda r: r.events())
    assert tuple(stored.event.kind for stored in events) == kinds
    assert b'"kind":"web\\"hook",' in journal_lines(events)


@pytest.mark.parametrize("newer", ["UPDATE notice SET kind = 9", NEWER["origin"]])
async def test_a_report_that_only_a_newer_program_can_write_is_left_to_it(store, newer):
    await put(store, "a@y.example")
    (one,) = await store.write(lambda t: t.lease_due(NOON, lease(), limit=9))
    later = settled(one, DeliveryState.REFUSED, notice=NoticeKind.RETURN)
    await store.write(lambda t: t.settle([later]))
    assert len(await store.read(lambda r: r.notices_due(limit=9))) == 1
    await store.write(lambda t: t.execute(newer.format(one.submission.id)))
    assert await store.read(lambda r: r.notices_due(limit=9)) == []


async def test_a_key_of_a_newer_algorithm_signs_nothing_here_and_is_not_lost(store):
    await store.write(lambda t: t.put_domain(DOMAIN))
    await store.write(lambda t: t.put_domain(Domain("a.example", NOON + timedelta(1))))
    newer = "UPDATE dkim_key SET algorithm = 'ml-dsa' WHERE selector = 'new'"
    await store.write(lambda t: t.execute(newer))
    _, known = await store.read(lambda r: r.domains())
    assert known == replace(DOMAIN, keys=(OLD,))
    with pytest.raises(NewerRowError):  # whoever changes it would forget that key
        await store.write(lambda t: t.domain(DOMAIN.name))
