"""The application over a store of its own, with an account and keys."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from gatepost.api.app import Api, build_app
from gatepost.events.record import Recorder
from gatepost.model.account import Account
from gatepost.model.api_key import Scope
from gatepost.model.event import Event
from gatepost.model.ids import AccountName, WorkerId
from gatepost.net.clock import now
from gatepost.net.counters import Counters
from gatepost.node.intake import build_intake
from gatepost.operate.accounts import By
from gatepost.operate.api_keys import NewApiKey, add
from gatepost.operate.configuration import load
from gatepost.operate.hand_in import Intake
from gatepost.store.protocols import Store
from gatepost.store.sqlite import open_sqlite
from tests.support.asgi import Answer, ask

SETTINGS = """
hostname = "relay.test"
[tls]
certificate = "c.pem"
private_key = "k.pem"
[[listeners]]
address = "127.0.0.1:2587"
role = "submission"
[[routes]]
match = ["*"]
via = "capture"
[dns]
resolvers = ["127.0.0.1:1"]
[limits]
message_size = "100 kB"
"""
APP, OTHER = AccountName("app@sender.test"), AccountName("other@sender.test")


@dataclass
class Rig:
    """The application, and keys by name: app (of APP), other (of OTHER), all (of nobody)."""

    app: Any
    store: Store
    intake: Intake
    keys: dict[str, str]
    recorded: list[Event]

    async def ask(self, method: str, path: str, *, by: str = "app", **more: Any) -> Answer:
        return await ask(self.app, method, path, key=self.keys.get(by, by), **more)


@asynccontextmanager
async def rig_in(tmp_path: Path) -> AsyncIterator[Rig]:
    """Build one in a directory."""
    (tmp_path / "gatepost.toml").write_text(SETTINGS)
    settings = load(tmp_path / "gatepost.toml", {})
    settings.data_dir.mkdir()
    worker = WorkerId("node/0/1/")
    store = await open_sqlite(settings.data_dir, worker)
    by = By(now(), "test")
    keys = {}
    for name in (APP, OTHER):
        account = Account(name, (name,), by.now)
        await store.write(lambda tx, account=account: tx.put_account(account))
        made = await add(store, NewApiKey(tuple(Scope), name, name), by=by)
        keys[name.partition("@")[0]] = made.text.reveal()
    made = await add(store, NewApiKey((Scope.READ, Scope.ADMIN)), by=by)
    keys["all"] = made.text.reveal()
    recorded: list[Event] = []
    intake = await build_intake(settings, store, worker, recorder=Recorder(store))
    intake = replace(intake, record=recorded.append)
    await intake.signer.refresh()
    yield Rig(build_app(Api(intake, Counters.create(1))), store, intake, keys, recorded)
    await store.close()


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig_in(tmp_path) as made:
        yield made
