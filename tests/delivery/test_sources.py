"""Deliveries leave from chosen source addresses: over loopback, which has many."""

import asyncio
from datetime import timedelta

import pytest

from gatepost.delivery.bounds import Bounds
from gatepost.delivery.lookup import Ourselves
from gatepost.delivery.strays import Strays
from gatepost.model.delivery import DeliveryState
from gatepost.model.event import EventKind
from gatepost.model.ids import WorkerId
from gatepost.model.route import ViaLmtp, ViaSmtp
from gatepost.model.source import Source
from gatepost.net.address import SocketAddress
from gatepost.net.clock import now
from gatepost.store.pauses import Pause
from gatepost.store.presences import Announced, Announcement
from tests.delivery.rig import Rig, routing
from tests.sink import HANG, Message, Sink

TWO = Source("two.example", "127.0.0.2")
THREE = Source("three.example", "127.0.0.3")
BULK = Source("bulk.example", "127.0.0.4", None, ("bulk",))
SIX = Source("six.example", None, "::1", ("six",))
NOWHERE = Source("nowhere.example", "192.0.2.77", None, ("bulk",))
THREE_BULK = Source("three.example", "127.0.0.3", None, ("bulk",))
DELIVERED, DUE = DeliveryState.DELIVERED, DeliveryState.DUE


def to(sink: Sink, pool: str = "", **more):
    via = ViaSmtp(sink.host, sink.port, pool=pool)
    return {"routes": routing(routes=[("*", via)]), **more}


async def pause(rig: Rig, *addresses: str) -> None:
    for address in addresses:
        await rig.store.write(lambda t, a=address: t.put_pause(Pause(a, now(), "ops", "listed")))
    await rig.sources.refresh()


async def resume(rig: Rig, address: str) -> None:
    await rig.store.write(lambda t: t.remove_pause(address))
    await rig.sources.refresh()


def calls(sink: Sink) -> set[tuple[str, str]]:
    """Return from where sessions came, and the name in EHLO."""
    return {(sink.peers[n], lines[0]) for n, lines in sink.commands.items() if lines}


def is_from(sink: Sink, message: Message, address: str) -> bool:
    return sink.peers[message.session] == address


@pytest.mark.parametrize(
    ("pool", "routed", "called"),
    [
        ("", "", ("127.0.0.2", "EHLO two.example")),
        ("default", "", ("127.0.0.2", "EHLO two.example")),
        ("bulk", "", ("127.0.0.4", "EHLO bulk.example")),
        ("", "bulk", ("127.0.0.4", "EHLO bulk.example")),
        ("bulk", "system", ("127.0.0.1", "EHLO relay.test")),
    ],
)
async def test_address_and_name_are_those_of_the_pool(pool, routed, called) -> None:
    async with Sink() as sink, Rig(**to(sink, routed), egress=(TWO, BULK)) as rig:
        ids = await rig.submit("bob@y.example", pool=pool)
        await rig.until_state(ids, DELIVERED)
        assert calls(sink) == {called}
        event = await rig.until_event(EventKind.DELIVERED)
        assert event.facts.get("source", "") == ("" if routed == "system" else called[0])


async def test_without_sources_all_is_as_ever() -> None:
    async with Sink() as sink, Rig(**to(sink)) as rig:
        await rig.until_state(await rig.submit("bob@y.example"), DELIVERED)
        assert calls(sink) == {("127.0.0.1", "EHLO relay.test")}
        assert "source" not in (await rig.until_event(EventKind.DELIVERED)).facts


async def test_a_pool_spreads_recipients_and_keeps_each_at_its_address() -> None:
    async with Sink() as sink, Rig(**to(sink), egress=(TWO, THREE)) as rig:
        paths = [f"user{n}@y.example" for n in range(40)]
        for path in paths * 2:
            await rig.submit(path)
        messages = await sink.until_messages(80)
        by_path = {path: set() for path in paths}
        for message in messages:
            for path in message.forward_paths:
                by_path[path].add(sink.peers[message.session])
        assert all(len(peers) == 1 for peers in by_path.values())
        assert {peer for peers in by_path.values() for peer in peers} == {"127.0.0.2", "127.0.0.3"}


async def test_connections_are_kept_by_source_and_bounded_for_each() -> None:
    bounds = Bounds(look=0.02, dial=5.0, connections_per_site=2)
    async with Sink() as sink, Rig(**to(sink), egress=(TWO, THREE), bounds=bounds) as rig:
        sink.go.clear()
        for n in range(60):
            await rig.submit(f"user{n}@y.example")
        await sink.until(lambda: sink.open_sessions == 4)
        sink.go.set()
        await sink.until_messages(60)
        assert sink.most_sessions == 4
        peers = list(sink.peers.values())
        assert sorted(peers) == ["127.0.0.2"] * 2 + ["127.0.0.3"] * 2


async def test_the_version_of_ip_is_the_destination_s() -> None:
    both = Source("both.example", "127.0.0.2", "::1")
    async with Sink(host="::1") as sink, Rig(**to(sink), egress=(TWO, both)) as rig:
        await rig.until_state(await rig.submit("bob@y.example"), DELIVERED)
        assert calls(sink) == {("::1", "EHLO both.example")}


async def test_no_version_of_ip_in_common_is_said() -> None:
    async with Sink(host="::1") as sink, Rig(**to(sink), egress=(TWO,)) as rig:
        ids = await rig.submit("bob@y.example")
        await rig.until_event(EventKind.DEFERRED)
        (row,) = [rig.row(i) for i in ids]
        assert "no address of a version of IP that 127.0.0.2 could call" in row.reason


async def test_a_paused_address_sends_nothing_new_and_others_take_its_mail() -> None:
    async with Sink() as sink, Rig(**to(sink), egress=(TWO, THREE)) as rig:
        for n in range(20):
            await rig.submit(f"user{n}@y.example")
        await sink.until_messages(20)
        await pause(rig, "127.0.0.2")
        for n in range(20):
            await rig.submit(f"user{n}@y.example")
        messages = await sink.until_messages(40)
        assert {sink.peers[m.session] for m in messages[20:]} == {"127.0.0.3"}
        ours = [n for n, peer in sink.peers.items() if peer == "127.0.0.2"]
        await sink.until(lambda: all("QUIT" in sink.commands[n] for n in ours))


async def test_what_waits_in_hand_goes_over_to_another_address_when_one_is_paused() -> None:
    bounds = Bounds(look=0.02, dial=5.0, connections_per_site=1, claim=2)
    async with Sink() as sink, Rig(**to(sink), egress=(TWO, THREE), bounds=bounds) as rig:
        sink.go.clear()
        ids = [i for n in range(30) for i in await rig.submit(f"user{n}@y.example")]
        await sink.until(lambda: sink.open_sessions == 2)
        await pause(rig, "127.0.0.2")
        sink.go.set()
        rows = await rig.until_state(ids, DELIVERED)
        assert {row.attempts for row in rows} == {1}
        from_two = [m for m in sink.messages if sink.peers[m.session] == "127.0.0.2"]
        assert len(from_two) <= 1, "the transaction under way, and no more"
        assert len(sink.messages) == 30


async def test_a_pool_without_an_address_left_waits_and_says_so() -> None:
    async with Sink() as sink, Rig(**to(sink), egress=(TWO, BULK)) as rig:
        await pause(rig, "127.0.0.4")
        ids = await rig.submit("bob@y.example", pool="bulk")
        other = await rig.submit("carol@y.example")
        await rig.until_state(other, DELIVERED)
        assert rig.row(ids[0]).state is DUE
        assert rig.row(ids[0]).leases == 0, "not ours to lease"
        await resume(rig, "127.0.0.4")
        await rig.until_state(ids, DELIVERED)
        assert rig.row(ids[0]).attempts == 1


async def test_what_is_in_hand_when_the_last_address_is_paused_is_given_back_unattempted() -> None:
    bounds = Bounds(look=0.02, dial=5.0, connections_per_site=1)
    async with Sink() as sink, Rig(**to(sink), egress=(BULK,), bounds=bounds) as rig:
        sink.go.clear()
        first = await rig.submit("first@y.example", pool="bulk")
        await sink.until(lambda: sink.open_sessions == 1)
        ids = [i for n in range(5) for i in await rig.submit(f"user{n}@y.example", pool="bulk")]
        await pause(rig, "127.0.0.4")
        rows = await rig.until_state(ids, DUE)
        assert {row.attempts for row in rows} == {0}
        why = "no source address of pool bulk may be used: 127.0.0.4 is paused (listed)"
        assert {row.reason for row in rows} == {why}
        sink.go.set()
        await rig.until_state(first, DELIVERED, DUE)
        await resume(rig, "127.0.0.4")
        await rig.until_state([*first, *ids], DELIVERED)


async def test_an_address_that_the_machine_lacks_costs_no_attempt() -> None:
    async with Sink() as sink, Rig(**to(sink), egress=(NOWHERE,)) as rig:
        ids = await rig.submit("bob@y.example", pool="bulk")
        (row,) = await rig.until_state(ids, DUE)
        assert row.attempts == 0
        assert row.reason == (
            "no source address of pool bulk may be used:"
            " 192.0.2.77 is not an address of this machine now"
        )
        assert not rig.sources.serves({"bulk"})
        assert not [e for e in rig.store.tables.event_rows if e.kind is EventKind.DEFERRED]


async def test_others_of_the_pool_take_over_from_an_address_that_is_missing() -> None:
    async with Sink() as sink, Rig(**to(sink), egress=(NOWHERE, BULK)) as rig:
        ids = [i for n in range(20) for i in await rig.submit(f"u{n}@y.example", pool="bulk")]
        rows = await rig.until_state(ids, DELIVERED)
        assert {row.attempts for row in rows} == {1}
        assert {sink.peers[m.session] for m in sink.messages} == {"127.0.0.4"}


async def test_a_connection_from_an_address_that_went_is_not_waited_for() -> None:
    async with Sink() as sink, Rig(**to(sink), egress=(BULK, THREE_BULK)) as rig:
        paths = [f"user{n}@y.example" for n in range(10)]
        for path in paths:
            await rig.submit(path, pool="bulk")
        await sink.until_messages(10)
        from_bulk = {m.forward_paths[0] for m in sink.messages if is_from(sink, m, "127.0.0.4")}
        sink.go.clear()  # as when no packet comes back any more
        ids = [i for path in from_bulk for i in await rig.submit(path, pool="bulk")]
        count = sum(map(len, sink.commands.values()))
        await sink.until(lambda: sum(map(len, sink.commands.values())) > count)
        rig.absent.add("127.0.0.4")
        await rig.sources.look()
        sink.go.set()
        rows = await rig.until_state(ids, DELIVERED)
        assert {row.attempts for row in rows} == {1}
        assert all(is_from(sink, m, "127.0.0.3") for m in sink.messages[10:])


async def test_a_default_pool_that_is_paused_holds_up_what_is_in_no_pool_for_a_while() -> None:
    """Accepted by a node without addresses, and leased by one with: any node may send it."""
    async with Sink() as sink, Rig(**to(sink), egress=(TWO,)) as rig:
        await pause(rig, "127.0.0.2")
        (identifier,) = await rig.submit("bob@y.example")
        (row,) = await rig.until_state([identifier], DUE)
        assert "127.0.0.2 is paused" in row.reason
        assert timedelta(seconds=50) < row.next_attempt_at - now() < timedelta(seconds=61)
        assert sink.sessions == 0


async def test_its_sender_hears_that_it_waits_and_in_the_end_that_it_came_to_nothing() -> None:
    """Accepted before its route named a pool, and by now nothing of that may be used."""
    async with Sink() as sink, Rig(**to(sink, "bulk"), egress=(BULK,)) as rig:
        await pause(rig, "127.0.0.4")
        late, over = [
            await rig.submit("bob@y.example", hand_over=False, age=timedelta(days=days))
            for days in (2, 6)
        ]
        young = await rig.submit("carol@y.example", hand_over=False)
        rig.scheduler.look()
        await rig.until_state(over, DeliveryState.EXPIRED)
        async with asyncio.timeout(30):
            while not (rig.row(late[0]).warned and "may be used" in rig.row(young[0]).reason):
                await asyncio.sleep(0.01)
        assert not rig.row(young[0]).warned
        assert {rig.row(one[0]).attempts for one in (late, young)} == {0}


async def test_local_delivery_asks_for_no_source() -> None:
    async with Sink(lmtp=True) as sink:
        routes = routing({"y.example": ViaLmtp(sink.host, sink.port)})
        async with Rig(routes=routes, egress=(TWO,)) as rig:
            await pause(rig, "127.0.0.2")
            await rig.until_state(await rig.submit("bob@y.example"), DELIVERED)
            assert set(sink.peers.values()) == {"127.0.0.1"}


async def test_ending_a_worker_gives_a_pool_s_mail_back() -> None:
    async with Sink({"GREETING": [HANG] * 9}) as sink, Rig(**to(sink), egress=(BULK,)) as rig:
        ids = await rig.submit("a@y.example", "b@y.example", pool="bulk")
        await sink.until(lambda: sink.sessions > 0)
        await rig.scheduler.stop(0.1)
        assert {rig.row(i).state for i in ids} == {DUE}


async def test_a_worker_that_stops_calls_from_no_other_source() -> None:
    async with Sink() as sink, Rig(**to(sink), egress=(BULK, THREE_BULK)) as rig:
        sink.go.clear()
        ids = await rig.submit("a@y.example", pool="bulk")
        await sink.until(lambda: sink.sessions == 1)
        stopping = asyncio.create_task(rig.scheduler.stop(1.0))
        await asyncio.sleep(0)
        rig.sources.missing(sink.peers[0])
        await stopping
        assert sink.sessions == 1
        assert rig.row(ids[0]).state is DUE


def test_a_machine_that_calls_itself_is_recognised_from_another_address() -> None:
    us = Ourselves.listening_on("relay.test", [SocketAddress("0.0.0.0", 2525)])
    peer = SocketAddress("127.0.0.1", 2525)
    assert us.answers(SocketAddress("127.0.0.2", 40000), peer)
    assert not us.answers(SocketAddress("127.0.0.2", 40000), SocketAddress("127.0.0.1", 2526))
    assert not us.answers(SocketAddress("127.0.0.2", 40000), SocketAddress("192.0.2.77", 2525))


# -- what no node serves


def strays(rig: Rig, warn: timedelta) -> Strays:
    return Strays(rig.store, WorkerId("node/boot/0"), rig.settler, warn, now)


async def announce(rig: Rig, *sources: Announced) -> None:
    said = Announcement(WorkerId("b/0/1.1/"), "b", "home", "1", (), now(), sources)
    await rig.store.write(lambda t: t.beat(said))


async def test_mail_that_no_node_can_send_expires_and_is_returned() -> None:
    async with Sink() as sink, Rig(**to(sink), egress=(TWO,)) as rig:
        await announce(rig, Announced(TWO))
        (kept,) = await rig.submit("kept@y.example", pool="gone")
        (late,) = await rig.submit(
            "late@y.example", pool="gone", age=timedelta(days=6), give_up=timedelta(days=5)
        )
        await strays(rig, timedelta(days=9)).look()
        (row,) = await rig.until_state([late])
        assert row.state is DeliveryState.EXPIRED
        assert row.last_outcome.text == "none of our source addresses may be used for it now"
        async with asyncio.timeout(30):
            await rig.returned.wait()
        assert (rig.row(kept).state, rig.row(kept).leases) == (DUE, 0)


async def test_its_sender_hears_once_that_it_is_late() -> None:
    async with Sink() as sink, Rig(**to(sink), egress=(TWO,)) as rig:
        await announce(rig, Announced(TWO))
        (late,) = await rig.submit("late@y.example", pool="gone", age=timedelta(hours=5))
        look = strays(rig, timedelta(hours=4)).look
        await look()
        await rig.until_event(EventKind.DELAYED)
        await look()
        assert rig.store.kinds().count(EventKind.DELAYED) == 1
        assert (rig.row(late).state, rig.row(late).attempts) == (DUE, 0)


async def test_one_look_is_for_all_that_waits_however_much() -> None:
    async with Sink() as sink, Rig(**to(sink), egress=(TWO,)) as rig:
        await announce(rig, Announced(TWO))
        many = [f"u{number}@y.example" for number in range(1203)]
        await rig.submit(*many, pool="gone", age=timedelta(hours=5))
        await strays(rig, timedelta(hours=4)).look()
        await rig.until_event(EventKind.DELAYED, 1203)


async def test_a_sender_does_not_hear_why_an_address_is_paused() -> None:
    async with Sink() as sink, Rig(**to(sink), egress=(TWO,)) as rig:
        await announce(rig, Announced(BULK))
        address = BULK.addresses[0]
        pause = Pause(address, now(), "eve", "listed because of customer Initech")
        await rig.store.write(lambda t: t.put_pause(pause))
        await rig.submit("late@y.example", pool="bulk", age=timedelta(hours=5))
        await strays(rig, timedelta(hours=4)).look()
        async with asyncio.timeout(30):
            await rig.returned.wait()
        report = rig.returns[0].content
        assert b"none of our source addresses may be used" in report
        assert b"Initech" not in report
        assert address.encode() not in report


async def test_what_a_neighbour_can_send_is_no_stray() -> None:
    async with Sink() as sink, Rig(**to(sink), egress=(TWO,)) as rig:
        await announce(rig, Announced(BULK))
        (late,) = await rig.submit("late@y.example", pool="bulk", age=timedelta(days=9))
        await strays(rig, timedelta(hours=4)).look()
        assert (rig.row(late).state, rig.row(late).leases) == (DUE, 0)
        await rig.store.write(lambda t: t.leave("b/"))
        await strays(rig, timedelta(hours=4)).look()
        await rig.until_state([late], DeliveryState.EXPIRED)
