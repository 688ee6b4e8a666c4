"""Source addresses as an operator sees them, and why mail waits for them."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gatepost.model.delivery import DeliveryState
from gatepost.model.event import EventKind
from gatepost.model.ids import WorkerId
from gatepost.model.source import Source
from gatepost.model.wrong import WrongValueError
from gatepost.net.clock import now
from gatepost.operate import egress
from gatepost.operate.accounts import By
from gatepost.operate.check_egress import waiting_findings
from gatepost.operate.egress import EgressState, Named
from gatepost.operate.nodes import nodes
from gatepost.operate.waiting import with_reasons
from gatepost.store.presences import Announced, Announcement
from gatepost.store.queue_view import QueueRow
from tests.memory_store import MemoryStore
from tests.store.makers import delivery, submission

ONE = Source("one.example", "192.0.2.1", "2001:db8::1")
NEWS = Source("news.example", "192.0.2.2", None, ("news",))
MORE = Source("more.example", "192.0.2.3", None, ("news", "default"))
OURS = Named("a", (ONE, NEWS))
BY = By(now(), "ada")
SENDS, PAUSED, ABSENT, DOWN = EgressState


async def announce(store: MemoryStore, node: str, *sources: Announced) -> None:
    said = Announcement(WorkerId(f"{node}/0/1.1/"), node, f"home {node}", "1", (), now(), sources)
    await store.write(lambda t: t.beat(said))


async def shown(store: MemoryStore, ours: Named = OURS) -> dict[str, EgressState]:
    return {f"{r.address} {r.node}": r.state for r in await egress.listing(store, ours)}


async def test_what_is_named_and_what_is_announced_are_listed() -> None:
    store = MemoryStore()
    assert await shown(store) == {
        "192.0.2.1 a": DOWN, "192.0.2.2 a": DOWN, "2001:db8::1 a": DOWN,
    }  # fmt: skip
    await announce(store, "a", Announced(ONE, ("2001:db8::1",)), Announced(NEWS))
    await announce(store, "b", Announced(MORE))
    await egress.pause(store, "192.0.2.2", "listed", BY)
    await egress.pause(store, "198.51.100.9", "", BY)
    assert await shown(store) == {
        "192.0.2.1 a": SENDS, "192.0.2.2 a": PAUSED, "192.0.2.3 b": SENDS,
        "198.51.100.9 ": PAUSED, "2001:db8::1 a": ABSENT,
    }  # fmt: skip
    rows = {r.address: egress.egress_json(r) for r in await egress.listing(store, OURS)}
    assert rows["192.0.2.2"] == {
        "address": "192.0.2.2", "name": "news.example", "pools": ["news"], "node": "a",
        "state": "paused", "paused_at": rows["192.0.2.2"]["paused_at"], "paused_by": "ada",
        "reason": "listed", "twins": [],
    }  # fmt: skip
    assert rows["192.0.2.1"]["paused_at"] is None


async def test_a_lost_node_s_addresses_are_not_there() -> None:
    store = MemoryStore()
    await announce(store, "b", Announced(MORE))
    await store.write(lambda t: t.bury(timedelta(0)))
    assert await shown(store, Named("a", ())) == {}


async def test_pausing_says_what_else_sends_and_is_in_the_journal() -> None:
    store = MemoryStore()
    await announce(store, "a", Announced(NEWS))
    await announce(store, "b", Announced(MORE))
    done = await egress.pause(store, " 192.0.2.3", "listed", BY)
    assert egress.done_json(done) == {
        "address": "192.0.2.3", "known": True, "changed": True,
        "pools": {"default": [], "news": ["192.0.2.2"]},
    }  # fmt: skip
    done = await egress.pause(store, "192.0.2.2", "", BY)
    assert [left.addresses for left in done.pools] == [()]
    assert (await egress.resume(store, "192.0.2.3", BY)).changed
    assert not (await egress.resume(store, "192.0.2.3", BY)).changed
    assert not (await egress.pause(store, "2001:DB8::99", "", BY)).known
    assert [p.address for p in store.tables.pauses()] == ["192.0.2.2", "2001:db8::99"]
    kinds = [EventKind.EGRESS_PAUSED, EventKind.EGRESS_PAUSED, EventKind.EGRESS_RESUMED]
    assert store.kinds() == [*kinds, EventKind.EGRESS_PAUSED]
    assert store.tables.event_rows[0].facts == {
        "source": "192.0.2.3", "by": "ada", "reason": "listed",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "mail.example", "192.0.2.0/24", "192.0.2.1:25"])
async def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(WrongValueError, match="is no IP address"):
        await egress.pause(MemoryStore(), text, "", BY)


async def test_an_address_at_two_machines_is_told() -> None:
    store = MemoryStore()
    await announce(store, "a", Announced(ONE), Announced(NEWS))
    await announce(store, "b", Announced(replace(ONE, name="x.example"), ("2001:db8::1",)))
    rows = await egress.listing(store, OURS)
    assert {(r.address, r.node): r.twins for r in rows if r.twins} == {
        ("192.0.2.1", "a"): ("b",), ("192.0.2.1", "b"): ("a",),
    }  # fmt: skip
    listed = await store.read(lambda reading: nodes(reading.presences(), {}, reading.time()))
    assert {row.name: row.shared for row in listed} == {"a": ("192.0.2.1",), "b": ("192.0.2.1",)}
    found = await store.read(lambda reading: list(waiting_findings(reading)))
    assert [(f.subject, "a and b both have it" in f.what) for f in found] == [
        ("egress 192.0.2.1", True)
    ]


async def test_why_mail_waits_is_said_when_somebody_asks() -> None:
    store = MemoryStore()
    message = submission()
    ways = [
        delivery(message, f"{pool or 'any'}@x.example", pool=pool) for pool in ("", "news", "gone")
    ]
    finished = replace(ways[2], state=DeliveryState.DELIVERED, reason="as it was")
    await store.write(lambda t: t.add_deliveries(message, ways))

    async def reasons() -> list[str]:
        rows = [QueueRow(way, message) for way in (*ways, finished)]
        found = await store.read(lambda reading: with_reasons(reading, rows))
        return [row.delivery.reason for row in found]

    assert await reasons() == ["", "", "", "as it was"], "nothing runs: that is another matter"
    await announce(store, "a", Announced(NEWS))
    gone = "no node that runs has a source address of pool gone"
    assert await reasons() == ["", "", gone, "as it was"]
    await egress.pause(store, "192.0.2.2", "listed", BY)
    paused = "no source address of pool news may be used: 192.0.2.2 is paused (listed)"
    assert await reasons() == ["", paused, gone, "as it was"]
    found = await store.read(lambda reading: list(waiting_findings(reading)))
    assert [f.subject for f in found] == ["egress 192.0.2.2", "pool gone", "pool news"]
    assert "listed" in found[0].what
    assert found[0].mend == "gatepost egress resume 192.0.2.2"
    assert found[2].what == f"mail waits: {paused}"
