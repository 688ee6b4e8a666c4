"""No request makes the application fail, whatever it says; what is wrong is told as a problem."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatepost.api.app import build_routes
from gatepost.api.faults import Faultless
from gatepost.reception.unsubscribe import Subscriber
from tests.api.conftest import APP, OTHER, Rig, rig_in
from tests.support.asgi import Answer, ask
from tests.support.openapi import Description, Request

KNOWN = [
    APP, OTHER, "bob@y.example", "@y.example", "0" * 32, "0" * 32 + "-" + "f" * 32, "order-1", "ABCD", "news",
    f"From: {APP}\nTo: b@y.example\n\nGood day.\n", f"From: <{OTHER}>\r\n\r\n\xe9\r\n",
]  # fmt: skip
REQUESTS = Description(build_routes().openapi(), KNOWN).requests()
Asks = Callable[[Request, str], Answer]


@pytest.fixture(scope="module")
def asks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asks]:
    """Ask one application from plain functions, over one loop; "link" is a token that it knows."""
    with asyncio.Runner() as loop:
        made = rig_in(tmp_path_factory.mktemp("rig"))
        rig: Rig = loop.run(made.__aenter__())
        link = rig.intake.links.link(Subscriber(APP, "news", "bob@y.example"))

        def asked(request: Request, by: str) -> Answer:
            path = link if request.path.startswith("/u/") and by == "app" else request.path
            more = {"query_text": request.query, "headers": request.headers, "raw": request.raw}
            return loop.run(ask(rig.app, request.method, path, key=rig.keys.get(by, by), **more))

        yield asked
        loop.run(made.__aexit__(None, None, None))


@pytest.mark.parametrize("operation", REQUESTS)
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_is_asked_the_answer_is_one_that_is_described(
    asks: Asks, operation: str, data: st.DataObject
) -> None:
    request = data.draw(REQUESTS[operation])
    done = asks(
        request, data.draw(st.sampled_from(["app", "app", "app", "all", "other", "gp_1_2"]))
    )
    assert done.status < 500, done.body
    if request.path.startswith("/u/") and done.headers["content-type"].startswith("text/html"):
        return
    if done.status >= 400:
        assert done.headers["content-type"] == "application/problem+json"
        assert done.json["status"] == done.status
        assert done.json["title"]
        assert len(done.body) < 20_000
    elif request.path != "/metrics":
        json.loads(done.body)


async def test_a_fault_of_ours_is_told_in_the_log_once_a_minute_and_answered_each_time(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("gatepost.api.messages.hand_in", fail)
    time = [1000.0]
    rig.app._clock = lambda: time[0]
    body = {"from": APP, "to": ["b@y.example"], "content": f"From: {APP}\n\n"}
    with caplog.at_level(logging.ERROR):
        for _ in range(5):
            done = await rig.ask("POST", "/v1/messages", body=body)
            assert (done.status, done.json["title"]) == (500, "A fault of ours")
            assert done.headers["content-type"] == "application/problem+json"
        time[0] += 61
        await rig.ask("POST", "/v1/messages", body=body)
    assert [record.getMessage() for record in caplog.records] == [
        "a request met a fault of ours",
        "a request met a fault of ours (and 4 before it)",
    ]
    assert all(record.exc_info for record in caplog.records)


async def test_a_fault_outside_of_the_routes_is_answered_too() -> None:
    async def fail(*_: object) -> None:
        raise ZeroDivisionError

    done = await ask(Faultless(fail), "GET", "/")
    assert (done.status, done.json["title"]) == (500, "A fault of ours")
