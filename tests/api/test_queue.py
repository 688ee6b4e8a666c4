"""Queue verbs over HTTP: a stretch per request, and one's own mail only."""

from itertools import count

import pytest

from gatepost.api import queue
from gatepost.model.delivery import DeliveryState
from gatepost.operate import queue_change
from gatepost.store.queue_view import QueueFilter
from tests.api.conftest import APP, OTHER, Rig
from tests.store.makers import CONTENT, delivery, submission

HELD = (DeliveryState.HELD,)


async def put(rig: Rig, count: int, *, account: str = APP, domain: str = "y.example") -> None:
    for number in range(count):
        message = submission(account=account)
        ways = [delivery(message, f"u{number}@{domain}")]
        await rig.store.write(
            lambda tx, message=message, ways=ways: tx.add_deliveries(message, ways),
            (message.id, (CONTENT,)),
        )


async def held(rig: Rig) -> int:
    return (await rig.store.read(lambda r: r.matching(QueueFilter(states=HELD)))).count


async def test_what_takes_long_is_done_by_several_requests(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
):
    await put(rig, 7)
    monkeypatch.setattr(queue_change, "PORTION", 2)
    seconds = count(0.0, 2.0)  # so that a request's time is over after two portions
    monkeypatch.setattr(queue, "monotonic", lambda: next(seconds))
    body = {"destination": "Y.Example"}
    first = (await rig.ask("POST", "/v1/queue/hold", body=body)).json
    assert (first["changed"], await held(rig)) == (4, 4)
    # What joins meanwhile is left alone.
    await put(rig, 2)
    second = (await rig.ask("POST", "/v1/queue/hold", body=body | {"next": first["next"]})).json
    assert (second, await held(rig)) == ({"changed": 3, "next": None}, 7)
    again = (await rig.ask("POST", "/v1/queue/hold", body=body | {"next": first["next"]})).json
    assert again == {"changed": 0, "next": None}
    assert (await rig.ask("POST", "/v1/queue/release", body={"all": True})).json["changed"] == 4


async def test_an_account_s_key_changes_its_own_mail_only(rig: Rig):
    await put(rig, 2)
    await put(rig, 3, account=OTHER)
    everything = {"all": True}
    assert (await rig.ask("POST", "/v1/queue/hold", body=everything)).json["changed"] == 2
    body = {"account": OTHER}
    assert (await rig.ask("POST", "/v1/queue/hold", body=body)).status == 403
    assert (await rig.ask("POST", "/v1/queue/hold", by="all", body=body)).json["changed"] == 3
    assert (await rig.ask("POST", "/v1/queue/cancel", by="all", body=everything)).json == {
        "changed": 5,
        "next": None,
    }


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"all": True, "destination": "y.example"},
        {"id": "12"},
        {"destination": "a b"},
        {"all": True, "next": "1-2"},
        {"everything": True},
    ],
)
async def test_a_request_that_names_nothing_changes_nothing(rig: Rig, body: dict[str, object]):
    await put(rig, 1)
    done = await rig.ask("POST", "/v1/queue/hold", by="all", body=body)
    assert (done.status, done.headers["content-type"]) == (422, "application/problem+json")
    assert not await held(rig)


async def test_the_beginning_of_an_id_that_stands_for_several_messages_changes_nothing(rig: Rig):
    await put(rig, 2)
    (first, second) = await rig.store.read(lambda r: r.deliveries(QueueFilter(), limit=9))
    body = {"id": first.delivery.id[:8]}
    done = await rig.ask("POST", "/v1/queue/cancel", body=body)
    assert (done.status, done.json["detail"]) == (422, "write more digits")
    body = {"id": second.submission.id}
    assert (await rig.ask("POST", "/v1/queue/cancel", body=body)).json["changed"] == 1


async def test_there_are_four_verbs(rig: Rig):
    assert (await rig.ask("POST", "/v1/queue/bounce", body={"all": True})).status == 422
    assert (await rig.ask("POST", "/v1/queue/retry", body={"all": True})).json["changed"] == 0
