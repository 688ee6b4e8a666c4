"""Who is it: the verdict, its cause, and what it costs."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from gatepost.identity.attempt import Checks
from gatepost.identity.authenticate import Authenticator, Cause, LoginFacts, Verdict
from gatepost.identity.cram import CramChecker
from gatepost.identity.directory import Directory
from gatepost.identity.master_key import MasterKey
from gatepost.identity.matching import Matcher
from gatepost.identity.passwords import (
    NOBODY,
    PasswordChecker,
    hash_password,
    verify_password,
)
from gatepost.identity.shared_checks import SharedChecks
from gatepost.identity.throttle import Throttle
from gatepost.identity.turns import BusyError
from gatepost.identity.uses import LastUses
from gatepost.identity.verified import VerifiedCredentials
from gatepost.model.account import Account, AccountState, Credential, CredentialKind
from gatepost.model.ids import AccountName, CredentialId
from gatepost.model.secret import Secret
from gatepost.store.protocols import StoreUnavailableError
from gatepost.wire.sasl.exchange import CheckPassword
from tests.memory_accounts import MemoryAccounts
from tests.memory_quotas import MemoryQuotas

AT = datetime(2026, 11, 23, tzinfo=UTC)
NAME = AccountName("app@example.com")
ACCOUNT = Account(NAME, ("app@example.com",), AT)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeStore(MemoryAccounts, MemoryQuotas):
    """Accounts by name; counts what it is asked."""

    def __init__(self) -> None:
        self.people = {NAME: ACCOUNT}
        self.secrets = {NAME: [credential("right")]}
        self.reads = 0
        self.is_away = False

    async def read(self, query: Callable[["FakeStore"], object]) -> object:
        self.reads += 1
        if self.is_away:
            raise StoreUnavailableError("gone")
        return query(self)

    def account(self, name: AccountName) -> Account | None:
        return self.people.get(name)

    def credentials(self, name: AccountName) -> list[Credential]:
        return self.secrets.get(name, [])


def credential(password: str) -> Credential:
    """Return a credential whose verifier is readable, for a verify that compares."""
    secret = Secret(f"$argon2id$plain:{password}")
    return Credential(CredentialId(f"id-{password}"), NAME, CredentialKind.PASSWORD, secret, AT)


class World:
    """An Authenticator over fakes; `verified_against` lists what argon2 was asked."""

    def __init__(self, **checker: int) -> None:
        self.clock = Clock()
        self.store = FakeStore()
        self.verified_against: list[Secret] = []
        self.directory = Directory(self.store, clock=self.clock)  # type: ignore[arg-type]
        self.checker = PasswordChecker(verify=self.verify, **checker)
        self.cache = VerifiedCredentials(clock=self.clock)
        key = MasterKey(bytes(32))
        store: Any = self.store
        self.authenticator = Authenticator(
            Checks(
                directory=self.directory,
                matcher=Matcher(
                    checker=self.checker,
                    verified=self.cache,
                    shared=SharedChecks(),
                    rehasher=SimpleNamespace(rehash=lambda *_: None),  # type: ignore[arg-type]
                ),
                key=key,
                cram=CramChecker(key),
                throttle=Throttle(store),
                uses=LastUses(store),
            )
        )

    def verify(self, verifier: Secret, password: str) -> bool:
        self.verified_against.append(verifier)
        return verifier == Secret(f"$argon2id$plain:{password}")

    async def check(self, name: str, password: str) -> Verdict:
        attempt = self.authenticator.begin(LoginFacts("192.0.2.7", "PLAIN"))
        await attempt.answer(CheckPassword(name, password))
        return attempt.verdict

    async def cause(self, name: str, password: str) -> Cause | None:
        return (await self.check(name, password)).cause


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.authenticator.close()


async def test_right_credentials_are_granted_with_account_and_credential(world: World) -> None:
    verdict = await world.check("App@Example.com", "right")
    assert verdict.is_granted
    assert (verdict.name, verdict.account, verdict.credential) == (NAME, ACCOUNT, "id-right")


@pytest.mark.parametrize(
    ("name", "password", "cause"),
    [
        (NAME, "wrong", Cause.WRONG_PASSWORD),
        ("nobody@example.com", "right", Cause.UNKNOWN_ACCOUNT),
        ("\ue000", "right", Cause.UNKNOWN_ACCOUNT),
        (NAME, "\ue000", Cause.WRONG_PASSWORD),
        ("", "", Cause.UNKNOWN_ACCOUNT),
    ],
)
async def test_each_no_costs_one_check_whatever_its_cause(
    world: World, name: str, password: str, cause: Cause
) -> None:
    assert await world.cause(name, password) is cause
    assert len(world.verified_against) == 1
    assert (world.verified_against == [NOBODY]) is (cause is Cause.UNKNOWN_ACCOUNT)


async def test_an_account_without_password_costs_the_same(world: World) -> None:
    world.store.secrets = {}
    assert await world.cause(NAME, "right") is Cause.WRONG_PASSWORD
    assert world.verified_against == [NOBODY]


async def test_a_hash_of_another_system_costs_no_less(world: World) -> None:
    imported = Secret("{SSHA}AAAA")
    world.store.secrets[NAME] = [replace(credential("right"), verifier=imported)]
    assert await world.cause(NAME, "wrong") is Cause.WRONG_PASSWORD
    assert world.verified_against == [imported, NOBODY]


async def test_suspended_is_told_only_to_those_who_know_the_password(world: World) -> None:
    world.store.people[NAME] = replace(ACCOUNT, state=AccountState.SUSPENDED)
    assert await world.cause(NAME, "wrong") is Cause.WRONG_PASSWORD
    assert await world.cause(NAME, "right") is Cause.SUSPENDED


async def test_a_store_that_is_away_is_nobodys_fault(world: World) -> None:
    world.store.is_away = True
    assert await world.cause(NAME, "right") is Cause.STORE_AWAY
    assert world.verified_against == []


async def test_any_of_several_passwords_will_do(world: World) -> None:
    world.store.secrets[NAME] = [credential("old"), credential("new")]
    for password in ("old", "new"):
        verdict = await world.check(NAME, password)
        assert verdict.credential == f"id-{password}"


async def test_a_right_password_is_checked_once_for_a_few_minutes(world: World) -> None:
    assert [await world.cause(NAME, "right") for _ in range(3)] == [None] * 3
    assert len(world.verified_against) == 1
    assert await world.cause(NAME, "wrong") is Cause.WRONG_PASSWORD
    world.clock.now += 301
    assert await world.cause(NAME, "right") is None
    assert len(world.verified_against) == 3


async def test_a_changed_password_is_not_remembered(world: World) -> None:
    assert await world.cause(NAME, "right") is None
    world.store.secrets[NAME] = [credential("other")]
    world.directory.drop()
    assert await world.cause(NAME, "right") is Cause.WRONG_PASSWORD


async def test_too_many_at_once_are_told_to_come_again() -> None:
    go = threading.Event()
    checker = PasswordChecker(threads=1, waiting=1, verify=lambda *_: go.wait(10))
    try:
        two = [asyncio.create_task(checker.verify(NOBODY, "x")) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await checker.verify(NOBODY, "x")
        go.set()
        assert await asyncio.gather(*two) == [True, True]
        assert await checker.verify(NOBODY, "x") is True
    finally:
        checker.close()


async def test_busy_is_a_cause_of_its_own() -> None:
    world = World(threads=0 + 1, waiting=-1)
    assert await world.cause(NAME, "right") is Cause.BUSY
    assert await world.cause("nobody@example.com", "x") is Cause.BUSY
    world.authenticator.close()


async def test_one_who_has_gone_leaves_his_place() -> None:
    go = threading.Event()
    checker = PasswordChecker(threads=1, waiting=0, verify=lambda *_: go.wait(10))
    waiting = asyncio.create_task(checker.verify(NOBODY, "x"))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go.set()
    async with asyncio.timeout(30):
        while True:
            try:
                assert await checker.verify(NOBODY, "x") is True
                break
            except BusyError:
                await asyncio.sleep(0.01)
    checker.close()


def test_argon2_says_yes_and_no() -> None:
    verifier = hash_password("pässwörd")
    assert verify_password(verifier, "pässwörd")
    assert not verify_password(verifier, "password")
    assert "pässwörd" not in verifier.reveal()
    with pytest.raises(ValueError, match="damaged"):
        verify_password(Secret("plain text"), "plain text")


def test_nobodys_verifier_costs_as_much_as_a_real_one() -> None:
    def costs(verifier: Secret) -> list[str]:
        return verifier.reveal().split("$")[1:4]

    assert costs(NOBODY) == costs(hash_password("x")) == ["argon2id", "v=19", "m=19456,t=2,p=1"]
    real, nobody = hash_password("x").reveal().split("$"), NOBODY.reveal().split("$")
    assert [len(part) for part in real] == [len(part) for part in nobody]
    assert not verify_password(NOBODY, "")


async def test_the_directory_asks_once(world: World) -> None:
    for _ in range(3):
        assert await world.directory.find(NAME) is not None
        assert await world.directory.find(AccountName("nobody")) is None
    assert world.store.reads == 2
    cached = world.directory.cached(NAME)
    assert cached is not None
    assert cached.account is ACCOUNT
    assert world.directory.cached(AccountName("nobody")) is None
    assert world.directory.cached(AccountName("never asked")) is None


async def test_a_change_is_seen_within_a_second(world: World) -> None:
    world.directory.note_version(1)
    world.clock.now += 10
    await world.directory.find(NAME)
    world.store.people[NAME] = suspended = replace(ACCOUNT, state=AccountState.SUSPENDED)
    world.clock.now += 0.2
    world.directory.note_version(2)
    world.clock.now += 0.5
    assert world.directory.cached(NAME) is None
    found = await world.directory.find(NAME)
    assert found is not None
    assert found.account is suspended


async def test_a_busy_database_does_not_empty_the_directory(world: World) -> None:
    for version in range(50):
        world.directory.note_version(version)
        await world.directory.find(NAME)
        world.clock.now += 0.2
    assert world.store.reads <= 18


async def test_without_a_change_nothing_grows_old(world: World) -> None:
    world.directory.note_version(1)
    world.clock.now += 1
    await world.directory.find(NAME)
    world.clock.now += 10_000
    world.directory.note_version(1)
    assert world.directory.cached(NAME) is not None


async def test_made_up_names_push_no_account_out() -> None:
    world = World()
    directory = Directory(world.store, size=2, unknown=3)  # type: ignore[arg-type]
    await directory.find(NAME)
    for n in range(20):
        await directory.find(AccountName(f"made-up-{n}"))
    assert directory.cached(NAME) is not None
    world.store.reads = 0
    await directory.find(AccountName("made-up-19"))
    await directory.find(AccountName("made-up-0"))
    assert world.store.reads == 1
    world.authenticator.close()


def test_the_cache_of_right_passwords_is_bounded_and_forgets() -> None:
    clock = Clock()
    cache = VerifiedCredentials(lifetime=timedelta(minutes=1), size=2, clock=clock)
    for password in ("a", "b", "c"):
        cache.remember(NAME, password, NOBODY)
    assert [cache.knows(NAME, p, NOBODY) for p in "abc"] == [False, True, True]
    assert not cache.knows(AccountName("other"), "c", NOBODY)
    assert not cache.knows(NAME, "c", Secret("another verifier"))
    clock.now += 60
    assert not cache.knows(NAME, "c", NOBODY)
    cache.forget()
    assert len(cache) == 0


def test_the_cache_of_right_passwords_holds_no_password() -> None:
    cache = VerifiedCredentials()
    cache.remember(NAME, "hunter2", NOBODY)
    assert b"hunter2" not in b"".join(cache._ends)


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own")
async def test_hashing_stands_back_behind_everything_else() -> None:
    checker = PasswordChecker()
    ours = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def own() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    assert await checker.compute(own) == min(19, ours + 10)
    assert own() == ours
    checker.close()
