"""Accounts that only a newer Gatepost can read, as verbs see them: shown, removed, never rewritten."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gatepost.cli.account_printed import account_line, print_holder
from gatepost.identity.master_key import MasterKey
from gatepost.model.account import CredentialKind
from gatepost.model.ids import AccountName, CredentialId, WorkerId
from gatepost.model.secret import Secret
from gatepost.operate.account_shown import account_json, holder_json, show_any
from gatepost.operate.accounts import By, Grants, NewPassword, add, listing, remove, suspend
from gatepost.operate.check_accounts import keyless_findings, link_findings, unread_findings
from gatepost.operate.check_finding import Grade
from gatepost.operate.credentials import Wanted, add_app_password, revoke, set_password
from gatepost.store.account_protocols import UnreadAccount
from gatepost.store.protocols import Store
from gatepost.store.rows import NewerRowError
from gatepost.store.sqlite import open_sqlite
from gatepost.store.suppressions import AccountRule

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
BY = By(NOW, "anna")
KEY = MasterKey(bytes(32))
ODD, OURS = AccountName("b@x.example"), AccountName("c@x.example")
HASH = Secret("$6$saltstring$" + "a" * 86)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await open_sqlite(tmp_path, WorkerId("node/0/1"))
    for name in ("a@x.example", ODD, OURS):
        new = NewPassword(CredentialId(f"main of {name}"), imported=HASH)
        await add(opened, name, new, grants=Grants(), key=KEY, by=BY)
    await change(opened, f"UPDATE account SET state = 'frozen' WHERE name = '{ODD}'")
    yield opened
    await opened.close()


async def change(store: Store, sql: str) -> None:
    def job(transaction: Any) -> None:
        transaction.execute(sql)

    await store.write(job)


async def app_password(store: Store, label: str) -> None:
    of = CredentialId(f"id of {label}")
    await add_app_password(store, OURS, Wanted(label), credential_id=of, key=KEY, by=BY)


async def test_the_list_shows_it_among_the_others_as_what_it_is(store: Store) -> None:
    found = await listing(store)
    assert [each.name for each in found] == ["a@x.example", ODD, OURS]
    name, state, words = account_line(found[1])
    assert (name, state) == (ODD, "frozen")
    assert "only a newer Gatepost knows" in words
    assert account_line(found[2]) == (OURS, "active", OURS)
    shown = [account_json(each) for each in found]
    assert [each["unread"] is None for each in shown] == [True, False, True]
    assert shown[1]["state"] == "frozen"


async def test_it_is_shown_alone(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    holder = await show_any(store, "B@x.example", NOW)
    assert isinstance(holder, UnreadAccount)
    assert holder_json(holder)["unread"] == holder.why
    print_holder(holder)
    assert "state        frozen\nunread       only" in capsys.readouterr().out


async def test_a_verb_that_would_lose_what_it_cannot_read_changes_nothing(store: Store) -> None:
    with pytest.raises(NewerRowError, match=ODD):
        await suspend(store, ODD, by=BY)
    assert await remove(store, ODD, by=BY) == ODD
    assert [each.name for each in await listing(store)] == ["a@x.example", OURS]


async def test_a_credential_is_shown_and_named_and_the_rest_works(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    for label in ("printer", "fax"):
        await app_password(store, label)
    await change(store, "UPDATE credential SET kind = 'passkey' WHERE id = 'id of fax'")
    holder = await show_any(store, OURS, NOW)
    print_holder(holder)
    assert 'passkey      "fax" cannot be checked here: only a newer' in capsys.readouterr().out
    (unread,) = holder_json(holder)["unread_credentials"]
    assert (unread["kind"], unread["label"]) == ("passkey", "fax")
    for which in ("fax", "id of fax"):
        with pytest.raises(NewerRowError, match="passkey"):
            await revoke(store, OURS, which, kind=CredentialKind.APP_PASSWORD, by=BY)
    gone = await revoke(store, OURS, "printer", kind=CredentialKind.APP_PASSWORD, by=BY)
    assert gone.label == "printer"


async def test_an_old_password_that_we_cannot_read_goes_with_the_new_one(store: Store) -> None:
    await change(store, f"UPDATE credential SET lane = 'slow' WHERE account = '{OURS}'")
    new = NewPassword(CredentialId("new"), imported=HASH)
    await set_password(store, OURS, new, key=KEY, by=BY)
    kept = await store.read(lambda reading: reading.kept_credentials(OURS))
    assert ([each.id for each in kept.known], kept.unread) == (["new"], ())


async def test_check_names_both(store: Store) -> None:
    await app_password(store, "fax")
    await change(store, "UPDATE credential SET kind = 'passkey' WHERE id = 'id of fax'")
    account, credential = await store.read(lambda reading: list(unread_findings(reading)))
    assert (account.subject, credential.subject) == (f"account {ODD}", f"account {OURS}")
    assert "454" in account.what
    assert 'its passkey "fax" logs in nowhere here' in credential.what


@pytest.mark.parametrize(("url", "said"), [(None, True), ("https://mail.example", False)])
async def test_links_that_there_cannot_be_are_said(
    store: Store, url: str | None, *, said: bool
) -> None:
    def job(transaction: Any) -> None:
        for name in (OURS, ODD):
            transaction.put_account_rule(AccountRule(name, stream="news", links=name == OURS))

    assert not await store.read(lambda reading: list(link_findings(reading, None)))
    await store.write(job)
    found = await store.read(lambda reading: list(link_findings(reading, url)))
    assert [(each.subject, OURS in each.what) for each in found] == [
        ("http.public_url", True)
    ] * said


async def test_accounts_that_scram_would_refuse_are_named_where_it_is_offered(store: Store) -> None:
    def asked(*mechanisms: str) -> Any:
        return store.read(lambda reading: list(keyless_findings(reading, mechanisms)))

    (found,) = await asked("PLAIN", "LOGIN")
    assert (found.grade, "not offered" in found.what) == (Grade.FINE, True)
    (found,) = await asked("PLAIN", "SCRAM-SHA-256")
    assert found.what.startswith("a@x.example, b@x.example, c@x.example: no SCRAM keys")
    assert "[auth]" in found.mend
    for number in range(4):
        new = NewPassword(CredentialId(f"more {number}"), imported=HASH)
        await add(store, f"d{number}@x.example", new, grants=Grants(), key=KEY, by=BY)
    (found,) = await asked("SCRAM-SHA-1")
    assert found.what.startswith("a@x.example, b@x.example, c@x.example and 4 more: ")
    for name in ("a@x.example", OURS):
        await set_password(
            store, name, NewPassword(CredentialId("new"), Secret("a long one")), key=KEY, by=BY
        )
    (found,) = await asked("SCRAM-SHA-256-PLUS")
    assert found.what.startswith("b@x.example, d0@x.example")
    for account in await listing(store):
        await remove(store, account.name, by=BY)
    assert await asked("SCRAM-SHA-256") == []
