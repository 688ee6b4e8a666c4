"""A password in clear: a right one is flagged, a wrong one is a guess, and neither is told."""

import asyncio
from typing import Any

import pytest

from gatepost.identity.exposure import Exposures, InClear
from gatepost.identity.verdict import Cause
from gatepost.model.event import EventKind
from tests.identity.people import (
    APP_PASSWORD,
    HERE,
    NAME,
    NOON,
    PASSWORD,
    People,
    account,
    app_password,
    main,
)


@pytest.fixture
async def exposures(people: People) -> Exposures:
    await people.put(account(), main(), app_password())
    matcher = people.authenticator._checks.matcher
    return Exposures(
        people.store, people.directory, matcher, people.throttle, clock=lambda: people.now
    )


async def say(exposures: Exposures, password: str, name: str = NAME) -> None:
    exposures.note(InClear(name, password, HERE))
    await exposures.wait()


async def flagged(people: People) -> list[str]:
    kept = await people.store.read(lambda reading: reading.credentials(NAME))
    return [each.id for each in kept if each.exposed_at == NOON]


@pytest.mark.parametrize(
    ("name", "password", "which", "label"),
    [
        (NAME, PASSWORD, f"main-{NAME}", "password"),
        ("APP@example.com", PASSWORD, f"main-{NAME}", "password"),
        (NAME, APP_PASSWORD.reveal(), "app", "printer"),
    ],
)
async def test_a_right_password_is_flagged_once(
    people: People, exposures: Exposures, name: str, password: str, which: str, label: str
) -> None:
    for _ in range(3):
        await say(exposures, password, name)
    assert await flagged(people) == [which]
    (stored,) = await people.store.read(lambda reading: reading.events())
    assert (stored.event.kind, stored.event.account) == (EventKind.ACCOUNT_EXPOSED, NAME)
    assert (stored.event.facts["credential"], stored.event.facts["client"]) == (label, HERE)
    assert password not in str(dict(stored.event.facts))


@pytest.mark.parametrize(
    ("name", "password"),
    [(NAME, "wrong"), ("nobody@example.com", PASSWORD), (NAME, ""), (NAME, "\x07"), ("", PASSWORD)],
)
async def test_who_knows_a_name_alone_flags_nothing(
    people: People, exposures: Exposures, name: str, password: str
) -> None:
    await say(exposures, password, name)
    assert await flagged(people) == []
    assert await people.store.read(lambda reading: reading.events()) == []


async def test_a_wrong_one_is_a_guess_and_a_locked_client_is_not_looked_at(
    people: People, exposures: Exposures
) -> None:
    for number in range(5):
        await say(exposures, f"wrong {number}")
    people.asked.clear()
    await say(exposures, PASSWORD)
    assert (people.asked, await flagged(people)) == ([], [])
    assert await people.cause(NAME, PASSWORD) is Cause.LOCKED_PAIR


async def test_an_unknown_name_costs_what_a_wrong_password_costs(
    people: People, exposures: Exposures
) -> None:
    for name in (NAME, "nobody@example.com"):
        people.asked.clear()
        await say(exposures, "wrong", name)
        assert len(people.asked) == 1


async def test_nobody_waits_and_few_looks_are_under_way(people: People) -> None:
    class Slow:
        asked = 0

        async def find(self, name: str) -> None:
            Slow.asked += 1
            await asyncio.sleep(3600)

    slow: Any = Slow()
    matcher = people.authenticator._checks.matcher
    exposures = Exposures(people.store, slow, matcher, people.throttle)
    for number in range(500):
        exposures.note(InClear(NAME, f"wrong {number}", HERE))
    await asyncio.sleep(0)
    assert 0 < Slow.asked <= 20
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()  # type: ignore[union-attr]
