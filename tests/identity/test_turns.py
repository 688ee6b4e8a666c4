"""Who sends many guesses at once outruns no lock, and holds nobody else up."""

import asyncio
import threading

import pytest

from gatepost.identity.passwords import NOBODY, PasswordChecker
from gatepost.identity.turns import BusyError, OutdatedError


class Slow:
    """A checker with one thread that is taken until `go`; `order` is who was checked, in order."""

    def __init__(self, waiting: int) -> None:
        self.go = threading.Event()
        self.order: list[str] = []
        self.checker = PasswordChecker(threads=1, waiting=waiting, verify=self._verify)
        self.first = asyncio.create_task(self.checker.verify(NOBODY, "first"))

    def _verify(self, _: object, password: str) -> bool:
        self.go.wait(10)
        self.order.append(password)
        return True

    async def ask(self, client: str, *, outdated: bool = False) -> "asyncio.Task[bool]":
        check = self.checker.verify(NOBODY, client, client=client, outdated=lambda: outdated)
        task = asyncio.create_task(check)
        await asyncio.sleep(0)
        return task


async def test_clients_have_their_turns_one_after_the_other() -> None:
    slow = Slow(waiting=100)
    await asyncio.sleep(0)
    tasks = [await slow.ask("flood") for _ in range(50)]
    tasks += [await slow.ask("other"), await slow.ask("other"), await slow.ask("third")]
    slow.go.set()
    assert all(await asyncio.gather(*tasks))
    assert slow.order[:6] == ["first", "flood", "other", "third", "flood", "other"]
    slow.checker.close()


async def test_a_full_queue_sends_the_last_of_the_many_away() -> None:
    slow = Slow(waiting=10)
    await asyncio.sleep(0)
    flood = [await slow.ask("flood") for _ in range(12)]
    assert [type(t.exception()) for t in flood if t.done()] == [BusyError, BusyError]
    other = await slow.ask("other")
    await asyncio.sleep(0)
    assert sum(t.done() for t in flood) == 3
    slow.go.set()
    assert await other
    await asyncio.gather(*flood, return_exceptions=True)
    assert slow.order.index("other") == 2
    assert await slow.checker.verify(NOBODY, "later")
    slow.checker.close()


async def test_clients_of_one_network_have_one_turn_among_networks() -> None:
    slow = Slow(waiting=300)
    await asyncio.sleep(0)
    crowd = [await slow.ask(f"2001:db8:0:{n:x}::/64") for n in range(1, 261)]
    crowd += [await slow.ask("2001:db8:0:1::/64")]
    victim = await slow.ask("2001:db8:1:1::/64")
    slow.go.set()
    assert await victim
    assert slow.order.index("2001:db8:1:1::/64") == 2
    assert all(await asyncio.gather(*crowd))
    assert slow.order[1:4:2] == ["2001:db8:0:1::/64", "2001:db8:0:2::/64"]
    assert slow.order[-1] == "2001:db8:0:1::/64"
    slow.checker.close()


async def test_a_queue_full_of_one_network_has_room_for_another() -> None:
    slow = Slow(waiting=10)
    await asyncio.sleep(0)
    crowd = [await slow.ask(f"2001:db8:0:{n:x}::/64") for n in range(1, 11)]
    assert (await slow.ask("2001:db8:0:ff::/64")).done()
    victim = await slow.ask("198.51.100.7")
    await asyncio.sleep(0)
    assert [isinstance(t.exception(), BusyError) for t in crowd if t.done()] == [True]
    slow.go.set()
    assert await victim
    await asyncio.gather(*crowd, return_exceptions=True)
    assert slow.order.index("198.51.100.7") == 2
    slow.checker.close()


async def test_within_a_network_the_many_of_one_client_go_first() -> None:
    slow = Slow(waiting=10)
    await asyncio.sleep(0)
    flood = [await slow.ask("192.0.2.1") for _ in range(5)]
    others = [await slow.ask(f"198.51.100.{n}") for n in range(5)]
    neighbour = await slow.ask("192.0.2.2")
    await asyncio.sleep(0)
    assert [t.done() for t in flood] == [False] * 4 + [True]
    slow.go.set()
    assert await neighbour
    await asyncio.gather(*flood, *others, return_exceptions=True)
    slow.checker.close()


async def test_what_was_settled_while_it_waited_is_not_checked() -> None:
    slow = Slow(waiting=10)
    await asyncio.sleep(0)
    late = [await slow.ask("late", outdated=True) for _ in range(3)]
    good = await slow.ask("good")
    slow.go.set()
    for task in late:
        with pytest.raises(OutdatedError):
            await task
    assert await good
    assert slow.order == ["first", "good"]
    slow.checker.close()


async def test_who_goes_while_he_waits_leaves_his_place_to_others() -> None:
    slow = Slow(waiting=2)
    await asyncio.sleep(0)
    gone = [await slow.ask("gone") for _ in range(2)]
    for task in gone:
        task.cancel()
    await asyncio.gather(*gone, return_exceptions=True)
    stay = [await slow.ask("stay") for _ in range(2)]
    slow.go.set()
    assert await asyncio.gather(*stay) == [True, True]
    assert slow.order == ["first", "stay", "stay"]
    slow.checker.close()
