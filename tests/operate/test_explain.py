"""From the tag of a refused login to its true cause."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gatepost.events.crowd import TOLD, Crowd
from gatepost.identity.verdict import Cause, Consequence
from gatepost.model.event import Event, EventKind
from gatepost.model.ids import AccountName, WorkerId
from gatepost.operate.explain import _ADVICE, crowds, explain
from gatepost.store.sqlite import SqliteStore, open_sqlite

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
APP = AccountName("app@example.com")
REFUSED = Event(
    EventKind.LOGIN_REFUSED, NOON, account=APP,
    facts={
        "client": "192.0.2.7", "mechanism": "PLAIN", "name": APP, "tls": "TLSv1.3 X",
        "reason": "expired credential: \"printer\" expired at noon", "tag": "0123456789",
    },
)  # fmt: skip


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await open_sqlite(tmp_path, WorkerId("cli/1/0"))
    await opened.write(lambda transaction: transaction.add_events([REFUSED]))
    yield opened
    await opened.close()


@pytest.mark.parametrize("tag", ["0123456789", "[0123456789]", " 0123456789 "])
async def test_a_tag_tells_cause_client_and_advice(store: SqliteStore, tag: str) -> None:
    found = await explain(store, tag, NOON)
    assert found
    assert found.cause is Cause.EXPIRED
    assert found.reason == REFUSED.facts["reason"]
    assert (found.client, found.mechanism, found.account) == ("192.0.2.7", "PLAIN", APP)
    assert "get a new one" in found.tell_user
    assert f"app-password add {APP}" in found.mend
    assert found.as_json()["at"] == "2026-11-23T12:00:00.000Z"


async def test_what_was_too_much_to_be_told_is_said_to_be_so(store: SqliteStore) -> None:
    assert await crowds(store, NOON) == ()
    crowd = Crowd()
    for _ in range(TOLD + 7):
        crowd.admit(REFUSED)
    (summary,) = crowd.summaries(NOON + timedelta(minutes=1))
    await store.write(lambda transaction: transaction.add_events([summary]))
    (found,) = await crowds(store, NOON + timedelta(days=1))
    words = "7 of 192.0.2.7 in the minute before 2026-11-23 12:01 UTC: expired credential 7"
    assert found.words == words
    assert await explain(store, "many", NOON) is None


@pytest.mark.parametrize(
    ("tag", "later"),
    [
        ("9999999999", timedelta(0)),
        ("", timedelta(0)),
        ("0123456789", timedelta(days=7, seconds=1)),
    ],
)
async def test_what_is_unknown_or_older_than_seven_days_is_not_explained(
    store: SqliteStore, tag: str, later: timedelta
) -> None:
    assert await explain(store, tag, NOON + later) is None


@pytest.mark.parametrize("cause", Cause)
async def test_every_cause_is_known_by_its_words(store: SqliteStore, cause: Cause) -> None:
    event = replace(REFUSED, facts={"reason": f"{cause.value}: more", "tag": "a", "client": "::1"})
    await store.write(lambda transaction: transaction.add_events([event]))
    found = await explain(store, "a", NOON)
    assert found
    assert found.cause is cause
    if cause.consequence is Consequence.OUR_TROUBLE:
        assert found.tell_user.startswith("Nothing is wrong")
    assert "ADDRESS" not in found.mend


def test_there_is_advice_for_every_cause_and_nothing_else() -> None:
    assert set(_ADVICE) == set(Cause)


async def test_words_of_another_version_are_shown_as_they_are(store: SqliteStore) -> None:
    event = replace(REFUSED, facts={"reason": "full moon", "tag": "a"})
    await store.write(lambda transaction: transaction.add_events([event]))
    found = await explain(store, "a", NOON)
    assert found
    assert (found.cause, found.reason) == (None, "full moon")
