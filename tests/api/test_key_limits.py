"""A key of the API is a credential like others: it has limits, and is held when it breaks out."""

from dataclasses import replace
from datetime import timedelta

from gatepost.api.app import Api, build_app
from gatepost.identity.breaker import Bounds
from gatepost.identity.histories import Histories
from gatepost.model.quota import Unit, Window
from gatepost.net.clock import now
from gatepost.net.counters import Counters
from gatepost.operate.account_shown import show
from gatepost.operate.accounts import By
from gatepost.operate.api_keys import NewApiKey, Scope, add
from gatepost.operate.holds import release
from gatepost.operate.limits import Change, set_limits
from gatepost.store.queue_view import QueueFilter
from tests.api.conftest import APP, Rig

BY = By(now(), "test")


def message(recipients: int = 1) -> dict[str, object]:
    to = [f"r{number}@y.example" for number in range(recipients)]
    return {"from": APP, "to": to, "content": f"From: {APP}\n\nGood day.\n"}


async def second_key(rig: Rig) -> None:
    made = await add(rig.store, NewApiKey((Scope.SEND,), APP, "second"), by=BY)
    rig.keys["second"] = made.text.reveal()


async def test_a_key_has_limits_of_its_own(rig: Rig):
    await second_key(rig)
    change = Change(Unit.RECIPIENTS, Window.HOUR, 3)
    await set_limits(rig.store, APP, [change], which="second", by=BY)
    assert (await rig.ask("POST", "/v1/messages", by="second", body=message(2))).status == 202
    spent = await rig.ask("POST", "/v1/messages", by="second", body=message(2))
    assert spent.status == 429
    assert "3 of 3 recipients in an hour" in spent.json["detail"]
    assert (await rig.ask("POST", "/v1/messages", body=message(9))).status == 202
    assert (await rig.ask("POST", "/v1/messages", by="second", body=message())).status == 202
    holder = await show(rig.store, APP, now(), ())
    (limited,) = holder.limits
    assert (limited.use.used, limited.use.most) == (3, 3)
    assert getattr(limited.spender, "label", "") == "second"


async def test_a_key_that_breaks_out_is_held_alone(rig: Rig):
    bounds = Bounds(recipients=5, factor=2, known_for=timedelta(microseconds=1))
    intake = replace(rig.intake, histories=Histories(rig.store, rig.intake.directory, bounds))
    rig.app = build_app(Api(intake, Counters.create(1)))
    await second_key(rig)
    for recipients in (1, 6):
        done = await rig.ask("POST", "/v1/messages", by="second", body=message(recipients))
        assert done.status == 202
        await intake.histories.flush()
    held = await rig.ask("POST", "/v1/messages", by="second", body=message())
    assert held.status == 503
    assert held.json["reply"]["text"].startswith("This login is held")
    assert (await rig.ask("POST", "/v1/messages", body=message())).status == 202
    (hold,) = (await show(rig.store, APP, now(), ())).holds
    assert hold.label == "second"
    (row, *_) = await rig.store.read(lambda reading: reading.deliveries(QueueFilter(), limit=1))
    assert str(row.submission.credential).startswith("api/")
    assert await release(rig.store, APP, "second", by=BY) == ["second"]
    intake.directory.drop()
    done = await rig.ask("POST", "/v1/messages", by="second", body=message())
    assert done.status == 202
