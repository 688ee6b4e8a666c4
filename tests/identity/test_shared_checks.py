"""One look at a password for all who ask at the same moment."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from gatepost.identity.shared_checks import SharedChecks
from gatepost.identity.turns import BusyError
from tests.identity.people import NAME, PASSWORD, People, account, main


class Slow:
    """A check that ends when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.trouble: Exception | None = None

    async def __call__(self) -> bool:
        self.asked += 1
        self.begun.set()
        await self.may_end.wait()
        if self.trouble is not None:
            trouble, self.trouble = self.trouble, None
            self.begun.clear()
            self.may_end.clear()
            raise trouble
        return True


async def _all_wait(tasks: list[asyncio.Task[bool]], slow: Slow) -> None:
    await slow.begun.wait()
    for _ in range(3):
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)


async def test_those_who_ask_the_same_share_one_look() -> None:
    shared, slow = SharedChecks(), Slow()
    tasks = [asyncio.create_task(shared.run(b"same", slow)) for _ in range(50)]
    await _all_wait(tasks, slow)
    slow.may_end.set()
    assert await asyncio.gather(*tasks) == [True] * 50
    assert slow.asked == 1


async def test_what_is_asked_later_or_of_others_is_looked_at_anew() -> None:
    shared, slow = SharedChecks(), Slow()
    slow.may_end.set()
    await asyncio.gather(shared.run(b"one", slow), shared.run(b"other", slow))
    await shared.run(b"one", slow)
    assert slow.asked == 3


async def test_where_the_first_has_gone_the_next_looks() -> None:
    shared, slow = SharedChecks(), Slow()
    tasks = [asyncio.create_task(shared.run(b"same", slow)) for _ in range(3)]
    await _all_wait(tasks, slow)
    slow.begun.clear()
    tasks[0].cancel()
    await _all_wait(tasks[1:], slow)
    slow.may_end.set()
    assert await asyncio.gather(*tasks[1:]) == [True, True]
    assert slow.asked == 2
    assert tasks[0].cancelled()


async def test_one_who_goes_takes_nobody_with_him() -> None:
    shared, slow = SharedChecks(), Slow()
    tasks = [asyncio.create_task(shared.run(b"same", slow)) for _ in range(3)]
    await _all_wait(tasks, slow)
    tasks[1].cancel()
    slow.may_end.set()
    assert await asyncio.gather(tasks[0], tasks[2]) == [True, True]
    assert slow.asked == 1


async def test_trouble_is_only_that_of_the_one_who_had_it() -> None:
    shared, slow = SharedChecks(), Slow()
    slow.trouble = BusyError()
    tasks = [asyncio.create_task(shared.run(b"same", slow)) for _ in range(3)]
    await _all_wait(tasks, slow)
    slow.may_end.set()
    with pytest.raises(BusyError):
        await tasks[0]
    await _all_wait(tasks[1:], slow)
    slow.may_end.set()
    assert await asyncio.gather(*tasks[1:]) == [True, True]
    assert slow.asked == 2


@pytest.mark.parametrize(
    ("name", "password", "cause_is_none"),
    [(NAME, PASSWORD, True), (NAME, "wrong", False), ("nobody@example.com", "wrong", False)],
)
async def test_sessions_that_log_in_together_cost_one_argon2(
    people: People, name: str, password: str, cause_is_none: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await people.put(account(), main())
    arrived: list[bytes] = []
    run = SharedChecks.run

    async def noted(shared: SharedChecks, mark: bytes, check: Callable[..., Any]) -> bool:
        arrived.append(mark)
        return await run(shared, mark, check)

    monkeypatch.setattr(SharedChecks, "run", noted)
    gate = threading.Event()
    busy = [asyncio.create_task(people.checker.compute(lambda: gate.wait(30))) for _ in range(2)]
    logins = [asyncio.create_task(people.plain(name, password)) for _ in range(4)]
    async with asyncio.timeout(30):
        while len(arrived) < 4:
            await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*busy)
    verdicts = await asyncio.gather(*logins)
    assert [verdict.cause is None for verdict in verdicts] == [cause_is_none] * 4
    assert len(people.asked) == 1
