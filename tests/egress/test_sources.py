"""The source addresses of a worker: paused, missing, there again."""

import logging

import pytest

from gatepost.egress.sources import NoSourceError, Sources
from gatepost.model.source import Source
from gatepost.store.pauses import Pause
from gatepost.store.presences import Announced
from gatepost.store.protocols import StoreUnavailableError
from tests.memory_store import MemoryStore
from tests.store.makers import NOON

ONE = Source("one.example", "192.0.2.1", "2001:db8::1")
BULK = Source("bulk.example", "192.0.2.2", None, ("bulk",))
PEERS = ("198.51.100.1",)


class Machine:
    """Sources with a machine whose addresses a test takes and gives, and a clock."""

    def __init__(self, *sources: Source, tells: bool = False) -> None:
        self.store = MemoryStore()
        self.lacks: set[str] = set()
        self.at = 100.0
        self.changes = 0
        self.sources = Sources(
            sources,
            self.store,
            tells=tells,
            has=lambda address: address not in self.lacks,
            clock=lambda: self.at,
        )
        self.sources.on_change(self.changed)

    def changed(self) -> None:
        self.changes += 1

    async def pause(self, *addresses: str) -> None:
        for address in addresses:
            await self.store.write(lambda t, a=address: t.put_pause(Pause(a, NOON, "ops", "why")))


@pytest.mark.parametrize(
    ("sources", "pool", "chosen"),
    [
        ((), "", None),
        ((), "default", None),
        ((BULK,), "", None),
        ((BULK,), "default", None),
        ((BULK,), "bulk", BULK),
        ((ONE, BULK), "", ONE),
        ((ONE, BULK), "default", ONE),
        ((ONE, BULK), "system", None),
    ],
)
def test_what_a_pool_s_mail_leaves_from(sources, pool, chosen) -> None:
    assert Machine(*sources).sources.choose(pool, "who", PEERS) == chosen


@pytest.mark.parametrize("sources", [(), (ONE,)])
def test_a_pool_of_other_nodes_is_never_the_system_s_choice(sources) -> None:
    with pytest.raises(NoSourceError, match="no source address of pool bulk is at this node"):
        Machine(*sources).sources.choose("bulk", "who", PEERS)


async def test_a_paused_address_is_not_used_until_it_is_resumed() -> None:
    machine = Machine(ONE, BULK)
    await machine.pause("192.0.2.2", "192.0.2.1", "203.0.113.9")
    await machine.sources.refresh()
    assert machine.changes == 1
    assert machine.sources.pools == ("", "default")
    assert machine.sources.serves({"", "default"})
    assert not machine.sources.serves({"", "bulk"})
    assert machine.sources.choose("", "who", PEERS) == Source("one.example", None, "2001:db8::1")
    with pytest.raises(NoSourceError, match=r"192\.0\.2\.2 is paused \(why\)"):
        machine.sources.choose("bulk", "who", PEERS)
    await machine.sources.refresh()
    assert machine.changes == 1, "nothing new"
    await machine.store.write(lambda t: t.remove_pause("192.0.2.2"))
    await machine.sources.refresh()
    assert machine.sources.choose("bulk", "who", PEERS) == BULK


async def test_pauses_are_read_after_a_change_and_not_more_often_than_needed() -> None:
    machine = Machine(ONE)
    await machine.sources.note_version(1)
    await machine.pause(*ONE.addresses)
    await machine.sources.note_version(1)
    assert machine.sources.pools == ("", "default")
    await machine.sources.note_version(2)
    assert machine.sources.pools == ("", "default"), "too soon after the last reading"
    machine.at += 1.0
    await machine.sources.note_version(2)
    assert machine.sources.pools == ("",)


async def test_a_reading_that_failed_is_made_up_for() -> None:
    machine = Machine(ONE)
    await machine.pause(*ONE.addresses)
    machine.store.away = True
    with pytest.raises(StoreUnavailableError):
        await machine.sources.note_version(1)
    machine.store.away = False
    machine.at += 1.0
    await machine.sources.note_version(1)
    assert machine.sources.pools == ("",)


async def test_who_has_no_sources_reads_nothing() -> None:
    machine = Machine()
    machine.store.away = True
    await machine.sources.note_version(1)
    await machine.sources.refresh()
    await machine.sources.look()


async def test_an_address_that_is_missing_is_told_once_and_rests(caplog) -> None:
    caplog.set_level(logging.INFO, "gatepost")
    machine = Machine(ONE, BULK, tells=True)
    machine.lacks = {"192.0.2.2"}
    for _ in range(3):
        await machine.sources.look()
    machine.sources.missing("192.0.2.2")
    assert [r.levelname for r in caplog.records] == ["ERROR"]
    assert machine.changes == 1, "nothing is placed anew for what is known"
    assert "192.0.2.2 is not an address of this machine" in caplog.text
    assert machine.sources.announced() == (Announced(ONE), Announced(BULK, ("192.0.2.2",)))
    assert not machine.sources.serves({"bulk"})
    machine.lacks = set()
    await machine.sources.look()
    assert machine.sources.serves({"bulk"})
    assert [r.levelname for r in caplog.records] == ["ERROR", "INFO"]


async def test_what_bind_did_not_find_rests_until_the_next_look() -> None:
    machine = Machine(BULK)
    machine.sources.missing("192.0.2.2")
    assert not machine.sources.serves({"bulk"})
    await machine.sources.look()
    assert machine.sources.serves({"bulk"})


def test_only_one_worker_tells(caplog) -> None:
    machine = Machine(BULK)
    machine.sources.missing("192.0.2.2")
    assert not caplog.records


async def test_a_source_that_is_not_as_it_was_is_another() -> None:
    machine = Machine(ONE)
    whole = machine.sources.choose("", "who", PEERS)
    assert whole is not None
    assert machine.sources.may_use(whole)
    machine.sources.missing("2001:db8::1")
    assert not machine.sources.may_use(whole)
    left = machine.sources.choose("", "who", PEERS)
    assert left is not None
    assert machine.sources.may_use(left)
