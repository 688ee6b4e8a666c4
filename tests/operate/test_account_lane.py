"""How urgent the mail of an account, or of one of its credentials, is."""

import pytest

from gatepost.model.account import CredentialKind
from gatepost.model.ids import CredentialId
from gatepost.model.lane import Lane
from gatepost.operate import accounts, credentials
from gatepost.operate.account_lane import set_lane
from gatepost.operate.credentials import NoSuchCredentialError, Wanted
from tests.operate.test_accounts import BY, KEY, NEW, FakeStore

APP_PASSWORD = CredentialId("0123456789abcdef")


@pytest.fixture
async def store() -> FakeStore:
    store = FakeStore()
    await accounts.add(store, "app@example.com", new=NEW, key=KEY, by=BY)
    await credentials.add_app_password(
        store, "app@example.com", Wanted("web"), credential_id=APP_PASSWORD, key=KEY, by=BY
    )
    return store


async def test_an_account_has_a_lane_and_has_none(store: FakeStore) -> None:
    assert (await set_lane(store, "app@example.com", Lane.OTP, by=BY)).lane is Lane.OTP
    assert store.events[-1].facts["change"] == "lane otp"
    assert (await set_lane(store, "app@example.com", None, by=BY)).lane is None
    assert store.events[-1].facts["change"] == "lane none"
    assert {c.lane for c in store.secrets.values()} == {None}


@pytest.mark.parametrize(
    ("named", "kind"),
    [
        ("web", CredentialKind.APP_PASSWORD),
        (APP_PASSWORD, CredentialKind.APP_PASSWORD),
        (APP_PASSWORD[:8], CredentialKind.APP_PASSWORD),
        ("password", CredentialKind.PASSWORD),
    ],
)
async def test_a_credential_is_named_as_everywhere(
    store: FakeStore, named: str, kind: CredentialKind
) -> None:
    account = await set_lane(store, "app@example.com", Lane.BULK, label=named, by=BY)
    assert account.lane is None
    assert [c.kind for c in store.secrets.values() if c.lane is Lane.BULK] == [kind]
    assert store.events[-1].facts["change"] == f"lane bulk for {named}"


async def test_one_that_is_not_there_is_said_with_those_that_are(store: FakeStore) -> None:
    before = dict(store.secrets)
    with pytest.raises(NoSuchCredentialError) as refused:
        await set_lane(store, "app@example.com", Lane.BULK, label="shop", by=BY)
    assert refused.value.mend == 'it has: "password", "web"'
    assert store.secrets == before
