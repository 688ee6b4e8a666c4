"""Mail goes out over real sockets: hosts, sessions, transactions, retries."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from gatepost.delivery.bounds import Bounds
from gatepost.model.delivery import DeliveryState, OutcomeKind
from gatepost.model.event import EventKind
from gatepost.model.ids import WorkerId
from gatepost.model.route import ViaCapture, ViaDiscard, ViaLmtp, ViaMaildir, ViaSmtp
from gatepost.model.settings import RetrySettings
from gatepost.net.address import SocketAddress
from gatepost.net.clock import now
from gatepost.store.protocols import Lease, StoreUnavailableError
from gatepost.wire.smtp.client_events import Phase
from tests.delivery.rig import CONTENT, QUICK, Rig, routing
from tests.memory_store import MemoryStore
from tests.sink import DROP, HANG, Sink

DELIVERED, DUE, REFUSED = DeliveryState.DELIVERED, DeliveryState.DUE, DeliveryState.REFUSED


@pytest_asyncio.fixture
async def sink() -> AsyncIterator[Sink]:
    async with Sink() as server:
        yield server


def one_mx(rig: Rig, address: str = "127.0.0.1") -> None:
    rig.mx("y.example", (10, "mx.y.example", address))


async def test_content_arrives_as_it_is(sink: Sink) -> None:
    async with Rig(sink.port) as rig:
        one_mx(rig)
        (row,) = await rig.until_state(await rig.submit("b@y.example"))
        (message,) = sink.messages
        assert message.content == CONTENT
        assert (message.reverse_path, message.forward_paths) == ("a@x.example", ["b@y.example"])
        assert f"SIZE={len(CONTENT)}" in message.mail
        assert row.attempts == 1
        assert row.last_outcome is not None
        assert row.last_outcome.words == "250 2.0.0 got it"
        assert row.last_outcome.host == "mx.y.example"
        assert row.last_outcome.address == f"127.0.0.1:{sink.port}"
        event = await rig.until_event(EventKind.DELIVERED)
        assert event.facts["recipient"] == "b@y.example"
        assert rig.scheduler.held == 0


async def test_the_attempt_is_counted_before_the_dialling(sink: Sink) -> None:
    sink.go.clear()
    async with Rig(sink.port) as rig:
        one_mx(rig)
        (one,) = await rig.submit("b@y.example")
        await sink.until(lambda: sink.sessions == 1)
        assert rig.row(one).attempts == 1
        sink.go.set()
        await rig.until_state([one], DELIVERED)


async def test_recipients_of_one_message_at_one_site_share_a_transaction(sink: Sink) -> None:
    async with Rig(sink.port) as rig:
        one_mx(rig)
        rig.mx("z.example", (5, "mx.y.example", "127.0.0.1"))
        ids = await rig.submit("b@y.example", "c@y.example")
        await rig.until_state(ids, DELIVERED)
        assert [m.forward_paths for m in sink.messages] == [["b@y.example", "c@y.example"]]
        await rig.until_state(await rig.submit("d@z.example"), DELIVERED)  # z is known now
        both = await rig.submit("b@y.example", "d@z.example")
        await rig.until_state(both, DELIVERED)
        assert sink.messages[-1].forward_paths == ["b@y.example", "d@z.example"]


async def test_a_transaction_has_no_more_recipients_than_a_server_must_take(sink: Sink) -> None:
    async with Rig(sink.port, bounds=Bounds(recipients=3, look=0.02)) as rig:
        one_mx(rig)
        ids = await rig.submit(*(f"r{n}@y.example" for n in range(8)))
        await rig.until_state(ids, DELIVERED)
        assert sorted(len(m.forward_paths) for m in sink.messages) == [2, 3, 3]


async def test_sessions_are_used_again(sink: Sink) -> None:
    async with Rig(sink.port, bounds=Bounds(connections_per_site=1, look=0.02)) as rig:
        one_mx(rig)
        for _ in range(5):
            await rig.until_state(await rig.submit("b@y.example"), DELIVERED)
        assert sink.sessions == 1
        assert [c.split()[0] for c in sink.commands[0][:5]] == [
            "EHLO",
            "MAIL",
            "RCPT",
            "DATA",
            "MAIL",
        ]


async def test_a_session_ends_after_its_share_of_messages(sink: Sink) -> None:
    bounds = Bounds(connections_per_site=1, messages_per_session=2, look=0.02)
    async with Rig(sink.port, bounds=bounds) as rig:
        one_mx(rig)
        for _ in range(5):
            await rig.until_state(await rig.submit("b@y.example"), DELIVERED)
        assert [m.session for m in sink.messages] == [0, 0, 1, 1, 2]


async def test_an_idle_session_is_closed_with_quit(sink: Sink) -> None:
    async with Rig(sink.port, bounds=Bounds(session_idle=0.05, look=0.02)) as rig:
        one_mx(rig)
        await rig.until_state(await rig.submit("b@y.example"), DELIVERED)
        await sink.until(lambda: "QUIT" in sink.commands[0])


async def test_no_more_connections_to_a_site_than_allowed(sink: Sink) -> None:
    async with Rig(sink.port, bounds=Bounds(connections_per_site=3, look=0.02)) as rig:
        one_mx(rig)
        sent = [await rig.submit(f"r{n}@y.example") for n in range(60)]
        await rig.until_state([i for ids in sent for i in ids], DELIVERED)
        assert sink.most_sessions <= 3


async def test_a_site_that_takes_no_further_connection_is_busy_and_not_down(sink: Sink) -> None:
    sink.said.script["GREETING"] = ["220 one is enough", *["421 4.7.0 too many"] * 50]
    async with Rig(sink.port, bounds=Bounds(claim=1, look=0.02), retry=RetrySettings()) as rig:
        one_mx(rig)
        sink.go.clear()
        sent = [await rig.submit(f"r{n}@y.example") for n in range(30)]
        await sink.until(lambda: sink.sessions > 1)
        sink.go.set()
        await rig.until_state([i for ids in sent for i in ids], DELIVERED)
        assert EventKind.DEFERRED not in rig.store.kinds()
        assert {m.session for m in sink.messages} == {0}


async def test_a_session_that_the_server_left_costs_no_failure(sink: Sink) -> None:
    sink.said.script["MAIL"] = ["250 ok", DROP]
    async with Rig(sink.port, bounds=Bounds(connections_per_site=1, look=0.02)) as rig:
        one_mx(rig)
        await rig.until_state(await rig.submit("b@y.example"), DELIVERED)
        (row,) = await rig.until_state(await rig.submit("b@y.example"), DELIVERED)
        assert row.attempts == 1
        assert sink.sessions == 2
        assert EventKind.DEFERRED not in rig.store.kinds()


@pytest.mark.rfc("5321#5.1")
async def test_the_lowest_preference_is_tried_first_and_the_next_where_it_is_down() -> None:
    async with Sink(host="127.0.0.2") as best, Sink(host="127.0.0.3", port=best.port) as second:
        async with Rig(best.port) as rig:
            rig.mx(
                "y.example",
                (30, "mx3.y.example", "127.0.0.3"),
                (10, "mx1.y.example", "127.0.0.1"),  # nobody listens there
                (20, "mx2.y.example", "127.0.0.2"),
            )
            await rig.until_state(await rig.submit("b@y.example"), DELIVERED)
        assert (best.sessions, second.sessions) == (1, 0)


@pytest.mark.parametrize("greeting", ["421 4.3.2 busy", "450 later", "554 5.7.1 not you", DROP])
async def test_a_host_that_does_not_greet_well_is_passed_over(greeting: str) -> None:
    async with (
        Sink({"GREETING": [greeting]}, host="127.0.0.2") as first,
        Sink(host="127.0.0.3", port=first.port) as second,
        Rig(first.port) as rig,
    ):
        rig.mx("y.example", (1, "a.y.example", "127.0.0.2"), (2, "b.y.example", "127.0.0.3"))
        await rig.until_state(await rig.submit("b@y.example"), DELIVERED)
        assert (first.sessions, second.sessions) == (1, 1)


@pytest.mark.rfc("5321#5.1")
async def test_without_mx_the_domain_itself_is_the_host(sink: Sink) -> None:
    async with Rig(sink.port) as rig:
        rig.dns.add("y.example", "A", "127.0.0.1")
        (row,) = await rig.until_state(await rig.submit("b@y.example"), DELIVERED)
        assert row.last_outcome is not None
        assert row.last_outcome.host == "y.example"


async def test_an_address_literal_is_its_own_host(sink: Sink) -> None:
    async with Rig(sink.port) as rig:
        await rig.until_state(await rig.submit("b@[127.0.0.1]"), DELIVERED)
        assert sink.messages[0].forward_paths == ["b@[127.0.0.1]"]


@pytest.mark.rfc("7505#4.1")
async def test_null_mx_is_refused_for_good() -> None:
    async with Rig() as rig:
        rig.dns.add("y.example", "MX", "0 .")
        (row,) = await rig.until_state(await rig.submit("b@y.example"))
        assert row.state is REFUSED
        assert row.last_outcome is not None
        assert row.last_outcome.status == "5.1.10"
        await rig.until_event(EventKind.RETURNED)
        assert b"5.1.10" in rig.returns[0].content


async def test_a_domain_that_does_not_exist_is_refused_for_good() -> None:
    async with Rig() as rig:
        (row,) = await rig.until_state(await rig.submit("b@nowhere.example"))
        assert row.state is REFUSED
        assert row.last_outcome is not None
        assert row.last_outcome.status == "5.1.2"
        assert row.attempts == 0


async def test_trouble_with_dns_is_deferred_and_counted(sink: Sink) -> None:
    async with Rig(sink.port, bounds=Bounds(look=0.02, site_life=0.01)) as rig:
        one_mx(rig)
        rig.dns.for_name("y.example").rcode = "SERVFAIL"
        (one,) = await rig.submit("b@y.example")
        event = await rig.until_event(EventKind.DEFERRED)
        assert event.facts["status"] == "4.4.3"
        rig.dns.for_name("y.example").rcode = None
        rig.resolver.forget()
        (row,) = await rig.until_state([one], DELIVERED)
        assert row.attempts >= 2


@pytest.mark.rfc("5321#5.1")
async def test_we_never_send_to_ourselves(sink: Sink) -> None:
    async with Rig(sink.port) as rig:
        rig.mx("y.example", (10, "relay.test", "127.0.0.1"), (20, "mx2.y.example", "127.0.0.1"))
        (row,) = await rig.until_state(await rig.submit("b@y.example"))
        assert row.state is REFUSED
        assert row.last_outcome is not None
        assert row.last_outcome.status == "5.4.6"
        assert sink.sessions == 0


@pytest.mark.parametrize("ours", ["127.0.0.1", "0.0.0.0"])
async def test_our_own_listener_is_no_next_hop(sink: Sink, ours: str) -> None:
    async with Rig(sink.port, listeners=(SocketAddress(ours, sink.port),)) as rig:
        one_mx(rig)
        (row,) = await rig.until_state(await rig.submit("b@y.example"))
        assert row.last_outcome is not None
        assert row.last_outcome.status == "5.4.6"
        assert sink.messages == []


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


async def test_due_mail_is_found_without_a_hand_over(sink: Sink) -> None:
    async with Rig(sink.port) as rig:
        one_mx(rig)
        await rig.until_state(await rig.submit("b@y.example", hand_over=False), DELIVERED)
        assert sink.messages[0].content == CONTENT


async def test_no_more_is_held_than_there_is_room_for(sink: Sink) -> None:
    sink.go.clear()
    bounds = Bounds(held=5, connections_per_site=1, claim=1, look=0.02)
    async with Rig(sink.port, bounds=bounds) as rig:
        one_mx(rig)
        sent = [await rig.submit(f"r{n}@y.example") for n in range(12)]
        await sink.until(lambda: sink.sessions == 1)
        assert rig.scheduler.held == 5
        assert not rig.scheduler.room()
        sink.go.set()
        await rig.until_state([i for ids in sent for i in ids], DELIVERED)
        assert len(sink.messages) == 12


async def test_content_beyond_the_memory_for_it_is_read_again(sink: Sink) -> None:
    async with Rig(sink.port, bounds=Bounds(content=10, look=0.02)) as rig:
        one_mx(rig)
        await rig.until_state(await rig.submit("b@y.example"), DELIVERED)
        assert sink.messages[0].content == CONTENT


async def test_a_delivery_whose_lease_was_lost_is_not_attempted(sink: Sink) -> None:
    sink.go.clear()
    async with Rig(sink.port, bounds=Bounds(connections_per_site=1, claim=1, look=0.02)) as rig:
        one_mx(rig)
        first = await rig.submit("b@y.example")
        await sink.until(lambda: sink.sessions == 1)
        (second,) = await rig.submit("c@y.example")
        rig.store.tables.take_away(second)
        sink.go.set()
        await rig.until_state(first, DELIVERED)
        await rig.until_state(await rig.submit("d@y.example"), DELIVERED)
        assert [m.forward_paths for m in sink.messages] == [["b@y.example"], ["d@y.example"]]


async def test_leases_are_renewed_while_they_are_needed(sink: Sink) -> None:
    sink.go.clear()
    async with Rig(sink.port, bounds=Bounds(renew_after=0.1, look=0.02)) as rig:
        one_mx(rig)
        (one,) = await rig.submit("b@y.example")
        await rig.store.until(lambda: ("renew", 1) in rig.store.tables.calls)
        sink.go.set()
        await rig.until_state([one], DELIVERED)


async def test_no_final_dot_while_neighbours_may_have_taken_over(sink: Sink) -> None:
    sink.go.clear()
    async with Rig(sink.port, bounds=Bounds(look=0.02)) as rig:
        one_mx(rig)
        (one,) = await rig.submit("b@y.example")
        await sink.until(lambda: sink.sessions == 1)
        rig.heard = False
        sink.go.set()
        await rig.store.until(lambda: EventKind.DEFERRED in rig.store.kinds())
        assert not sink.messages
        rig.heard = True
        await rig.until_state([one], DELIVERED)
        assert len(sink.messages) == 1


async def test_a_lease_in_doubt_ends_with_no_final_dot_until_the_store_has_spoken(
    sink: Sink,
) -> None:
    sink.go.clear()
    async with Rig(sink.port, bounds=Bounds(look=0.02)) as rig:
        one_mx(rig)
        (ours,), (theirs,) = [await rig.submit(f"{name}@y.example") for name in "bc"]
        await rig.until_attempted(ours)
        await rig.until_attempted(theirs)
        rig.store.tables.take_away(theirs)
        rig.scheduler.doubt()
        await rig.store.until(lambda: ("renew", 1) in rig.store.tables.calls)
        sink.go.set()
        await rig.until_state([ours], DELIVERED)
        await rig.store.until(lambda: rig.scheduler.held == 0)
        assert [m.forward_paths for m in sink.messages] == [["b@y.example"]]


async def test_stopping_gives_back_what_waits(sink: Sink) -> None:
    sink.go.clear()
    async with Rig(sink.port, bounds=Bounds(connections_per_site=1, claim=1, look=0.02)) as rig:
        one_mx(rig)
        sent = [await rig.submit(f"r{n}@y.example") for n in range(4)]
        await sink.until(lambda: sink.sessions == 1)
        await rig.scheduler.stop(0.1)
        rows = [rig.row(ids[0]) for ids in sent]
        assert {r.state for r in rows} == {DUE}
        assert sorted(r.attempts for r in rows) == [0, 0, 0, 1]
        assert rig.scheduler.held == 0


async def test_stopping_behind_a_final_dot_sends_no_second_copy_at_once(sink: Sink) -> None:
    late = RetrySettings(first=timedelta(minutes=5), longest=timedelta(hours=1))
    async with Rig(sink.port, retry=late) as rig:
        one_mx(rig)
        sink.go_at_dot.clear()
        (one,) = await rig.submit("b@y.example")
        await sink.until_messages(1)
        await rig.scheduler.stop(0.1)
        row = rig.row(one)
        assert (row.state, row.attempts) == (DUE, 1)
        assert row.next_attempt_at > now() + timedelta(minutes=1)
        assert row.last_outcome is not None
        assert "it may have arrived" in row.last_outcome.text
        assert rig.scheduler.held == 0
        sink.go_at_dot.set()


class Unreadable(MemoryStore):
    """Counts attempts, and cannot read contents while `unreadable`."""

    unreadable = True

    async def read(self, query: Any) -> Any:
        found = await super().read(query)
        if self.unreadable and isinstance(found, dict) and found:
            raise StoreUnavailableError("away")
        return found


async def test_an_attempt_without_content_is_none(
    sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatepost.delivery.scheduler._SHORT_PAUSE", timedelta(milliseconds=20))
    store = Unreadable()
    async with Rig(sink.port, store=store) as rig:
        one_mx(rig)
        (one,) = await rig.submit("b@y.example", hand_over=False)
        await store.until(lambda: rig.row(one).leases >= 3)
        assert rig.row(one).attempts <= 1
        store.unreadable = False
        (row,) = await rig.until_state([one], DELIVERED)
        assert row.attempts == 1


class SlowToLease(MemoryStore):
    """Leases what is due only when `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def write(self, job: Any, content: Any = None, envelope: Any = None) -> Any:
        if content is None and not self.asked.is_set():
            self.asked.set()
            await self.go.wait()
        return await super().write(job, content, envelope)


async def test_what_is_leased_while_the_worker_stops_is_given_back(sink: Sink) -> None:
    store = SlowToLease()
    async with Rig(sink.port, store=store) as rig:
        one_mx(rig)
        (one,) = await rig.submit("b@y.example", hand_over=False)
        await store.asked.wait()
        await rig.scheduler.stop(0.1)
        store.go.set()
        await asyncio.wait_for(rig.tasks[0], 30)  # as the worker waits before it closes the store
        assert (rig.row(one).state, rig.row(one).leases, rig.row(one).attempts) == (DUE, 1, 0)
        assert rig.scheduler.held == 0


class AwayAfterLeasing(MemoryStore):
    """Leases once what is due, and is away right behind that."""

    has_leased = False

    async def write(self, job: Any, content: Any = None) -> Any:
        result = await super().write(job, content)
        leased = [row for row in self.tables.delivery_rows.values() if row.leases]
        self.away = bool(leased) and not self.has_leased
        self.has_leased = bool(leased)
        return result

    async def read(self, query: Any) -> Any:
        try:
            return await super().read(query)
        finally:
            self.away = False


async def test_what_is_leased_is_delivered_though_the_store_is_away_next(sink: Sink) -> None:
    store = AwayAfterLeasing()
    async with Rig(sink.port, store=store) as rig:
        one_mx(rig)
        (one,) = await rig.submit("b@y.example", hand_over=False)
        await rig.until_state([one], DELIVERED)
        assert store.has_leased


async def test_what_is_handed_over_while_the_worker_stops_is_given_back(sink: Sink) -> None:
    async with Rig(sink.port) as rig:
        one_mx(rig)
        lease = rig.scheduler.lease()
        await rig.scheduler.stop(0.1)
        rig.scheduler.lease = lambda *_: lease  # type: ignore[method-assign]  # asked for before
        (one,) = await rig.submit("b@y.example")
        await rig.until_state([one], DUE)
        assert rig.row(one).attempts == 0
        assert rig.scheduler.held == 0


@pytest.mark.parametrize(("leapt", "takes_over"), [(True, True), (False, False)])
async def test_when_time_leapt_or_the_store_was_away_no_lease_of_a_neighbour_is_taken_for_ended(
    sink: Sink, monkeypatch: pytest.MonkeyPatch, *, leapt: bool, takes_over: bool
) -> None:
    async with Rig(sink.port, leapt=leapt, takes_over=takes_over) as rig:
        one_mx(rig)
        with monkeypatch.context() as neighbour:
            theirs = Lease(WorkerId("node/boot/1"), now() - timedelta(minutes=1))
            neighbour.setattr(rig.scheduler, "lease", lambda *_: theirs)
            neighbour.setattr(rig.scheduler, "take", lambda *_: None)
            (held,) = await rig.submit("a@y.example")
        (due,) = await rig.submit("b@y.example", hand_over=False)
        await rig.until_state([due], DELIVERED)
        assert rig.row(held).state is DeliveryState.LEASED
        rig.leapt, rig.takes_over = False, True
        rig.scheduler.look()
        await rig.until_state([held], DELIVERED)


async def test_what_is_delivered_is_written_before_its_ended_lease_is_taken(sink: Sink) -> None:
    """The store is away for longer than a lease; when it is back, all ask it at once."""
    async with Rig(sink.port) as rig:
        one_mx(rig)
        sink.go.clear()
        (way,) = await rig.submit("b@y.example")
        await sink.until(lambda: sink.sessions == 1)
        rig.store.away = True
        sink.go.set()
        await sink.until_messages(1)
        async with asyncio.timeout(30):
            while not rig.settler.is_kept_waiting:
                await asyncio.sleep(0.01)
        fence, _ = rig.store.tables.leases[way]
        rig.store.tables.leases[way] = (fence, now() - timedelta(seconds=1))
        rig.scheduler.look()
        rig.store.away = False
        await rig.until_state([way], DELIVERED)
        assert not rig.settler.is_kept_waiting
        assert rig.row(way).leases == 1
        assert len(sink.messages) == 1


async def test_outcomes_wait_for_a_store_that_is_away(sink: Sink) -> None:
    async with Rig(sink.port) as rig:
        one_mx(rig)
        sink.go.clear()
        (one,) = await rig.submit("b@y.example")
        await sink.until(lambda: sink.sessions == 1)
        rig.store.away = True
        sink.go.set()
        await sink.until_messages(1)
        rig.store.away = False
        await rig.until_state([one], DELIVERED)
        assert len(sink.messages) == 1


async def test_lmtp_answers_for_each_recipient() -> None:
    async with Sink({"DOT": ["250 stored", "450 4.2.2 full"]}, lmtp=True) as sink:
        local = {"local.test": ViaLmtp("127.0.0.1", sink.port)}
        async with Rig(routes=routing(local)) as rig:
            ids = await rig.submit("a@local.test", "b@local.test")
            await rig.until_state(ids, DELIVERED)
            assert sink.commands[0][0] == "LHLO relay.test"
            assert [m.forward_paths for m in sink.messages] == [["a@local.test"], ["b@local.test"]]
            assert [rig.row(i).attempts for i in ids] == [1, 2]


async def test_capture_and_discard_end_where_they_are() -> None:
    routes = [("captured.example", ViaCapture()), ("*", ViaDiscard())]
    async with Rig(routes=routing(routes=routes)) as rig:
        captured, gone = await rig.until_state(
            await rig.submit("a@captured.example", "b@gone.example")
        )
        assert captured.state is DeliveryState.CAPTURED
        assert gone.last_outcome is not None
        assert gone.last_outcome.kind is OutcomeKind.DISCARDED
        assert rig.store.kinds() == [EventKind.CAPTURED, EventKind.DISCARDED]


async def test_maildir_gets_return_path_and_unix_line_ends(tmp_path) -> None:
    local = {"local.test": ViaMaildir(str(tmp_path / "mail"))}
    async with Rig(routes=routing(local, directory=str(tmp_path))) as rig:
        await rig.until_state(
            await rig.submit("Alice@local.test", "postmaster@local.test"), DELIVERED
        )
    (found,) = (tmp_path / "mail" / "alice" / "new").iterdir()
    assert found.read_bytes() == (
        b"Return-Path: <a@x.example>\nDelivered-To: Alice@local.test\n"
        + CONTENT.replace(b"\r\n", b"\n")
    )
    assert len(list((tmp_path / "postmaster" / "new").iterdir())) == 1
    assert list((tmp_path / "mail" / "alice" / "tmp").iterdir()) == []


async def test_no_maildir_while_neighbours_may_have_taken_over(tmp_path) -> None:
    local = {"local.test": ViaMaildir(str(tmp_path / "mail"))}
    async with Rig(routes=routing(local, directory=str(tmp_path)), heard=False) as rig:
        (one,) = await rig.submit("alice@local.test")
        await rig.store.until(lambda: EventKind.DEFERRED in rig.store.kinds())
        assert not (tmp_path / "mail").exists()
        rig.heard = True
        await rig.until_state([one], DELIVERED)
    assert len(list((tmp_path / "mail" / "alice" / "new").iterdir())) == 1


async def test_no_maildir_once_a_lease_may_have_ended(tmp_path) -> None:
    local = {"local.test": ViaMaildir(str(tmp_path / "mail"))}
    bounds = Bounds(look=0.02, written_within=120.0, renew_after=240.0)
    async with Rig(routes=routing(local, directory=str(tmp_path)), bounds=bounds) as rig:
        await rig.submit("alice@local.test")
        await rig.store.until(lambda: EventKind.DEFERRED in rig.store.kinds())
        assert not (tmp_path / "mail").exists()


async def test_a_given_next_hop_is_not_looked_up_as_mx(sink: Sink) -> None:
    routes = [("*", ViaSmtp("127.0.0.1", sink.port))]
    async with Rig(routes=routing(routes=routes)) as rig:
        await rig.until_state(await rig.submit("b@anywhere.example"), DELIVERED)
        assert rig.dns.count == 0


async def test_what_a_slow_site_holds_too_much_of_is_given_back(sink: Sink) -> None:
    sink.go.clear()
    bounds = Bounds(held=120, connections_per_site=1, claim=1, fairness=0.05, look=0.02)
    async with Rig(sink.port, bounds=bounds) as rig:
        for n in range(120):  # many destinations, one site
            rig.mx(f"y{n}.example", (10, "mx.y.example", "127.0.0.1"))
        async with Sink(host="127.0.0.2", port=sink.port) as quick:
            rig.mx("z.example", (10, "mx.z.example", "127.0.0.2"))
            for n in range(120):
                await rig.submit(f"r@y{n}.example")
            await rig.until_state(await rig.submit("b@z.example"), DELIVERED)
            assert len(quick.messages) == 1
        waiting = [d for d in rig.store.tables.delivery_rows.values() if d.state is DUE]
        assert waiting[0].reason == "waits for its turn at mx.y.example"
        assert {d.attempts for d in waiting} == {0}
        await rig.scheduler.stop(0.05)


async def test_a_burst_shares_its_writes(sink: Sink) -> None:
    async with Rig(sink.port, bounds=replace(Bounds(), look=0.02)) as rig:
        one_mx(rig)
        sent = await asyncio.gather(*(rig.submit(f"r{n}@y.example") for n in range(200)))
        await rig.until_state([i for ids in sent for i in ids], DELIVERED)
        calls = [name for name, _ in rig.store.tables.calls]
        assert calls.count("begin_attempts") < 100
        assert calls.count("settle") < 100
        assert len(sink.messages) == 200
