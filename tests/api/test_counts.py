"""Counting over HTTP: by what mail has in common, by who sends it, one's own only; one question at a time."""

import asyncio

import pytest

from tests.api.conftest import APP, OTHER, Rig
from tests.api.test_queue import put

#: What tests put into the queue is of some day in the past.
EVER = {"within": "36000 d"}


async def test_the_queue_is_counted_by_what_it_has_in_common(rig: Rig):
    await put(rig, 3)
    await put(rig, 2, account=OTHER, domain="z.example")
    groups = (await rig.ask("GET", "/v1/queue/count", by="all")).json
    assert [(g["destination"], g["total"], g["due"], g["tried"]) for g in groups] == [
        ("y.example", 3, 3, 0),
        ("z.example", 2, 2, 0),
    ]
    assert groups[0]["oldest_at"].endswith("Z")
    query = {"by": "account", "limit": "1"}
    (first,) = (await rig.ask("GET", "/v1/queue/count", by="all", query=query)).json
    assert (first["account"], first["total"]) == (APP, 3)
    query = {"destination": "Z.Example", "by": "lane"}
    (lane,) = (await rig.ask("GET", "/v1/queue/count", by="all", query=query)).json
    assert lane["total"] == 2
    query = {"reason": "none of them"}
    assert (await rig.ask("GET", "/v1/queue/count", by="all", query=query)).json == []


async def test_an_account_s_key_counts_its_own_only(rig: Rig):
    await put(rig, 3)
    await put(rig, 2, account=OTHER, domain="z.example")
    (mine,) = (await rig.ask("GET", "/v1/queue/count", by="other")).json
    assert (mine["destination"], mine["total"]) == ("z.example", 2)
    query = {"account": APP}
    assert (await rig.ask("GET", "/v1/queue/count", by="other", query=query)).status == 403
    (own,) = (await rig.ask("GET", "/v1/accounts/usage", by="other", query=EVER)).json
    assert (own["name"], own["messages"], own["recipients"]) == (OTHER, 2, 2)


async def test_usage_tells_the_busiest_first(rig: Rig):
    await put(rig, 2)
    await put(rig, 3, account=OTHER)
    told = (await rig.ask("GET", "/v1/accounts/usage", by="all", query=EVER)).json
    assert [(each["name"], each["recipients"]) for each in told] == [(OTHER, 3), (APP, 2)]
    query = {"limit": "1"} | EVER
    assert len((await rig.ask("GET", "/v1/accounts/usage", by="all", query=query)).json) == 1
    query = {"within": "0 s"}
    assert (await rig.ask("GET", "/v1/accounts/usage", by="all", query=query)).json == []


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v1/queue/count", {"by": "colour"}),
        ("/v1/queue/count", {"limit": "0"}),
        ("/v1/queue/count", {"limit": "1001"}),
        ("/v1/queue/count", {"destination": "a b"}),
        ("/v1/accounts/usage", {"within": "a while"}),
    ],
)
async def test_what_cannot_be_counted_is_a_problem(rig: Rig, path: str, query: dict[str, str]):
    done = await rig.ask("GET", path, by="all", query=query)
    assert (done.status, done.headers["content-type"]) == (422, "application/problem+json")


@pytest.mark.parametrize("path", ["/v1/queue/count", "/v1/accounts/usage"])
async def test_nobody_counts_without_a_key(rig: Rig, path: str):
    assert (await rig.ask("GET", path, by="")).status == 401


async def test_one_question_is_asked_at_a_time(rig: Rig):
    asking, most = 0, 0
    real = rig.store.read

    async def read(query):
        nonlocal asking, most
        if "queue_groups" not in query.__code__.co_names:
            return await real(query)
        asking += 1
        most = max(most, asking)
        await asyncio.sleep(0)
        try:
            return await real(query)
        finally:
            asking -= 1

    rig.store.read = read  # type: ignore[method-assign]
    asked = [rig.ask("GET", "/v1/queue/count", by="all") for _ in range(5)]
    assert [answer.status for answer in await asyncio.gather(*asked)] == [200] * 5
    assert most == 1
