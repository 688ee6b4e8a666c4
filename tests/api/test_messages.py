"""Submission by HTTP: the rules of port 587, all recipients or none, once under a key."""

import asyncio
import base64
import json
import tracemalloc
from datetime import timedelta

import pytest

from gatepost.model.api_key import Scope
from gatepost.model.delivery import DeliveryState
from gatepost.model.event import EventKind
from gatepost.model.quota import Limit, Unit, Window
from gatepost.model.suppression import Suppression, SuppressionClass
from gatepost.net.clock import now
from gatepost.operate.accounts import By, resume, suspend
from gatepost.operate.api_keys import NewApiKey, add, revoke
from gatepost.operate.hand_in import hand_in
from gatepost.store.queue_view import QueueFilter
from gatepost.store.suppressions import AccountRule
from tests.api.conftest import APP, Rig

MESSAGE = {
    "from": APP,
    "to": ["bob@y.example"],
    "content": f"From: {APP}\nSubject: hello\n\nGood day.\n",
}


async def rows(rig: Rig):
    return await rig.store.read(lambda r: r.deliveries(QueueFilter(), limit=99))


async def test_a_message_is_queued_and_followed(rig: Rig):
    done = await rig.ask("POST", "/v1/messages", body=MESSAGE)
    assert done.status == 202
    identifier = done.json["id"]
    (row,) = await rows(rig)
    assert row.submission.id == identifier
    assert row.submission.account == APP
    content = await rig.store.read(lambda r: r.content(identifier))
    assert b"Subject: hello\r\n\r\nGood day.\r\n" in content
    assert b"from [192.0.2.7] ([192.0.2.7])" in content
    followed = await rig.ask("GET", f"/v1/messages/{identifier}")
    assert followed.json["message"]["from"] == APP
    assert (await rig.ask("GET", f"/v1/messages/{identifier}", by="all")).status == 200
    assert (await rig.ask("GET", f"/v1/messages/{identifier}", by="other")).status == 404
    assert (await rig.ask("GET", f"/v1/messages/{'0' * 32}")).status == 404


async def test_octets_come_in_base64(rig: Rig):
    octets = f"From: {APP}\r\n\r\n\xe9\r\n".encode("latin-1")
    body = {"from": APP, "to": ["b@y.example"], "content_base64": base64.b64encode(octets).decode()}
    done = await rig.ask("POST", "/v1/messages", body=body)
    assert (await rig.store.read(lambda r: r.content(done.json["id"]))).endswith(b"\xe9\r\n")
    for text in ("%", "é", "QQ", "\ud800"):
        wrong = await rig.ask("POST", "/v1/messages", body=body | {"content_base64": text})
        assert (wrong.status, wrong.json["title"]) == (422, "The content cannot be decoded")


async def test_a_text_is_let_go_once_its_octets_are_known(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
):
    """Each of its characters takes four octets where one is outside of the BMP."""
    largest = 0

    async def handed(parcel, intake):
        nonlocal largest
        largest = max(trace.size for trace in tracemalloc.take_snapshot().traces)
        return await hand_in(parcel, intake)

    monkeypatch.setattr("gatepost.api.messages.hand_in", handed)
    content = MESSAGE["content"] + "\U0001f600" + ("x" * 70 + "\n") * 1200
    raw = json.dumps(MESSAGE | {"content": content}, ensure_ascii=False).encode()
    tracemalloc.start()
    try:
        done = await rig.ask("POST", "/v1/messages", raw=raw)
    finally:
        tracemalloc.stop()
    assert done.status == 202
    assert len(raw) / 2 < largest < 2 * len(raw)


async def test_under_a_key_it_is_queued_once(rig: Rig):
    once = {"headers": {"Idempotency-Key": "order-1"}}
    first = await rig.ask("POST", "/v1/messages", body=MESSAGE, **once)
    again = await rig.ask("POST", "/v1/messages", body=MESSAGE, **once)
    assert (first.status, again.status) == (202, 200)
    assert again.json == {"id": first.json["id"], "repeated": True}
    other = await rig.ask("POST", "/v1/messages", body=MESSAGE | {"to": ["c@y.example"]}, **once)
    assert other.status == 409
    assert len(await rows(rig)) == 1
    theirs = MESSAGE | {"from": "other@sender.test", "content": "From: other@sender.test\n\n"}
    assert (await rig.ask("POST", "/v1/messages", by="other", body=theirs, **once)).status == 202


REFUSED = [
    ({"from": "boss@sender.test"}, "550 5.7.1"),
    ({"from": "nonsense"}, "501 5.1.7"),
    ({"content": "From: boss@sender.test\n\n"}, "550 5.7.1"),
    ({"content": "no header"}, "554 5.6.0"),
    ({"content": "From: a@b\nGatepost-Judge: x\n\n"}, "55"),
    ({"content": f"From: {APP}\n\n" + "x" * 100_001}, "552 5.3.4"),
]


@pytest.mark.parametrize(("changes", "reply"), REFUSED)
async def test_a_refusal_is_the_reply_of_port_587(rig: Rig, changes: dict, reply: str):
    done = await rig.ask("POST", "/v1/messages", body=MESSAGE | changes)
    assert done.status == 422
    assert done.headers["content-type"] == "application/problem+json"
    said = done.json["reply"]
    assert f"{said['code']} {said['status']}".startswith(reply)
    assert await rows(rig) == []
    assert [event.kind for event in rig.recorded] == [EventKind.REFUSED_AT_DOOR]


async def test_one_bad_recipient_keeps_all_back(rig: Rig):
    gone = Suppression("gone@y.example", SuppressionClass.BOUNCED, now(), APP)
    await rig.store.write(lambda tx: tx.add_suppressions([gone], replace=True))
    await rig.intake.suppressed.refresh()
    body = MESSAGE | {"to": ["bob@y.example", "nonsense", "Gone@y.example"]}
    done = await rig.ask("POST", "/v1/messages", body=body)
    assert done.status == 422
    said = {r["recipient"]: r["status"] for r in done.json["recipients"]}
    assert said == {"nonsense": "5.1.3", "Gone@y.example": "5.7.1"}
    assert await rows(rig) == []
    await rig.store.write(lambda tx: tx.put_account_rule(AccountRule(APP, drops=True)))
    await rig.intake.suppressed.refresh()
    body = MESSAGE | {"to": ["bob@y.example", "gone@y.example"]}
    assert (await rig.ask("POST", "/v1/messages", body=body)).status == 202
    (row,) = await rows(rig)
    assert (row.delivery.forward_path, row.delivery.state) == ("bob@y.example", DeliveryState.DUE)


async def test_too_many_recipients_are_counted_before_they_are_judged(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
):
    judged: list[object] = []
    monkeypatch.setattr("gatepost.operate.hand_in.judge_rcpt", lambda *_, **__: judged.append(1))
    many = [f"b{n}@y.example" for n in range(1001)]
    done = await rig.ask("POST", "/v1/messages", body=MESSAGE | {"to": many})
    assert (done.status, done.json["reply"]["status"]) == (422, "4.5.3")
    assert done.json["detail"].endswith("another message: at most 1000")
    told = await rig.ask("POST", "/v1/judge", body=MESSAGE | {"to": many})
    assert [rule["reply"]["status"] for rule in told.json["rules"]] == ["4.5.3"]
    assert not judged
    twice = many[:1000] + many[:1000]
    assert (await rig.ask("POST", "/v1/judge", body=MESSAGE | {"to": twice})).json[
        "would_be_queued"
    ]
    assert len(judged) == 1000


async def test_others_have_their_turn_while_many_recipients_are_judged(rig: Rig):
    turns = [0]

    async def others() -> None:
        while True:
            turns[0] += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    many = [f"b {n}@y.example" for n in range(1000)]
    done = await rig.ask("POST", "/v1/messages", body=MESSAGE | {"to": many})
    beside.cancel()
    assert turns[0] >= 10
    assert (done.status, len(done.json["recipients"])) == (422, 100)
    assert done.json["detail"].startswith("1000 recipients are refused")


async def test_an_answer_names_few_of_many_faults(rig: Rig):
    faults = {f"{'x' * 300}{n}": n for n in range(1000)}
    done = await rig.ask("POST", "/v1/messages", body=MESSAGE | {"to": [1] * 9000} | faults)
    assert (done.status, len(done.json["faults"])) == (422, 20)
    assert len(done.body) < 10_000


ANY_SCOPE = [
    ("POST", "/v1/messages", MESSAGE),
    ("POST", "/v1/judge", MESSAGE),
    ("GET", "/v1/suppressions", None),
    ("POST", "/v1/suppressions", {"subject": "b@y.example"}),
    ("POST", "/v1/queue/cancel", {"all": True}),
    ("GET", "/v1/explain/ABCD", None),
    ("GET", f"/v1/messages/{'0' * 32}", None),
]


@pytest.mark.parametrize(("method", "path", "body"), ANY_SCOPE)
async def test_a_key_of_a_suspended_account_is_good_for_nothing(rig: Rig, method, path, body):
    await suspend(rig.store, APP, by=By(now(), "test"))
    done = await rig.ask(method, path, body=body)
    assert (done.status, done.json["title"]) == (403, "The account of this key is suspended")
    assert (await rig.ask(method, path, by="other", body=body)).status != 403
    assert (await rig.ask("GET", "/v1/suppressions", by="all")).status == 200
    await resume(rig.store, APP, by=By(now(), "test"))
    rig.intake.directory.drop(APP)
    assert (await rig.ask(method, path, body=body)).status != 403


async def test_a_quota_that_is_spent_is_429_and_judging_costs_nothing(rig: Rig):
    from dataclasses import replace

    account = await rig.store.read(lambda r: r.account(APP))
    limits = (Limit(Unit.MESSAGES, Window.HOUR, 1),)
    await rig.store.write(lambda tx: tx.put_account(replace(account, limits=limits)))
    for _ in range(3):
        judged = await rig.ask("POST", "/v1/judge", body=MESSAGE)
        assert judged.json["would_be_queued"], judged.json
    once = {"headers": {"Idempotency-Key": "k"}}
    assert (await rig.ask("POST", "/v1/messages", body=MESSAGE, **once)).status == 202
    assert (await rig.ask("POST", "/v1/messages", body=MESSAGE)).status == 429
    judged = (await rig.ask("POST", "/v1/judge", body=MESSAGE)).json
    assert not judged["would_be_queued"]
    assert judged["quotas"][0]["used"] == 1


async def test_a_judgement_tells_each_rule(rig: Rig):
    body = MESSAGE | {
        "to": ["bob@y.example", "x"],
        "content": f"From: {APP}\nBcc: c@y.example\nDate: \n\n",
    }
    judged = (await rig.ask("POST", "/v1/judge", body=body)).json
    assert not judged["would_be_queued"]
    assert [(w["recipient"], w["route"]) for w in judged["recipients"]] == [
        ("bob@y.example", "capture"),
        ("x", ""),
    ]
    assert set(judged["added"]) == {"Received", "Message-ID"}
    assert judged["removed"] == ["Bcc"]
    refused = MESSAGE | {"content": "From: boss@sender.test\n\n"}
    judged = (await rig.ask("POST", "/v1/judge", body=refused)).json
    assert judged["rules"][-1]["reply"]["code"] == 550
    assert await rows(rig) == []


async def test_keys_are_asked_for_and_scoped(rig: Rig):
    for wrong in ("", "nonsense", "gp_x_y", rig.keys["app"][:-1], "gp__", "\xff"):
        done = await rig.ask("POST", "/v1/messages", by=wrong, body=MESSAGE)
        assert done.status == 401, wrong
        assert done.headers["www-authenticate"].startswith("Bearer")
    assert (await rig.ask("POST", "/v1/messages", by="all", body=MESSAGE)).status == 403
    by = By(now() - timedelta(days=2), "test")
    old = await add(rig.store, NewApiKey((Scope.READ,), None, "old", timedelta(days=1)), by=by)
    assert (await rig.ask("GET", "/v1/suppressions", by=old.text.reveal())).status == 401
    await revoke(rig.store, "app@sender.test", by=by)
    assert (await rig.ask("POST", "/v1/messages", body=MESSAGE)).status == 401


async def test_a_reverse_path_is_written_as_on_port_587(rig: Rig):
    """Domains in A-labels and lower case: what is compared, and what any next hop takes."""
    local_part, _, domain = APP.partition("@")
    done = await rig.ask(
        "POST", "/v1/messages", body=MESSAGE | {"from": f"{local_part}@{domain.upper()}"}
    )
    assert done.status == 202
    (row,) = await rows(rig)
    assert row.submission.reverse_path == APP


@pytest.mark.parametrize("field", ["from", "to"])
async def test_no_address_breaks_out_of_its_place(rig: Rig, field: str):
    bad = "x@[IPv6:fe80::1%a>\r\nX-Forged: yes\0]"
    body = MESSAGE | ({"to": [bad]} if field == "to" else {"from": bad})
    assert (await rig.ask("POST", "/v1/messages", body=body)).status == 422
    assert await rows(rig) == []
    (event,) = rig.recorded
    assert event.facts["address"] == "x@[IPv6:fe80::1%a>??X-Forged: yes?]"
