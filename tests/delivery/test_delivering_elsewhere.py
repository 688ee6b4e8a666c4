"""Mail that goes to no MX: LMTP, maildirs, capture, given next hops."""

from gatepost.delivery.bounds import Bounds
from gatepost.model.delivery import DeliveryState, OutcomeKind
from gatepost.model.event import EventKind
from gatepost.model.route import ViaCapture, ViaDiscard, ViaLmtp, ViaMaildir, ViaSmtp
from tests.delivery.rig import CONTENT, Rig, routing
from tests.sink import Sink

DELIVERED = DeliveryState.DELIVERED


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
