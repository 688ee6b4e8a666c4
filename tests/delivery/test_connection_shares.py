"""Nobody's mail takes all connections from others', whatever hosts it goes to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from math import inf
from typing import Self

import pytest
import pytest_asyncio

from gatepost.delivery.bounds import Bounds
from gatepost.delivery.parcel import Item
from gatepost.delivery.pool import Pool
from gatepost.delivery.site import Kind, Site
from gatepost.delivery.site_queue import SiteQueue
from gatepost.model.delivery import DeliveryState
from gatepost.model.ids import AccountName
from gatepost.model.lane import Lane
from gatepost.wire.smtp.client_events import Phase
from tests.delivery.rig import Rig
from tests.delivery.test_pool import item
from tests.sink import Sink

PLACES = 160

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Held:
    """A pool of 160 connections whose hosts are silent until they are let go."""

    def __init__(self) -> None:
        self.pool = Pool(replace(Bounds(), connections=PLACES), self._serve)
        self.began: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self._number = 0

    async def _serve(self, queue: SiteQueue) -> None:
        while parcels := queue.claim():
            self.began += [parcel.items[0].leased.submission.account or "" for parcel in parcels]
            await self.gates.setdefault(queue.site.key, asyncio.Event()).wait()
            queue.is_no_stranger()

    def add(self, account: str, site: str, lane: Lane = Lane.TRANSACTIONAL) -> None:
        self._number += 1
        one = item(self._number, 10, lane)
        submission = replace(one.leased.submission, account=AccountName(account) or None)
        leased = replace(one.leased, submission=submission)
        self.pool.add(Site(site, Kind.SMTP), Item(leased, one.hop, one.until), None)

    async def serves(self, account: str) -> int:
        """Return how many connections serve an account's mail, once those that may have begun."""
        for _ in range(3):
            await asyncio.sleep(0)
        return self.began.count(account)

    async def served_before(self, account: str, sites: int) -> None:
        """Have sites serve an account, so that they are no strangers."""
        for number in range(sites):
            site = f"{account}{number}"
            self.gates.setdefault(site, asyncio.Event()).set()
            self.add(account, site)
        while self.pool.connections:
            await asyncio.sleep(0)
        self.began.clear()
        for gate in self.gates.values():
            gate.clear()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.pool.close()
        tasks = self.pool.tasks()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest_asyncio.fixture
async def held() -> AsyncIterator[Held]:
    async with Held() as held:
        yield held


async def test_at_strange_sites_an_account_has_no_more_than_is_free(held: Held) -> None:
    for number in range(2 * PLACES):
        held.add("mallory", f"tar{number}")
    assert await held.serves("mallory") == (PLACES - PLACES // 16) // 2
    held.add("bob", "new")
    held.add("", "returns")  # mail without an account counts as one
    assert (await held.serves("bob"), await held.serves("")) == (1, 1)


async def test_an_account_alone_has_most_where_it_is_known(held: Held) -> None:
    await held.served_before("big", 2 * PLACES)
    for number in range(2 * PLACES):
        held.add("big", f"big{number}")
    assert await held.serves("big") == 120  # four fifths of what is not for one-time passwords
    held.add("bob", "new")
    assert await held.serves("bob") == 1


async def test_a_site_without_a_connection_goes_before_further_ones_of_others(held: Held) -> None:
    await held.served_before("big", 40)
    for number in range(200):
        held.add("big", f"big{number % 20}")
        await asyncio.sleep(0)
    full = held.pool.connections
    held.add("big", "big0")
    assert held.pool.connections == full < 120
    held.add("big", "big39")
    assert held.pool.connections == full + 1


async def test_one_time_passwords_find_room_whatever_others_have(held: Held) -> None:
    for account in range(60):
        for number in range(PLACES):
            held.add(f"a{account}", f"tar{account}.{number}")
    assert held.pool.connections == PLACES - PLACES // 16
    held.add("late", "new")
    assert await held.serves("late") == 0
    held.add("a0", "bank", Lane.OTP)
    before = await held.serves("a0")
    held.add("a0", "other bank", Lane.OTP)
    assert await held.serves("a0") == before + 1


async def test_who_has_no_room_holds_up_nobody_at_a_site_that_both_write_to(held: Held) -> None:
    for number in range(2 * PLACES):
        held.add("mallory", f"tar{number}")
    full = held.pool.connections
    held.add("mallory", "shared")
    assert held.pool.connections == full
    held.add("bob", "shared")
    assert held.pool.connections == full + 1


async def test_room_goes_to_accounts_in_turn(held: Held) -> None:
    for number in range(3 * PLACES):
        held.add("mallory", f"tar{number}")
    for account in range(60):
        for number in range(PLACES):
            held.add(f"a{account}", f"site{account}.{number}")
    await held.serves("")
    held.add("late", "new")
    assert await held.serves("late") == 0
    for number in range(70):
        held.gates[f"tar{number}"].set()
    async with asyncio.timeout(30):
        while not await held.serves("late"):
            await asyncio.sleep(0)


class Link:
    """A connection that is told to hurry."""

    def __init__(self) -> None:
        self.hurried: list[float] = []

    def hurry(self, now: float) -> None:
        self.hurried.append(now)

    def leave(self, missing: Callable[[str], bool]) -> None:
        raise AssertionError


async def test_nobody_is_hurried_while_nobody_waits(held: Held) -> None:
    link = Link()
    queues: list[SiteQueue] = []

    async def serve(queue: SiteQueue) -> None:
        queues.append(queue)
        queue.links.append(link)
        queue.claim()
        await asyncio.Event().wait()

    held.pool = Pool(replace(Bounds(), connections=1), serve)
    held.add("a", "one")
    await asyncio.sleep(0)
    held.pool.end_idle(1.0)
    assert not queues[0].is_hurried
    held.add("a", "two")
    assert queues[0].is_hurried
    held.pool.end_idle(2.0)
    assert link.hurried == [2.0]


HURRIED = [  # what is waited for, octets of a transaction -> seconds at most
    (Phase.GREETING, None, 30),
    (Phase.HELLO, None, 60),
    (Phase.AUTH, None, 60),
    (Phase.RCPT, 0, 120),
    (Phase.CONTENT, 160 * 1024, 130),
    (Phase.FINAL_DOT, 0, inf),
    (Phase.QUIT, None, inf),
]


@pytest.mark.parametrize(("phase", "size", "seconds"), HURRIED)
@pytest.mark.rfc("5321#4.5.3.2")
def test_how_long_a_host_may_take_while_others_wait(
    phase: Phase, size: int | None, seconds: float
) -> None:
    assert Bounds().hurried(phase, size) == seconds


async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await writer.wait_closed()


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each command, though not soon, and never too late for it."""
    with suppress(OSError):
        writer.write(b"220 hello\r\n")
        while await reader.readline():
            await asyncio.sleep(0.3)
            writer.write(b"250 go on\r\n")


@pytest.mark.parametrize("host", [silent, drips])
async def test_a_slow_host_is_given_up_while_others_wait(host: Handler) -> None:
    bounds = Bounds(
        look=0.02,
        connections=1,
        hurried_greeting=0.5,
        hurried_transaction=0.5,
    )
    async with Sink(host="127.0.0.2") as sink:
        server = await asyncio.start_server(host, "127.0.0.1", sink.port)
        async with Rig(sink.port, bounds=bounds) as rig:
            rig.mx("slow.example", (10, "mx.slow.example", "127.0.0.1"))
            rig.mx("good.example", (10, "mx.good.example", "127.0.0.2"))
            slow = await rig.submit(*[f"b{n}@slow.example" for n in range(90)])
            await rig.until_attempted(slow[0])
            await rig.until_state(await rig.submit("c@good.example"))
            outcome = rig.row(slow[0]).last_outcome
            assert outcome is not None
            assert outcome.text.startswith("no reply in time")
        server.close()


async def test_nobody_loses_idle_sessions_to_an_account_that_has_its_share() -> None:
    went: list[str] = []

    async def serve(queue: SiteQueue) -> None:
        while queue.claim():
            if queue.site.key != "good":
                await asyncio.Event().wait()
            if not await queue.wait():
                went.append(queue.site.key)

    held = Held()
    async with held:
        held.pool = Pool(replace(Bounds(), connections=PLACES), serve)
        held.add("bob", "good")
        for number in range(PLACES):
            held.add("mallory", f"tar{number}")
        await held.serves("")
        held.add("bob", "good")
        held.pool.end_idle(0.0)
        await held.serves("")
        assert held.pool._waiting_room
        assert not went


@pytest.mark.parametrize("hand_over", [True, False], ids=["from our door", "from a neighbour's"])
async def test_much_mail_to_silent_hosts_does_not_fill_our_hands(hand_over: bool) -> None:
    bounds = Bounds(look=0.02, held=200, connections=40, fairness=0.2)
    async with Sink(host="127.0.0.2") as sink:
        server = await asyncio.start_server(silent, "127.0.0.1", sink.port)
        async with Rig(sink.port, bounds=bounds) as rig:
            rig.mx("good.example", (10, "mx.good.example", "127.0.0.2"))
            mallory, bob = AccountName("mallory"), AccountName("bob")
            names = [f"tar{number}.example" for number in range(300)]
            for name in names:
                rig.mx(name, (10, f"mx.{name}", "127.0.0.1"))
            for name in names:
                await rig.submit(f"b@{name}", account=mallory)
            good = await rig.submit("c@good.example", account=bob, hand_over=hand_over)
            await rig.until_state(good, DeliveryState.DELIVERED)
            assert rig.scheduler.held <= 180
        server.close()


@pytest.mark.rfc("5321#4.5.3.2")
async def test_reports_to_hosts_that_never_answer_the_final_dot_delay_nobody_elses() -> None:
    bounds = Bounds(look=0.02, connections=40)
    refusing = {f"gone@{name}": "550 5.1.1 no such user" for name in ("one.example", "two.example")}
    async with (
        Sink(host="127.0.0.1") as tar,
        Sink(host="127.0.0.2", port=tar.port, refuse=refusing) as good,
    ):
        tar.go_at_dot.clear()
        async with Rig(tar.port, bounds=bounds, accepts_returns=True) as rig:
            names = [f"tar{number}.example" for number in range(60)]
            for name in names:
                rig.mx(name, (10, f"mx.{name}", "127.0.0.1"))
            for name in ("one.example", "two.example", "bob.example"):
                rig.mx(name, (10, f"mx.{name}", "127.0.0.2"))
            mallory, bob = AccountName("mallory"), AccountName("bob")
            for name in names:
                await rig.submit("gone@one.example", reverse_path=f"a@{name}", account=mallory)
            await tar.until(lambda: tar.open_sessions >= 16)  # what one may have at strange sites
            await rig.submit("gone@two.example", reverse_path="b@bob.example", account=bob)
            await good.until(
                lambda: any(each.forward_paths == ["b@bob.example"] for each in good.messages)
            )
            await rig.submit("c@bob.example", account=bob)
            await good.until(
                lambda: any(each.forward_paths == ["c@bob.example"] for each in good.messages)
            )
            assert 16 <= tar.open_sessions < 40
            tar.go_at_dot.set()
