"""Suppressions, watching, bounds; and that no request makes the application fail."""

import asyncio
import json
import string
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatepost.api.lately import Lately
from gatepost.api.values import has_too_many_values
from gatepost.store.protocols import StoreUnavailableError
from tests.api.conftest import APP, Rig, rig_in
from tests.support.asgi import Answer, ask


async def test_an_account_s_key_changes_its_own_list_only(rig: Rig):
    body = {"subject": "Bob@y.example", "class": "complaint", "reason": "said so"}
    made = await rig.ask("POST", "/v1/suppressions", body=body)
    assert made.status == 201
    assert (made.json["subject"], made.json["account"]) == ("bob@y.example", APP)
    await rig.ask("POST", "/v1/suppressions", by="all", body={"subject": "@z.example"})
    assert len((await rig.ask("GET", "/v1/suppressions", by="all")).json) == 2
    assert len((await rig.ask("GET", "/v1/suppressions")).json) == 1
    assert (await rig.ask("GET", "/v1/suppressions", by="other")).json == []
    other = {"account": APP}
    assert (await rig.ask("GET", "/v1/suppressions", by="other", query=other)).status == 403
    path = "/v1/suppressions/bob@y.example"
    assert (await rig.ask("DELETE", path, by="other")).status == 404
    assert (await rig.ask("DELETE", path)).status == 200
    assert (await rig.ask("DELETE", path)).status == 404
    wrong = await rig.ask("POST", "/v1/suppressions", body={"subject": "a b"})
    assert (wrong.status, wrong.headers["content-type"]) == (422, "application/problem+json")
    nobody = {"subject": "x@y.example", "account": "nobody"}
    assert (await rig.ask("POST", "/v1/suppressions", by="all", body=nobody)).status == 404


async def test_watching_needs_no_key(rig: Rig):
    assert (await rig.ask("GET", "/healthz", by="")).json == {"status": "ok"}
    metrics = (await rig.ask("GET", "/metrics", by="")).body.decode()
    assert '\ngatepost_queue_deliveries{state="due"} 0\n' in metrics
    assert "\n# TYPE gatepost_messages_accepted_total counter\n" in metrics
    assert '\ngatepost_queue_overdue_seconds{lane="otp"} 0.0\n' in metrics
    assert "\ngatepost_queue_oldest_seconds 0.0\n" in metrics
    assert "\ngatepost_store_up 1\n" in metrics
    assert '\ngatepost_logins_refused_total{reason="wrong_password"} 0\n' in metrics
    assert "\ngatepost_logins_total 0\n" in metrics
    assert '\ngatepost_connections_refused_total{reason="no_proxy_header"} 0\n' in metrics
    described = (await rig.ask("GET", "/openapi.json", by="")).json
    assert "/v1/messages" in described["paths"]
    await rig.store.close()
    away = await rig.ask("GET", "/healthz", by="")
    assert (away.status, away.json) == (503, {"status": "store away"})
    assert (await rig.ask("GET", "/v1/suppressions")).status == 503


async def test_what_only_the_store_knows_is_left_out_of_metrics_while_it_is_away(rig: Rig):
    await rig.store.close()
    metrics = (await rig.ask("GET", "/metrics", by="")).body.decode()
    assert "\ngatepost_store_up 0\n" in metrics
    assert "\ngatepost_logins_total 0\n" in metrics
    assert "gatepost_queue" not in metrics


async def test_while_nothing_can_be_written_a_key_still_looks(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
):
    async def full(*_: object) -> None:
        raise StoreUnavailableError("disk full")

    monkeypatch.setattr(type(rig.store), "write", full)
    assert (await rig.ask("GET", "/v1/suppressions")).status == 200
    added = await rig.ask("POST", "/v1/suppressions", body={"subject": "bob@y.example"})
    assert added.status == 503


async def test_whoever_asks_for_metrics_has_the_queue_counted_once_in_a_while():
    clock, begun, go = [100.0], [0], asyncio.Event()

    async def count() -> int:
        begun[0] += 1
        await go.wait()
        return begun[0]

    lately: Lately[int] = Lately(5.0, clock=lambda: clock[0])
    crowd = [asyncio.create_task(lately.get(count)) for _ in range(50)]
    await asyncio.sleep(0)
    go.set()
    assert set(await asyncio.gather(*crowd)) == {1}
    clock[0] += 4.9
    assert await lately.get(count) == 1
    clock[0] += 0.2
    assert await lately.get(count) == 2


async def test_what_failed_is_looked_for_again():
    async def fail() -> int:
        raise StoreUnavailableError("away")

    async def well() -> int:
        return 7

    lately: Lately[int] = Lately(5.0)
    with pytest.raises(StoreUnavailableError):
        await lately.get(fail)
    assert await lately.get(well) == 7


async def test_metrics_of_one_moment_are_shared(rig: Rig):
    reads: list[int] = []
    real = rig.store.read

    async def read(job: Any) -> Any:
        reads.append(1)
        return await real(job)

    rig.store.read = read  # type: ignore[method-assign]
    first, second = [(await rig.ask("GET", "/metrics", by="")).body for _ in range(2)]
    assert first == second
    assert len(reads) == 1


async def test_what_is_not_there_is_a_problem(rig: Rig):
    for method, path, status in (("GET", "/none", 404), ("PUT", "/v1/messages", 405)):
        done = await rig.ask(method, path)
        assert (done.status, done.json["status"]) == (status, status)
        assert done.headers["content-type"] == "application/problem+json"
    assert (await rig.ask("GET", "/docs")).status == 404
    assert (await rig.ask("GET", "/v1/explain/ABCD")).status == 404


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v1/suppressions", "GET, HEAD, POST"),
        ("HEAD", "/v1/messages", "POST"),
        ("PUT", "/u/x", "GET, HEAD, POST"),
        ("POST", "/healthz", "GET, HEAD"),
        ("POST", "/openapi.json", "GET, HEAD"),
    ],
)
@pytest.mark.rfc("9110#15.5.6")
async def test_what_a_path_is_good_for_is_told(rig: Rig, method: str, path: str, allowed: str):
    done = await rig.ask(method, path)
    assert (done.status, done.headers["allow"]) == (405, allowed)


@pytest.mark.rfc("9110#9.3.2")
@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/v1/suppressions", "/openapi.json"])
async def test_head_is_answered_as_get_is(rig: Rig, path: str):
    assert (await rig.ask("HEAD", path)).status == 200
    assert (await rig.ask("HEAD", "/v1/suppressions", by="")).status == 401


async def test_a_body_has_bounds(rig: Rig):
    too_much = b"x" * 700_000
    assert (await rig.ask("POST", "/v1/messages", raw=too_much)).status == 413
    sly = {"content-length": "5"}
    assert (await rig.ask("POST", "/v1/messages", raw=too_much, headers=sly)).status == 413


async def test_a_stranger_s_body_is_not_read(rig: Rig):
    raw = b"[" + b"{}," * 50_000 + b"{}]"
    for by in ("", "gp_0123456789ab_guessed"):
        done = await rig.ask("POST", "/v1/messages", by=by, raw=raw)
        assert done.status == 401
        assert done.headers["www-authenticate"].startswith("Bearer")
    await rig.store.close()
    assert (await rig.ask("POST", "/v1/messages", raw=raw)).status == 503


async def test_a_body_with_more_values_than_anybody_needs_is_not_parsed(rig: Rig):
    for raw in (b"[" + b"{}," * 12_000 + b"{}]", ("[" + "1," * 12_000 + "1]").encode("utf-16")):
        done = await rig.ask("POST", "/v1/judge", raw=raw)
        assert done.status == 422
        assert "values" in done.json["title"]


@pytest.mark.parametrize(
    ("body", "too_many"),
    [
        (b'{"a":"' + b"[{," * 200_000 + b'"}', False),  # in a string they are text
        (b'{"a":"' + rb"\"[{,\\" * 200_000 + b'"}', False),
        (b'{"a":"\\\\","b":' + b"[" * 200_000, True),
        (b'"' + b"," * 200_000, False),  # no end: no JSON, either
        (b'"' + b"," * 200_000 + b"\\", False),
        (b'\\"' * 300_000 + b"," * 200_000, False),
        (b"[" + b"1," * 200_000 + b"1]", True),
        (b"[" + b"1," * 100_000 + b"1]", False),
        (b"[" + b'"",' * 8_000_000 + b'""]', True),  # the first ones tell
        (b'"' + b'\\",' * 700_000 + b'",' + b"{" * 110_001, True),  # over several stretches
        (b'"' + b'\\",' * 700_000 + b'",' + b"{" * 109_000, False),
        (b'""' * 230_000 + b"," * 110_001, True),
    ],
)
async def test_values_are_told_from_text(body: bytes, *, too_many: bool):
    began = time.process_time()
    assert await has_too_many_values(body, 110_000) is too_many
    assert time.process_time() - began < 1


async def test_two_ways_of_telling_the_length_are_one_too_many(rig: Rig):
    smuggled = {"transfer-encoding": "chunked"}
    done = await rig.ask("POST", "/v1/messages", body={}, headers=smuggled)
    assert (done.status, done.headers["connection"]) == (400, "close")


async def test_an_address_with_a_slash_can_be_taken_off_the_list(rig: Rig):
    await rig.ask("POST", "/v1/suppressions", body={"subject": "a/b@y.example"})
    assert (await rig.ask("DELETE", "/v1/suppressions/a/b@y.example")).status == 200


TEXTS = st.text(st.sampled_from(string.printable + "é\0\u2028😀"), max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
NEAR = st.fixed_dictionaries(
    {"from": TEXTS | st.just(APP), "to": st.lists(TEXTS | st.just("b@y.example"), max_size=4)},
    optional={"content": TEXTS, "content_base64": TEXTS, "subject": TEXTS, "class": TEXTS},
)
PATHS = ["/v1/messages", "/v1/judge", "/v1/suppressions", "/v1/explain/x", "/v1/messages/x"]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    method=st.sampled_from(["GET", "POST", "DELETE"]),
    path=st.sampled_from(PATHS) | TEXTS.map(lambda t: f"/v1/suppressions/{t}"),
    body=NEAR | JSON,
    once=st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=20),
)
def test_no_request_makes_it_fail(runner, method: str, path: str, body: object, once: str):
    raw = json.dumps(body).encode()
    done = runner(method, path, raw=raw, headers={"Idempotency-Key": once} if once else {})
    assert done.status < 500, done.body


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Callable[..., Answer]]:
    """Ask one application from plain functions, over one loop."""
    with asyncio.Runner() as loop:
        made = rig_in(tmp_path)
        rig = loop.run(made.__aenter__())
        yield lambda method, path, **more: loop.run(
            ask(rig.app, method, path, key=rig.keys["app"], **more)
        )
        loop.run(made.__aexit__(None, None, None))
