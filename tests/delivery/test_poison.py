"""A message that makes us stumble is deferred like any other: it holds nothing for ever."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from gatepost.delivery import transfer
from gatepost.delivery.attempts import Attempts
from gatepost.delivery.bounds import Bounds
from gatepost.delivery.link import Link
from gatepost.delivery.lookup import Lookup
from gatepost.model.delivery import DeliveryState
from gatepost.model.ids import DeliveryId
from gatepost.model.submission import Submission
from gatepost.net.clock import now
from gatepost.store.leases import Held
from gatepost.wire.smtp.client_events import Envelope
from gatepost.wire.smtp.extensions import read_offers
from tests.delivery.rig import Rig
from tests.sink import Sink


@pytest.mark.parametrize(
    "words", ["SIZE \u00b2", "SIZE \u0663", "SIZE " + "9" * 4090, "SIZE", "SIZE x"]
)
def test_a_size_that_is_no_number_is_none(words: str) -> None:
    assert read_offers([words]).size == 0


def test_a_server_does_not_offer_us_thousands_of_mechanisms() -> None:
    names = " ".join(f"M{number}" for number in range(1000))
    offers = read_offers([f"AUTH {'X' * 21} PLAIN LOGIN plain", f"AUTH {names}"])
    assert offers.mechanisms[:3] == ("PLAIN", "LOGIN", "M0")
    assert len(offers.mechanisms) == 50


@pytest.mark.parametrize("where", [(Link, "begin"), (Link, "verdicts"), (Lookup, "find")])
async def test_a_fault_of_ours_defers_and_lets_go(
    sink: Sink, monkeypatch: pytest.MonkeyPatch, where: tuple[type, str]
) -> None:
    kind, name = where
    works = getattr(kind, name)

    async def fails(self: object, *arguments: object, **more: object) -> object:
        if kind is Link and False in arguments:
            return await works(self, *arguments, **more)
        raise ValueError("poison")

    async with Rig(sink.port) as rig:
        rig.mx("y.example", (10, "mx.y.example", "127.0.0.1"))
        monkeypatch.setattr(kind, name, fails)
        (one,) = await rig.submit("b@y.example")
        async with asyncio.timeout(30):
            while rig.row(one).last_outcome is None:
                await asyncio.sleep(0.02)
        assert rig.row(one).attempts >= 1
        monkeypatch.undo()
        await rig.until_state([one], DeliveryState.DELIVERED)
        assert rig.scheduler.held == 0


async def test_an_attempt_that_cannot_be_counted_is_put_off(
    sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> object:
        raise ValueError("poison")

    async with Rig(sink.port) as rig:
        rig.dns.for_name("y.example").rcode = "SERVFAIL"
        monkeypatch.setattr(Attempts, "begin", fails)
        (one,) = await rig.submit("b@y.example")
        await rig.store.until(lambda: rig.row(one).state is DeliveryState.DUE)
        assert rig.scheduler.held == 0
        assert rig.row(one).next_attempt_at > now()
        assert rig.row(one).reason


async def test_what_was_delivered_before_a_fault_of_ours_stays_delivered(
    sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    works, carried = Link.verdicts, 0

    async def fails_at_the_second(self: Link, *arguments: object) -> object:
        nonlocal carried
        carried += 1
        if carried == 2:
            raise ValueError("poison")
        return await works(self, *arguments)

    async with Rig(sink.port, bounds=Bounds(look=0.02, connections_per_site=1)) as rig:
        rig.mx("y.example", (10, "mx.y.example", "127.0.0.1"))
        monkeypatch.setattr(Link, "verdicts", fails_at_the_second)
        ids = [*await rig.submit("a@y.example"), *await rig.submit("b@y.example")]
        await rig.until_state(ids, DeliveryState.DELIVERED)
        assert len(sink.messages) == 2


@pytest.mark.parametrize("where", ["next_due_at", "lease_due", "renew"])
async def test_a_fault_of_ours_in_the_store_does_not_end_the_looking_for_due_mail(
    sink: Sink, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr("gatepost.delivery.due_mail._FAULT_PAUSE", 0.02)
    bounds = Bounds(look=0.02, look_anyway=0.02, dial=5.0, renew_after=0.04)
    async with Rig(sink.port, bounds=bounds) as rig:
        rig.mx("y.example", (10, "mx.y.example", "127.0.0.1"))
        works, faults = getattr(rig.store.tables, where), [ValueError("poison")]

        def stumble(*arguments: object, **more: object) -> object:
            if faults:
                raise faults.pop()
            return works(*arguments, **more)

        monkeypatch.setattr(rig.store.tables, where, stumble)
        sink.go.clear()
        await rig.submit("a@y.example")  # something to renew
        await rig.submit("b@y.example", hand_over=False)
        async with asyncio.timeout(30):
            while faults:
                await asyncio.sleep(0.02)
        sink.go.set()
        await sink.until_messages(2)


UNSAYABLE = "a@[IPv6:fe80::1%x>\r\nRCPT TO:<victim@x.example]"


@pytest.mark.parametrize("which", ["reverse_path", "forward_path"])
async def test_an_address_that_cannot_be_said_is_refused_alone(sink: Sink, which: str) -> None:
    """What a former release queued: it reaches nobody, and holds up nothing else."""
    async with Rig(sink.port, bounds=Bounds(look=0.02, connections_per_site=1)) as rig:
        rig.mx("y.example", (10, "mx.y.example", "127.0.0.1"))
        good = [*await rig.submit("a@y.example")]
        if which == "reverse_path":
            bad = await rig.submit("b@y.example", reverse_path=UNSAYABLE)
        else:
            bad = await rig.submit("b@y.example\r\nRSET")
        good += await rig.submit("c@y.example")
        await rig.until_state(good, DeliveryState.DELIVERED)
        await rig.until_state(bad, DeliveryState.REFUSED)
        assert rig.row(bad[0]).attempts == 0
        assert [rig.row(one).attempts for one in good] == [1, 1]
        assert len(sink.messages) == 2


async def test_one_message_that_makes_us_stumble_defers_no_other(
    sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    works = Link.verdicts

    async def stumbles(self: Link, envelope: Envelope, *arguments: object) -> object:
        if "poison@y.example" in envelope.forward_paths:
            raise ValueError("poison")
        return await works(self, envelope, *arguments)

    async with Rig(sink.port, bounds=Bounds(look=0.02, connections_per_site=1)) as rig:
        rig.mx("y.example", (10, "mx.y.example", "127.0.0.1"))
        monkeypatch.setattr(Link, "verdicts", stumbles)
        names = ["a", "poison", "b", "c"]
        ids = [(await rig.submit(f"{name}@y.example"))[0] for name in names]
        good = [one for one, name in zip(ids, names, strict=True) if name != "poison"]
        await rig.until_state(good, DeliveryState.DELIVERED)
        assert [rig.row(one).attempts for one in good] == [1, 1, 1]
        assert rig.row(ids[1]).state is not DeliveryState.DELIVERED


async def test_a_message_that_makes_us_stumble_takes_none_with_it_that_waits_for_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    works = transfer.fit

    async def stumble(submission: Submission, content: Sequence[bytes], *more: Any) -> Any:
        if b"poison" in b"".join(content):
            raise ValueError("poison")
        return await works(submission, content, *more)

    monkeypatch.setattr(transfer, "fit", stumble)
    bounds = Bounds(look=0.02, dial=5.0, connections_per_site=1)
    # The third message has two recipients, and the next hop room for one of them.
    script = {"RCPT": ["250 ok", "250 ok", "250 ok", "452 4.5.3 too many"]}
    async with Sink(script) as sink, Rig(sink.port, bounds=bounds) as rig:
        rig.mx("y.example", (10, "mx.y.example", "127.0.0.1"))
        await rig.until_state(await rig.submit("first@y.example"))
        sink.go.clear()
        (busy,) = await rig.submit("second@y.example")
        await rig.until_attempted(busy)
        both = await rig.submit("b@y.example", "c@y.example")
        await rig.submit("d@y.example", content=b"Subject: poison\r\n\r\n")
        sink.go.set()
        rows = await rig.until_state(both)
        assert [row.last_outcome and row.last_outcome.code for row in rows] == [250, 250]
        went = [path for message in sink.messages for path in message.forward_paths]
        assert sorted(went)[:2] == ["b@y.example", "c@y.example"]  # each once


async def test_what_waits_at_a_site_that_cannot_be_reached_is_not_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    works, calls = Attempts.begin, 0
    gate = asyncio.Event()

    async def stumble(self: Attempts, held: Sequence[Held]) -> set[DeliveryId]:
        nonlocal calls
        calls += 1
        if calls == 1:
            ours = await works(self, held)
            await gate.wait()
            return ours
        if calls == 2:
            raise ValueError("poison")
        return await works(self, held)

    bounds = Bounds(look=0.02, dial=5.0, connections_per_site=1)
    async with (
        Sink({"GREETING": ["421 4.3.2 later"]}) as sink,
        Rig(sink.port, bounds=bounds) as rig,
    ):
        rig.mx("y.example", (10, "mx.y.example", "127.0.0.1"))
        monkeypatch.setattr(Attempts, "begin", stumble)
        first = await rig.submit("first@y.example")
        async with asyncio.timeout(30):
            while not calls:
                await asyncio.sleep(0.02)
        waiting = await rig.submit("second@y.example")
        gate.set()
        await rig.until_state(first + waiting, DeliveryState.DELIVERED)
        assert rig.scheduler.held == 0
