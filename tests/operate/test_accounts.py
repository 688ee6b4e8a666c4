"""The verbs on accounts, over a store in memory."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gatepost.identity.master_key import MasterKey
from gatepost.identity.passwords import verify_password
from gatepost.model.account import Account, AccountState, Credential, CredentialKind
from gatepost.model.event import Event, EventKind
from gatepost.model.ids import AccountName, CredentialId
from gatepost.model.secret import Secret
from gatepost.operate import account_shown, accounts, credentials
from gatepost.operate.accounts import (
    AccountError,
    AccountExistsError,
    BadNameError,
    BadPasswordError,
    BadSenderError,
    By,
    NewPassword,
    NoSuchAccountError,
)
from tests.memory_accounts import MemoryAccounts
from tests.memory_quotas import MemoryQuotas

AT = datetime(2026, 11, 23, tzinfo=UTC)
BY = By(AT, "root")
LATER = By(AT + timedelta(days=1), "root")
NEW = NewPassword(CredentialId("c1"), Secret("correct horse"))
KEY = MasterKey(bytes(32))


class FakeStore(MemoryAccounts, MemoryQuotas):
    """A Store of accounts, credentials and events; a job that raises changes nothing."""

    def __init__(self) -> None:
        self.people: dict[str, Account] = {}
        self.secrets: dict[str, Credential] = {}
        self.events: list[Event] = []

    async def write(self, job: Callable[["FakeStore"], Any]) -> Any:
        before = dict(self.people), dict(self.secrets), list(self.events)
        try:
            return job(self)
        except Exception:
            self.people, self.secrets, self.events = before
            raise

    async def read(self, query: Callable[["FakeStore"], Any]) -> Any:
        return query(self)

    def account(self, name: AccountName) -> Account | None:
        return self.people.get(name)

    def accounts(self) -> list[Account]:
        return [self.people[name] for name in sorted(self.people)]

    def credentials(self, name: AccountName) -> list[Credential]:
        return [c for c in self.secrets.values() if c.account == name]

    def certificates(self) -> list[Credential]:
        return [c for c in self.secrets.values() if c.kind is CredentialKind.CERTIFICATE]

    def api_keys(self) -> list[Any]:
        return []

    def foreign_uses(self, account: str) -> list[Any]:
        return []

    def refused_logins(self, since: datetime, *, account: str) -> list[Event]:
        return [e for e in self.events if e.kind is EventKind.LOGIN_REFUSED and e.at >= since]

    def put_account(self, account: Account) -> None:
        self.people[account.name] = account

    def remove_account(self, name: AccountName) -> bool:
        self.secrets = {i: c for i, c in self.secrets.items() if c.account != name}
        return self.people.pop(name, None) is not None

    def put_credential(self, credential: Credential) -> None:
        self.secrets[credential.id] = credential

    def remove_credential(self, credential_id: CredentialId) -> bool:
        return self.secrets.pop(credential_id, None) is not None

    def add_events(self, events: list[Event]) -> None:
        self.events += events

    @property
    def told(self) -> list[tuple[EventKind, str | None, dict[str, Any]]]:
        return [(e.kind, e.account, dict(e.facts)) for e in self.events]


@pytest.fixture
def store() -> Any:
    return FakeStore()


async def add(store: Any, name: str = "app@example.com", *senders: str) -> Account:
    return await accounts.add(store, name, NEW, grants=accounts.Grants(senders), key=KEY, by=BY)


async def test_an_address_owns_itself(store: Any) -> None:
    account = await add(store, " App@Example.COM ")
    name = AccountName("app@example.com")
    expected = Account(name, (name,), AT, salt=KEY.salt(name), iterations=120_000)
    assert account == expected
    assert store.told == [
        (EventKind.ACCOUNT_ADDED, "app@example.com", {"senders": "app@example.com", "by": "root"})
    ]


async def test_the_password_is_stored_as_its_hash(store: Any) -> None:
    await add(store)
    credential = store.secrets["c1"]
    assert verify_password(credential.verifier, "correct horse")
    assert credential.created_at == AT
    assert "correct" not in repr(store.events)


@pytest.mark.parametrize(
    ("senders", "kept"),
    [
        (("News@Example.com", "@Example.ORG"), ("news@example.com", "@example.org")),
        (("@gr\u00fcn.example",), ("@xn--grn-ioa.example",)),
        (("a@b.example", "A@B.example"), ("a@b.example",)),
        (('"a b"@c.example',), ('"a b"@c.example',)),
    ],
)
async def test_senders_are_kept_in_the_form_in_which_they_are_compared(
    store: Any, senders: tuple[str, ...], kept: tuple[str, ...]
) -> None:
    account = await add(store, "newsletter", *senders)
    assert account.senders == kept
    assert account.name == "newsletter"


@pytest.mark.parametrize(
    ("name", "senders", "error"),
    [
        ("newsletter", (), BadSenderError),
        ("@example.com", (), BadSenderError),
        ("app@localhost", (), BadSenderError),
        ("app", ("example.com",), BadSenderError),
        ("app", ("a@b@c.example",), BadSenderError),
        ("app", ("@",), BadSenderError),
        ("app", ("@local",), BadSenderError),
        ("app", ("@-x-.example",), BadSenderError),
        ("app", ("",), BadSenderError),
        ("app", ("a@b.example", "nonsense"), BadSenderError),
        ("", (), BadNameError),
        ("a b", ("a@b.example",), BadNameError),
        ("a\0b", ("a@b.example",), BadNameError),
        ("x" * 256, ("a@b.example",), BadNameError),
    ],
)
async def test_what_cannot_be_is_refused_with_its_mend(
    store: Any, name: str, senders: tuple[str, ...], error: type[AccountError]
) -> None:
    with pytest.raises(error) as raised:
        await add(store, name, *senders)
    assert raised.value.what
    assert raised.value.mend
    assert not store.people


@pytest.mark.parametrize("password", ["", "1234567", "p\u00e4ssw\u00f6r", "a" * 1025, "12345678\0"])
async def test_bad_passwords_are_refused_and_not_repeated(store: Any, password: str) -> None:
    new = NewPassword(CredentialId("c"), Secret(password))
    with pytest.raises(BadPasswordError) as raised:
        await accounts.add(store, "a@b.example", new, key=KEY, by=BY)
    assert not password or password not in str(raised.value)
    assert not store.people


async def test_a_name_is_taken_once_however_it_is_written(store: Any) -> None:
    await add(store)
    with pytest.raises(AccountExistsError, match=r"account password app@example\.com"):
        await add(store, "APP@example.com", "@other.example")
    assert len(store.events) == 1


async def test_listing_and_showing(store: Any) -> None:
    await add(store, "b@example.com")
    await accounts.add(
        store, "a@example.com", replace(NEW, credential_id=CredentialId("c2")), key=KEY, by=BY
    )
    assert [a.name for a in await accounts.listing(store)] == ["a@example.com", "b@example.com"]
    holder = await account_shown.show(store, "B@Example.com", AT)
    assert holder.account.name == "b@example.com"
    assert [c.id for c in holder.credentials] == ["c1"]


async def test_what_json_shows_has_no_verifier(store: Any) -> None:
    await add(store)
    shown = account_shown.holder_json(await account_shown.show(store, "app@example.com", AT))
    assert shown["created_at"] == "2026-11-23T00:00:00.000Z"
    assert shown["senders"] == ["app@example.com"]
    assert shown["credentials"][0]["kind"] == "password"
    assert "argon2" not in repr(shown)


async def test_a_new_password_replaces_the_old_one(store: Any) -> None:
    await add(store)
    store.put_account(replace(store.people["app@example.com"], exposed_at=AT))
    new = NewPassword(CredentialId("c2"), Secret("battery staple"))
    await credentials.set_password(store, "App@example.com", new, key=KEY, by=LATER)
    assert list(store.secrets) == ["c2"]
    assert verify_password(store.secrets["c2"].verifier, "battery staple")
    assert store.people["app@example.com"].exposed_at is None
    assert store.told[-1] == (
        EventKind.ACCOUNT_CHANGED, "app@example.com", {"change": "password", "by": "root"}
    )  # fmt: skip


async def test_suspend_and_resume_are_told_once_each(store: Any) -> None:
    await add(store)
    for _ in range(2):
        account = await accounts.suspend(store, "app@example.com", by=LATER)
        assert account.state is AccountState.SUSPENDED
    assert (await accounts.resume(store, "app@example.com", by=LATER)).state is AccountState.ACTIVE
    assert [facts["change"] for _, _, facts in store.told[1:]] == ["suspended", "active"]


async def test_removing_takes_the_credentials_along(store: Any) -> None:
    await add(store)
    assert await accounts.remove(store, "APP@example.com", by=LATER) == "app@example.com"
    assert not store.people
    assert not store.secrets
    assert store.told[-1] == (EventKind.ACCOUNT_REMOVED, "app@example.com", {"by": "root"})


@pytest.mark.parametrize("verb", [accounts.suspend, accounts.resume, accounts.remove])
async def test_an_unknown_account_is_named_with_its_neighbour(store: Any, verb: Any) -> None:
    await add(store)
    with pytest.raises(NoSuchAccountError, match=r'did you mean "app@example\.com"'):
        await verb(store, "app@example.org", by=LATER)
    with pytest.raises(NoSuchAccountError, match="account list"):
        await account_shown.show(store, "\0", AT)
