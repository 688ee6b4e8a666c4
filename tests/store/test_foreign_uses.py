"""Last uses of proofs that are not ours: what every Store promises."""

from datetime import timedelta

import pytest

from gatepost.model.account import Account
from gatepost.model.ids import AccountName, CredentialId
from gatepost.store.foreign_uses import ForeignUse
from gatepost.store.protocols import Store
from tests.store.makers import NOON
from tests.store.openers import OPENERS

NAME = AccountName("app@example.com")
TOKEN = ForeignUse(NAME, CredentialId("oauth"), NOON, "XOAUTH2", "TLSv1.3 X")
LDAP = ForeignUse(NAME, CredentialId("directory/corp"), NOON, "PLAIN", "")
OTHER = ForeignUse(AccountName("b@example.com"), CredentialId("oauth"), NOON, "OAUTHBEARER", "")


@pytest.fixture(params=OPENERS, ids=lambda opener: opener.__name__)
async def store(request: pytest.FixtureRequest, tmp_path):
    opened = await request.param(tmp_path)
    yield opened
    await opened.close()


async def uses(store: Store, name: AccountName = NAME):
    return await store.read(lambda reading: reading.foreign_uses(name))


async def test_the_last_use_of_each_proof_is_kept(store: Store):
    await store.write(lambda tx: tx.note_foreign_uses([TOKEN, OTHER, LDAP]))
    later = ForeignUse(NAME, TOKEN.proof, NOON + timedelta(hours=1), "OAUTHBEARER", "TLSv1.2 Y")
    await store.write(lambda tx: tx.note_foreign_uses([later]))
    assert await uses(store) == [LDAP, later]
    assert await uses(store, AccountName("nobody@example.com")) == []


async def test_a_removed_account_takes_its_uses_along(store: Store):
    await store.write(lambda tx: tx.put_account(Account(NAME, (NAME,), NOON)))
    await store.write(lambda tx: tx.note_foreign_uses([TOKEN, OTHER]))
    assert await store.write(lambda tx: tx.remove_account(NAME))
    assert await uses(store) == []
    assert await uses(store, OTHER.account) == [OTHER]
