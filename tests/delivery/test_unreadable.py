"""Mail whose content cannot be read: it waits, its sender hears, and it ends in time."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gatepost.delivery.bounds import Bounds
from gatepost.model.delivery import DeliveryState
from gatepost.model.event import EventKind
from tests.delivery.rig import QUICK, Rig
from tests.sink import Sink

PROMPT = Bounds(look=0.02, dial=5.0)


async def test_content_that_the_disk_does_not_give_is_deferred_and_keeps_no_other_waiting() -> None:
    async with Sink() as sink, Rig(sink.port) as rig:
        rig.mx("y.example", (10, "mx.y.example", "127.0.0.1"))
        tables = rig.store.tables
        (bad,) = await rig.submit("a@y.example", hand_over=False, age=timedelta(hours=1))
        tables.unreadable.add(rig.row(bad).submission_id)
        (good,) = await rig.submit("b@y.example", hand_over=False)
        await rig.until_state([good], DeliveryState.DELIVERED)
        await rig.until_event(EventKind.DEFERRED)
        outcome = rig.row(bad).last_outcome
        assert outcome is not None
        assert outcome.status == "4.3.0"
        assert "Input/output error" in outcome.text
        tables.unreadable.clear()
        await rig.until_state([bad], DeliveryState.DELIVERED)


async def test_content_that_the_disk_does_not_give_is_given_up_in_time() -> None:
    async with Sink() as sink, Rig(sink.port) as rig:
        rig.mx("y.example", (10, "mx.y.example", "127.0.0.1"))
        (bad,) = await rig.submit("a@y.example", hand_over=False, give_up=timedelta(seconds=1))
        rig.store.tables.unreadable.add(rig.row(bad).submission_id)
        await rig.until_state([bad], DeliveryState.EXPIRED)
        await rig.until_event(EventKind.RETURNED)
        assert b"Action: failed" in rig.returns[0].content


@pytest.mark.parametrize(
    ("patience", "age", "states"),
    [
        (3600.0, timedelta(days=6), {DeliveryState.DUE, DeliveryState.LEASED}),
        (0.0, timedelta(days=6), {DeliveryState.EXPIRED}),
        (0.0, timedelta(0), {DeliveryState.DUE, DeliveryState.LEASED}),
    ],
    ids=["the disk may come", "it stayed away", "there is time"],
)
async def test_mail_ends_only_where_its_time_is_over_and_its_disk_long_away(
    patience: float, age: timedelta, states: set[DeliveryState]
) -> None:
    bounds = replace(PROMPT, contents_away=patience)
    async with Sink() as sink, Rig(sink.port, bounds=bounds, retry=QUICK) as rig:
        rig.mx("y.example", (10, "mx.y.example", "127.0.0.1"))
        tables = rig.store.tables
        tables.contents_away = True
        (one,) = await rig.submit("a@y.example", hand_over=False, age=age)
        await rig.store.until(lambda: rig.row(one).leases > 0 and rig.row(one).state in states)
        if DeliveryState.EXPIRED not in states:
            await rig.store.until(lambda: bool(rig.row(one).reason))
            assert "no stored content can be read" in rig.row(one).reason
            assert EventKind.EXPIRED not in rig.store.kinds()
