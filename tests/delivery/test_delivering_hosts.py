"""To whom mail goes: MX hosts, their order, and where there are none."""

from datetime import timedelta

import pytest

from gatepost.delivery.bounds import Bounds
from gatepost.delivery.routing import Routing
from gatepost.model.delivery import DeliveryState
from gatepost.model.event import EventKind
from gatepost.model.ids import AccountName
from gatepost.model.route import TlsMode, ViaSmtp
from gatepost.model.settings import RetrySettings
from gatepost.net.address import SocketAddress
from tests.delivery.rig import Rig, one_mx, routing
from tests.sink import DROP, Sink

SHORT_REST = Bounds(look=0.02, dial=5.0, rest=0.05, longest_rest=0.05)
DELIVERED, REFUSED = DeliveryState.DELIVERED, DeliveryState.REFUSED


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


def by_route(port: int) -> Routing:
    return routing(routes=[("*", ViaSmtp("127.0.0.1", port, TlsMode.NEVER))])


@pytest.mark.rfc("5321#3.1")
@pytest.mark.parametrize(
    "script",
    [
        {"GREETING": ["554 5.3.2 being mended"]},
        {"GREETING": ["521 5.3.2 never"]},
        {"EHLO": ["550 5.1.1 who?"], "HELO": ["550 5.1.1 who?"]},
    ],
)
async def test_a_smart_host_that_grants_no_session_ends_no_message(
    script: dict[str, list[str]],
) -> None:
    lasting = {verb: replies * 99 for verb, replies in script.items()}
    async with Sink(lasting) as sink, Rig(routes=by_route(sink.port), bounds=SHORT_REST) as rig:
        sent = [(await rig.submit(f"b{n}@y{n}.example"))[0] for n in range(5)]
        told = await rig.until_event(EventKind.DEFERRED, 5)
        assert told.facts["answered"] == "session"
        sink.said.script.clear()
        await rig.until_state(sent, DELIVERED)
        assert rig.returns == []


@pytest.mark.rfc("5321#3.1")
async def test_what_is_refused_a_session_for_all_its_time_is_returned_with_the_words() -> None:
    said = ["554 5.7.1 192.0.2.1 is listed at bl.example"] * 99
    async with Sink({"GREETING": said}) as sink, Rig(sink.port, bounds=SHORT_REST) as rig:
        one_mx(rig)
        (row,) = await rig.until_state(
            await rig.submit("b@y.example", give_up=timedelta(seconds=0.5))
        )
        assert row.state is DeliveryState.EXPIRED
        await rig.until_event(EventKind.RETURNED)
        assert b"Status: 5.7.1" in rig.returns[0].content
        assert b"192.0.2.1 is listed at bl.example" in rig.returns[0].content


@pytest.mark.rfc("7504#3")
async def test_a_domain_whose_hosts_all_never_take_mail_is_told_at_once() -> None:
    never = {"GREETING": ["521 5.3.2 this host takes no mail"]}
    async with (
        Sink(never, host="127.0.0.2") as first,
        Sink(never, host="127.0.0.3", port=first.port) as second,
        Rig(first.port) as rig,
    ):
        rig.mx("y.example", (1, "a.y.example", "127.0.0.2"), (2, "b.y.example", "127.0.0.3"))
        (row,) = await rig.until_state(await rig.submit("b@y.example"))
        assert row.state is REFUSED
        assert (first.sessions, second.sessions) == (1, 1)


async def test_a_site_that_refuses_us_is_not_called_for_each_message() -> None:
    said = ["554 5.7.1 we know you"] * 99
    async with Sink({"GREETING": said}) as sink, Rig(sink.port) as rig:
        one_mx(rig)
        (first,) = await rig.submit("b@y.example")
        await rig.until_event(EventKind.DEFERRED)
        assert rig.row(first).attempts == 1
        later = [(await rig.submit(f"c{n}@y.example"))[0] for n in range(5)]
        await rig.until_event(EventKind.DEFERRED, 6)
        assert sink.sessions == 1
        row = rig.row(later[0])
        assert row.attempts == 0  # what is not called for is no attempt
        assert row.reason.endswith("for a while: 554 5.7.1 we know you")


@pytest.mark.rfc("5321#3.8")
@pytest.mark.parametrize("said", ["421 4.7.0 try again later", DROP])
async def test_a_host_that_hangs_up_whatever_is_sent_is_not_called_for_each_message(
    said: str,
) -> None:
    retry = RetrySettings(first=timedelta(minutes=5), longest=timedelta(hours=1))
    async with Sink({"MAIL": [said] * 99}) as sink, Rig(sink.port, retry=retry) as rig:
        one_mx(rig)
        sink.go.clear()
        sent = [(await rig.submit(f"b{n}@y.example"))[0] for n in range(60)]
        sink.go.set()
        await rig.until_event(EventKind.DEFERRED, 60)
        assert sink.sessions <= 30  # some of ten connections at once had begun
        assert {rig.row(one).attempts for one in sent} == {1}
        sink.said.script.clear()
        (one,) = await rig.submit("c@y.example")
        await rig.until_state([one], DELIVERED)


async def test_a_host_that_hangs_up_on_one_account_takes_mail_of_another_all_the_same() -> None:
    retry = RetrySettings(first=timedelta(minutes=5), longest=timedelta(hours=1))
    refused = {f"b{n}@y.example": "421 4.7.0 not from you" for n in range(30)}
    bounds = Bounds(look=0.02, dial=5.0, connections_per_site=1, claim=2)
    async with Sink(refuse=refused) as sink, Rig(sink.port, retry=retry, bounds=bounds) as rig:
        one_mx(rig)
        sink.go.clear()
        for path in refused:
            await rig.submit(path, account=AccountName("noisy"))
        (other,) = await rig.submit("c@y.example", account=AccountName("quiet"))
        sink.go.set()
        await rig.until_state([other], DELIVERED)


@pytest.mark.rfc("5321#5.1")
async def test_nobody_chooses_in_which_order_others_hosts_are_called() -> None:
    async with (
        Sink(host="127.0.0.2") as first,
        Sink(host="127.0.0.3", port=first.port) as second,
        Rig(first.port) as rig,
    ):
        hosts = ("mx.y.example", "127.0.0.2"), ("backup.y.example", "127.0.0.3")
        rig.mx("y.example", (10, *hosts[0]), (20, *hosts[1]))
        rig.mx("z.example", (10, *hosts[1]), (20, *hosts[0]))
        for path in ("b@z.example", "b@y.example"):
            await rig.until_state(await rig.submit(path), DELIVERED)
        assert [m.forward_paths for m in first.messages] == [["b@y.example"]]
        assert [m.forward_paths for m in second.messages] == [["b@z.example"]]


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
async def test_a_route_that_leads_to_ourselves_ends_no_message(sink: Sink, ours: str) -> None:
    listeners = (SocketAddress(ours, sink.port),)
    async with Rig(routes=by_route(sink.port), listeners=listeners) as rig:
        await rig.submit("b@y.example")
        told = await rig.until_event(EventKind.DEFERRED)
        assert "mail loop" in str(told.facts["text"])
        assert (rig.returns, sink.messages) == ([], [])


@pytest.mark.parametrize("ours", ["127.0.0.1", "0.0.0.0"])
async def test_our_own_listener_is_no_next_hop(sink: Sink, ours: str) -> None:
    async with Rig(sink.port, listeners=(SocketAddress(ours, sink.port),)) as rig:
        one_mx(rig)
        (row,) = await rig.until_state(await rig.submit("b@y.example"))
        assert row.last_outcome is not None
        assert row.last_outcome.status == "5.4.6"
        assert sink.messages == []
