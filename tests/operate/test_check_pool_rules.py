"""`gatepost check` tells of rules for pools that fit nobody."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gatepost.model.account import Account, Credential, CredentialKind
from gatepost.model.ids import AccountName, CredentialId, WorkerId
from gatepost.model.secret import Secret
from gatepost.model.settings_egress import PoolRuleSettings
from gatepost.operate.check_pool_rules import pool_rule_findings
from gatepost.store.sqlite import open_sqlite
from tests.store.makers import NOON

APP = AccountName("app@example.com")


@pytest.fixture
async def store(tmp_path: Path):
    opened = await open_sqlite(tmp_path, WorkerId("node/1/0"))
    key = Credential(CredentialId("k1"), APP, CredentialKind.PASSWORD, Secret("x"), NOON)
    await opened.write(lambda t: t.put_account(Account(APP, (APP,), NOON)))
    await opened.write(lambda t: t.put_credential(key))
    yield opened
    await opened.close()


async def told(store: Any, **rule: Any) -> list[str]:
    settings: Any = SimpleNamespace(pool_rules=(PoolRuleSettings(pool="news", **rule),))
    found = await store.read(lambda reading: list(pool_rule_findings(reading, settings)))
    return [f"{one.subject}: {one.what}" for one in found]


@pytest.mark.parametrize(
    "rule",
    [
        {"accounts": ["App@Example.com"]},
        {"credentials": ["k1", "oauth", "directory/staff"]},
        {"streams": ["news"]},
    ],
)
async def test_nothing_is_said_of_what_is_there(store, rule) -> None:
    assert await told(store, **rule) == []


async def test_what_nobody_has_is_named(store) -> None:
    found = await told(store, accounts=[APP, "ap@example.com"], credentials=["k1", "k2"])
    assert [line.partition(":")[0] for line in found] == ["pool_rules no. 1"] * 2
    assert "no account ap@example.com" in found[0]
    assert "no credential k2" in found[1]
