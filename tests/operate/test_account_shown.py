"""`account show`: uses of every kind, refusals per credential, and findings, one row for each."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gatepost.model.account import Account, Credential, CredentialKind
from gatepost.model.event import Event, EventKind
from gatepost.model.ids import AccountName, CredentialId, WorkerId
from gatepost.model.secret import Secret
from gatepost.operate.account_shown import Guest, findings, holder_json, show, show_any
from gatepost.operate.accounts import NoSuchAccountError
from gatepost.store.foreign_uses import ForeignUse
from gatepost.store.sqlite import open_sqlite

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=40)
NAME = AccountName("app@example.com")
ACCOUNT = Account(NAME, (NAME,), LONG_AGO)
#: Nothing to be said about it.
GOOD = Credential(
    CredentialId("main"), NAME, CredentialKind.PASSWORD, Secret("$argon2id$"), LONG_AGO,
    last_used_at=NOW - timedelta(days=1), last_mechanism="SCRAM-SHA-256", scram=Secret("SHA-1:a:b"),
)  # fmt: skip
APP = replace(GOOD, id=CredentialId("app"), kind=CredentialKind.APP_PASSWORD, label="printer")
CERTIFICATE = replace(GOOD, kind=CredentialKind.CERTIFICATE, scram=None, label="laptop")


@pytest.mark.parametrize(
    ("account", "credential", "words"),
    [
        (ACCOUNT, GOOD, []),
        (ACCOUNT, APP, []),
        (ACCOUNT, CERTIFICATE, []),
        (replace(ACCOUNT, exposed_at=NOW), GOOD, ["nobody looked whether the right one"]),
        (
            ACCOUNT,
            replace(GOOD, exposed_at=NOW),
            ["its password was sent without TLS on 2026-11-28"],
        ),
        (ACCOUNT, replace(APP, exposed_at=NOW), ['"printer" was sent without TLS']),
        (ACCOUNT, replace(GOOD, recoverable=Secret("x")), ["CRAM-MD5 is allowed"]),
        (
            ACCOUNT,
            replace(GOOD, recoverable=Secret("x"), last_mechanism="CRAM-MD5"),
            ["CRAM-MD5 is in use (last on 2026-11-27)"],
        ),
        (ACCOUNT, replace(GOOD, scram=None), ["its password has no SCRAM keys"]),
        (ACCOUNT, replace(APP, expires_at=NOW), ['app password "printer" has expired']),
        (ACCOUNT, replace(APP, expires_at=NOW + timedelta(days=3)), ["expires on 2026-12-01"]),
        (ACCOUNT, replace(APP, expires_at=NOW + timedelta(days=30)), []),
        (ACCOUNT, replace(GOOD, last_used_at=None), ["was never used since 2026-10-19"]),
        (ACCOUNT, replace(APP, last_used_at=None), ["was never used since 2026-10-19"]),
        (ACCOUNT, replace(CERTIFICATE, last_used_at=None), ["was never used since"]),
        (ACCOUNT, replace(APP, last_used_at=None, created_at=NOW - timedelta(days=29)), []),
        (replace(ACCOUNT, app_passwords_only=True), replace(GOOD, last_used_at=None), []),
    ],
)
def test_findings(account: Account, credential: Credential, words: list[str]) -> None:
    found = findings(account, (credential,), NOW)
    assert len(found) == len(words)
    for finding, word in zip(found, words, strict=True):
        assert word in finding.what
        assert finding.mend


@pytest.fixture
async def store(tmp_path: Path):
    opened = await open_sqlite(tmp_path, WorkerId("node/0/1"))
    yield opened
    await opened.close()


def refused(**facts: str) -> Event:
    return Event(EventKind.LOGIN_REFUSED, NOW, account=NAME, facts={"reason": "r", **facts})


async def test_tokens_and_refusals_are_shown_beside_the_credentials(store) -> None:
    use = ForeignUse(NAME, CredentialId("oauth"), NOW, "XOAUTH2", "TLSv1.3 X")

    def job(tx):
        tx.put_account(ACCOUNT)
        tx.put_credential(GOOD)
        tx.put_credential(APP)
        tx.note_foreign_uses([use])
        tx.add_events([refused(credential="app"), refused(credential="app"), refused(tag="t")])

    await store.write(job)
    shown = holder_json(await show_any(store, "APP@example.com", NOW))
    assert shown["other_logins"] == [
        {
            "by": "oauth",
            "last_used_at": "2026-11-28T12:00:00.000Z",
            "last_mechanism": "XOAUTH2",
            "last_tls": "TLSv1.3 X",
        }
    ]
    assert {c["id"]: c["refused"] for c in shown["credentials"]} == {"main": 0, "app": 2}
    assert shown["refused_logins"]["count"] == 3
    assert shown["refused_logins"]["last_tag"] == "t"


async def test_an_account_of_a_directory_is_known_once_it_has_logged_in(store) -> None:
    with pytest.raises(NoSuchAccountError):
        await show_any(store, NAME, NOW)
    use = ForeignUse(NAME, CredentialId("directory/corp"), NOW, "PLAIN", "TLSv1.3 X")
    await store.write(lambda tx: tx.note_foreign_uses([use]))
    with pytest.raises(NoSuchAccountError):
        await show(store, NAME, NOW)
    holder = await show_any(store, NAME, NOW)
    assert isinstance(holder, Guest)
    shown = holder_json(holder)
    assert (shown["name"], shown["other_logins"][0]["by"]) == (NAME, "directory/corp")
