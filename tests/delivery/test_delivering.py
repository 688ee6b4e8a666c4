"""Mail goes out over real sockets: sessions and transactions."""

from gatepost.delivery.bounds import Bounds
from gatepost.model.delivery import DeliveryState
from gatepost.model.event import EventKind
from gatepost.model.settings import RetrySettings
from tests.delivery.rig import CONTENT, Rig, one_mx
from tests.sink import DROP, Sink

DELIVERED = DeliveryState.DELIVERED


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
