"""What a next hop's answer comes to: tries, returns, the end of patience."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from gatepost.delivery.bounds import Bounds
from gatepost.model.delivery import DeliveryState
from gatepost.model.event import EventKind
from gatepost.model.settings import RetrySettings
from gatepost.net.clock import now
from gatepost.wire.smtp.client_events import Phase
from tests.delivery.rig import CONTENT, QUICK, Rig, one_mx
from tests.sink import DROP, HANG, Sink

DELIVERED, DUE, REFUSED = DeliveryState.DELIVERED, DeliveryState.DUE, DeliveryState.REFUSED


async def test_4xx_is_tried_again(sink: Sink) -> None:
    sink.said.script["RCPT"] = ["450 4.2.0 greylisted"]
    async with Rig(sink.port) as rig:
        one_mx(rig)
        (row,) = await rig.until_state(await rig.submit("b@y.example"), DELIVERED)
        assert row.attempts == 2
        event = await rig.until_event(EventKind.DEFERRED)
        assert event.facts["text"] == "greylisted"
        assert event.facts["next_attempt_at"]
        assert rig.returns == []


async def test_5xx_comes_back_to_the_sender(sink: Sink) -> None:
    sink.said.refuse["b@y.example"] = "550 5.1.1 no such user"
    async with Rig(sink.port) as rig:
        one_mx(rig)
        (row,) = await rig.until_state(await rig.submit("b@y.example"))
        assert row.state is REFUSED
        await rig.until_event(EventKind.RETURNED)
        (message,) = rig.returns
        assert message.forward_path == "a@x.example"
        assert b"550 5.1.1 no such user" in message.content
        assert sink.commands[0][-1] in {"DATA", "QUIT"}
        assert rig.store.tables.notices == {}


@pytest.mark.rfc("5321#6.1")
async def test_nothing_is_returned_to_the_null_reverse_path(sink: Sink) -> None:
    sink.said.script["DOT"] = ["554 5.7.1 no"]
    async with Rig(sink.port) as rig:
        one_mx(rig)
        await rig.until_state(await rig.submit("b@y.example", reverse_path=""))
        assert EventKind.RETURN_DROPPED in rig.store.kinds()
        assert rig.store.tables.notices == {}


async def test_some_recipients_fail_and_the_others_get_it(sink: Sink) -> None:
    sink.said.refuse.update({"c@y.example": "550 5.1.1 no", "d@y.example": "450 4.2.2 full"})
    async with Rig(sink.port) as rig:
        one_mx(rig)
        ids = await rig.submit("b@y.example", "c@y.example", "d@y.example")
        b, c, _ = await rig.until_state(ids[:2]) + [rig.row(ids[2])]
        assert (b.state, c.state) == (DELIVERED, REFUSED)
        sink.said.refuse.clear()
        (d,) = await rig.until_state(ids[2:], DELIVERED)
        assert d.attempts >= 2
        assert [m.forward_paths for m in sink.messages] == [["b@y.example"], ["d@y.example"]]


async def test_recipients_that_only_lacked_room_follow_at_once(sink: Sink) -> None:
    sink.said.script["RCPT"] = ["250 ok", "452 4.5.3 too many recipients"]
    async with Rig(sink.port, retry=RetrySettings()) as rig:
        one_mx(rig)
        await rig.until_state(await rig.submit("b@y.example", "c@y.example"), DELIVERED)
        assert [m.forward_paths for m in sink.messages] == [["b@y.example"], ["c@y.example"]]
        assert EventKind.DEFERRED not in rig.store.kinds()


async def test_lost_in_the_content_is_tried_again(sink: Sink) -> None:
    sink.said.script["CONTENT"] = [DROP]
    async with Rig(sink.port) as rig:
        one_mx(rig)
        (row,) = await rig.until_state(await rig.submit("b@y.example", content=CONTENT * 20000))
        assert row.state is DELIVERED
        assert row.attempts == 2
        assert len(sink.messages) == 1
        event = await rig.until_event(EventKind.DEFERRED)
        assert event.facts["status"] == "4.4.2"


async def test_lost_after_the_final_dot_is_tried_again_and_said_so(sink: Sink) -> None:
    sink.said.script["DOT"] = [DROP]
    async with Rig(sink.port) as rig:
        one_mx(rig)
        await rig.until_state(await rig.submit("b@y.example"), DELIVERED)
        event = await rig.until_event(EventKind.DEFERRED)
        assert "after the final dot" in str(event.facts["text"])


async def test_a_slow_server_is_given_up_after_its_time(sink: Sink) -> None:
    sink.said.script["DATA"] = [HANG]
    async with Rig(sink.port, patience={Phase.DATA: 0.1}) as rig:
        one_mx(rig)
        await rig.until_state(await rig.submit("b@y.example"), DELIVERED)
        event = await rig.until_event(EventKind.DEFERRED)
        assert event.facts["text"] == "no reply in time after DATA"


async def test_refused_connections_are_deferred_for_all_that_wait() -> None:
    async with Sink() as gone:
        port = gone.port
    async with Rig(port, retry=RetrySettings()) as rig:
        one_mx(rig)
        sent = [await rig.submit(f"r{n}@y.example") for n in range(5)]
        rows = await rig.until_state([i for ids in sent for i in ids], DUE)
        assert {r.attempts for r in rows} == {1}
        assert all(r.last_outcome and r.last_outcome.status == "4.4.1" for r in rows)
        assert all("connection refused" in r.reason for r in rows)


@pytest.mark.rfc("5321#4.5.4.1")
async def test_in_the_end_we_give_up_and_say_so(sink: Sink) -> None:
    sink.said.refuse["b@y.example"] = "450 4.2.1 not now"
    async with Rig(sink.port) as rig:
        one_mx(rig)
        (row,) = await rig.until_state(
            await rig.submit("b@y.example", give_up=timedelta(milliseconds=300))
        )
        assert row.state is DeliveryState.EXPIRED
        assert row.attempts >= 2
        await rig.until_event(EventKind.RETURNED)
        assert b"Status: 5.2.1" in rig.returns[0].content


async def test_what_waits_too_long_for_a_slow_site_is_given_up_without_another_try(
    sink: Sink,
) -> None:
    sink.go.clear()
    async with Rig(sink.port, bounds=Bounds(look=0.02, connections_per_site=1, claim=1)) as rig:
        one_mx(rig)
        (first,) = await rig.submit("a@y.example")
        await rig.until_attempted(first)
        (late,) = await rig.submit("b@y.example", give_up=timedelta(seconds=1), hand_over=False)
        rig.store.tables.delivery_rows[late] = replace(rig.row(late), attempts=1)
        await rig.store.until(lambda: rig.row(late).state is DeliveryState.LEASED)
        await asyncio.sleep((rig.row(late).expires_at - now()).total_seconds())
        sink.go.set()
        (row,) = await rig.until_state([late])
        assert row.state is DeliveryState.EXPIRED
        assert row.attempts == 1
        await rig.until_state([first], DELIVERED)
        assert [m.forward_paths for m in sink.messages] == [["a@y.example"]]


async def test_a_delay_is_told_once(sink: Sink) -> None:
    sink.said.script["RCPT"] = ["450 4.2.1 not now"] * 3
    retry = replace_warn(timedelta(hours=1))
    async with Rig(sink.port, retry=retry) as rig:
        one_mx(rig)
        await rig.until_state(await rig.submit("b@y.example", age=timedelta(hours=2)), DELIVERED)
        assert rig.store.kinds().count(EventKind.DEFERRED) == 3
        assert rig.store.kinds().count(EventKind.DELAYED) == 1


def replace_warn(warn: timedelta) -> RetrySettings:
    return RetrySettings(first=QUICK.first, longest=QUICK.longest, warn=warn)


async def test_damaged_content_is_refused_and_never_sent(sink: Sink) -> None:
    async with Rig(sink.port) as rig:
        one_mx(rig)
        (one,) = await rig.submit("b@y.example", hand_over=False)
        rig.store.tables.damaged.add(rig.row(one).submission_id)
        (row,) = await rig.until_state([one])
        assert row.state is REFUSED
        assert row.last_outcome is not None
        assert "damaged" in row.last_outcome.text
        await rig.until_event(EventKind.RETURNED)
