"""Directories of others beside our own accounts: order, memory, trouble, and what time tells."""

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gatepost.identity.foreign import (
    Asker,
    Breaker,
    DirectoryAwayError,
    Everybody,
    ForeignDirectories,
    Heard,
    Placed,
)
from gatepost.identity.foreign_account import account_of, entry_of, usual
from gatepost.identity.verdict import Cause, Consequence
from gatepost.model.account import AccountState
from gatepost.model.ids import AccountName, CredentialId
from gatepost.model.lane import Lane
from gatepost.model.secret import Secret
from gatepost.wire.sasl.exchange import (
    CheckDigest,
    CheckPassword,
    CheckToken,
    Denied,
    Fault,
    Granted,
    TokenAnswer,
)
from gatepost.wire.sasl.scram_keys import derive_keys
from tests.identity.people import HERE, NAME, PASSWORD, People, account, digest, main, open_people

ALICE = AccountName("alice@corp.test")
RIGHT = "staple battery"


@dataclass
class Fake:
    """A directory in memory. `asked` has what it was asked, a password as "*"."""

    label: str = "corp"
    passwords: dict[str, str] = field(default_factory=lambda: {ALICE: RIGHT})
    suspended: set[str] = field(default_factory=set)
    can_look_up: bool = True
    has_keys: bool = False
    tells_unknown: bool = True
    away: bool = False
    scram: Secret | None = None
    takes: float = 0.0
    people: Any = None
    asked: list[tuple[str, str]] = field(default_factory=list)

    def _entry(self, name: AccountName) -> Any:
        if name not in self.passwords:
            return None
        known = account_of(name, [name], suspended=name in self.suspended)
        if self.scram is not None:
            known = replace(known, salt=b"salt", iterations=4096)
        return entry_of(self.label, known, scram=self.scram)

    async def find(self, name: AccountName) -> Any:
        self.asked.append((name, ""))
        if self.away:
            raise DirectoryAwayError(f'directory "{self.label}": gone')
        return self._entry(name)

    async def check(self, name: AccountName, password: str, asker: Asker) -> Heard:
        self.asked.append((name, "*"))
        if self.people is not None:
            self.people.later(seconds=self.takes)
        if self.away:
            raise DirectoryAwayError(f'directory "{self.label}": gone')
        entry = self._entry(name)
        if entry is not None and self.passwords[name] == password:
            return Heard(entry, True)
        if not self.tells_unknown:
            return Heard(None, False, "no (49)", decides=True)
        return Heard(entry, False, "no (49)" if entry else "")

    async def close(self) -> None:
        pass


@dataclass
class Company:
    """People, and directories beside them; `waits` has how long each refusal is kept back, until
    `go` in truth.
    """

    people: People
    first: Fake
    second: Fake
    waits: list[float]
    go: asyncio.Event


@pytest.fixture
async def company(tmp_path: Path) -> AsyncIterator[Company]:
    first, second = Fake("corp"), Fake("other", passwords={})
    waits: list[float] = []
    go = asyncio.Event()
    go.set()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await go.wait()

    made: list[People] = []

    def clock() -> float:
        return made[0].seconds()

    most = usual(Lane.BULK, 7, None)
    placed = [Placed(each, remember=timedelta(minutes=5), usual=most) for each in (first, second)]
    foreign = ForeignDirectories(placed, clock=clock, sleep=sleep)
    people = await open_people(tmp_path, foreign=foreign)
    made.append(people)
    await people.put(account(), main())
    yield Company(people, first, second, waits, go)
    people.authenticator.close()
    await people.store.close()


# -- who answers


async def test_our_own_accounts_come_first(company: Company) -> None:
    company.first.passwords[NAME] = RIGHT
    assert await company.people.cause(NAME, PASSWORD) is None
    assert await company.people.cause(NAME, RIGHT) is Cause.WRONG_PASSWORD
    assert company.first.asked == []


async def test_a_directory_lets_its_accounts_in(company: Company) -> None:
    verdict = await company.people.plain(ALICE, RIGHT)
    assert verdict.is_granted
    assert verdict.credential == "directory/corp"
    assert verdict.account
    assert verdict.account.senders == (ALICE,)
    assert (verdict.account.lane, verdict.account.limits[0].most) == (Lane.BULK, 7)


async def test_the_first_directory_that_knows_a_name_decides(company: Company) -> None:
    company.second.passwords[ALICE] = "another"
    company.second.passwords["bob@corp.test"] = RIGHT
    assert await company.people.cause(ALICE, "another") is Cause.WRONG_PASSWORD
    assert company.second.asked == []
    assert await company.people.cause("bob@corp.test", RIGHT) is None
    assert [name for name, _ in company.first.asked] == [ALICE, "bob@corp.test"]


async def test_no_other_directory_hears_a_password_that_one_judged(company: Company) -> None:
    company.first.tells_unknown = False
    company.second.passwords["bob@corp.test"] = RIGHT
    assert await company.people.cause("bob@corp.test", RIGHT) is Cause.WRONG_PASSWORD
    assert company.second.asked == []


async def test_only_names_of_its_domains_are_asked_for() -> None:
    directory = Fake()
    both = ForeignDirectories([Placed(directory, ("corp.test", "*.corp.test"))])
    for name in ("alice", "alice@test", "a@xcorp.test", "a@corp.test.x"):
        assert await both.check(AccountName(name), RIGHT, Asker()) is None
    assert directory.asked == []
    for name in ("alice@corp.test", "alice@deep.corp.test", "alice@CORP.test"):
        await both.check(AccountName(name), RIGHT, Asker())
    assert len(directory.asked) == 3


@pytest.mark.parametrize("name", ["", "a\0b", "a b@x", "a\nb", "x" * 256, "\udc80@x"])
async def test_what_is_no_name_is_not_asked_for(name: str) -> None:
    directory = Fake()
    assert await ForeignDirectories([Placed(directory)]).find(AccountName(name)) is None
    both = ForeignDirectories([Placed(directory)])
    assert await both.check(AccountName(name), RIGHT, Asker()) is None
    assert await both.keys(AccountName(name)) is None
    assert directory.asked == []


async def test_an_empty_password_is_never_tried(company: Company) -> None:
    assert await company.people.cause(ALICE, "") is Cause.UNKNOWN_ACCOUNT
    assert company.first.asked == []


async def test_suspension_is_told_to_the_right_password_alone(company: Company) -> None:
    company.first.suspended.add(ALICE)
    wrong, right = [await company.people.plain(ALICE, p) for p in ("no", RIGHT)]
    assert (wrong.cause, right.cause) == (Cause.WRONG_PASSWORD, Cause.SUSPENDED)
    assert right.reason == 'suspended: directory "corp"'
    assert wrong.reason == 'wrong password: directory "corp": no (49)'


# -- memory


async def test_a_right_password_is_believed_for_a_while(company: Company) -> None:
    people, directory = company.people, company.first
    await people.cause(ALICE, RIGHT)
    directory.passwords[ALICE] = "changed"
    people.later(minutes=4, seconds=59)
    assert await people.cause(ALICE, RIGHT) is None
    assert len(directory.asked) == 1
    assert await people.cause(ALICE, "changed") is None  # a new one is good at once
    people.later(minutes=5)
    assert await people.cause(ALICE, RIGHT) is Cause.WRONG_PASSWORD


async def test_it_is_believed_while_the_directory_is_away(company: Company) -> None:
    await company.people.cause(ALICE, RIGHT)
    company.first.away = True
    assert await company.people.cause(ALICE, RIGHT) is None
    company.people.later(minutes=5)
    assert await company.people.cause(ALICE, RIGHT) is Cause.DIRECTORY_AWAY


async def test_a_session_looks_at_its_account_again(company: Company) -> None:
    people, directory = company.people, company.first
    await people.cause(ALICE, RIGHT)
    everybody = people.authenticator.accounts
    theirs = CredentialId("directory/corp")
    entry = everybody.cached(ALICE)
    assert entry
    assert entry.speaking_by(theirs, people.now)
    assert entry.speaking_by(CredentialId("directory/other"), people.now) is None
    people.later(minutes=5)
    assert everybody.cached(ALICE) is None
    directory.away = True  # goes on with what is known
    assert await everybody.find(ALICE)
    directory.away = False
    directory.suspended.add(ALICE)
    found = await everybody.find(ALICE)
    assert found
    assert found.account.state is AccountState.SUSPENDED
    people.later(minutes=5)
    del directory.passwords[ALICE]
    assert await everybody.find(ALICE) is None


async def test_a_directory_that_needs_the_password_is_not_asked_without(company: Company) -> None:
    company.first.can_look_up = False
    assert await company.people.authenticator.accounts.find(ALICE) is None
    await company.people.cause(ALICE, RIGHT)
    company.people.later(hours=1)
    assert await company.people.authenticator.accounts.find(ALICE)
    assert [kind for _, kind in company.first.asked] == ["*"]


async def test_memory_is_bounded() -> None:
    directory = Fake(passwords={f"u{n}@x.test": RIGHT for n in range(9)})
    both = ForeignDirectories([Placed(directory)], size=4)
    for name in directory.passwords:
        await both.check(AccountName(name), RIGHT, Asker())
    assert [both.cached(AccountName(f"u{n}@x.test")) is not None for n in (0, 4, 5, 8)] == [
        False, False, True, True,
    ]  # fmt: skip


# -- trouble


async def test_a_directory_that_is_away_is_our_trouble(company: Company) -> None:
    company.first.away = True
    verdict = await company.people.plain(ALICE, RIGHT)
    assert verdict.cause is Cause.DIRECTORY_AWAY
    assert verdict.cause.consequence is Consequence.OUR_TROUBLE
    assert 'directory "corp": gone' in verdict.reason
    assert len(company.people.throttle) == 0
    assert await company.people.cause(NAME, PASSWORD) is None  # ours log in


async def test_silence_is_waited_for_once() -> None:
    now = 0.0
    breaker = Breaker("corp", 1, clock=lambda: now)
    breaker.look()
    breaker.unclear("two fit")
    breaker.look()
    breaker.broken("no answer")
    with pytest.raises(DirectoryAwayError, match='directory "corp": no answer'):
        breaker.look()
    now = 2.0
    breaker.look()


# -- guessing, and what time tells


async def test_a_locked_name_is_not_asked_for(company: Company) -> None:
    for _ in range(5):
        assert await company.people.cause(ALICE, "no") is Cause.WRONG_PASSWORD
    asked = len(company.first.asked)
    assert await company.people.cause(ALICE, RIGHT) is Cause.LOCKED_PAIR
    assert len(company.first.asked) == asked
    assert await company.people.cause(ALICE, RIGHT, client="198.51.100.1") is None


async def test_guesses_at_once_outrun_no_lock(company: Company) -> None:
    """Each counts before it is kept back: the sixth is not told, right or wrong."""
    company.go.clear()
    guesses = [asyncio.create_task(company.people.plain(ALICE, "no")) for _ in range(5)]
    async with asyncio.timeout(60):
        while len(company.waits) < 5:
            await asyncio.sleep(0)
    assert not any(guess.done() for guess in guesses)
    assert await company.people.cause(ALICE, RIGHT) is Cause.LOCKED_PAIR
    company.go.set()
    causes = [verdict.cause for verdict in await asyncio.gather(*guesses)]
    assert causes == [Cause.WRONG_PASSWORD] * 5


@pytest.mark.parametrize("takes", [0.0, 0.2, 0.9, 1.5])
async def test_every_refusal_takes_whole_seconds(company: Company, takes: float) -> None:
    company.first.takes, company.first.people = takes, company.people
    for name, password in ((ALICE, "no"), ("nobody@corp.test", "no"), (NAME, "no")):
        before = company.people.seconds()
        await company.people.plain(name, password)
        took = company.people.seconds() - before + company.waits.pop()
        assert took == pytest.approx(round(took))
        assert took >= 1
    assert await company.people.cause(ALICE, RIGHT) is None
    assert company.waits == []


# -- other mechanisms


async def test_other_mechanisms_say_why_they_cannot_work(company: Company) -> None:
    verdict, offer = await company.people.scram(ALICE, RIGHT)
    assert (len(set(offer.keys)), verdict.cause) == (1, Cause.UNKNOWN_ACCOUNT), "nobody's keys"
    assert 'directory "corp", "other" log in by PLAIN or LOGIN only' in verdict.reason
    attempt = company.people.begin("CRAM-MD5")
    assert not await attempt.answer(CheckDigest(ALICE, b"<1@x>", digest(RIGHT, b"<1@x>")))
    assert attempt.conclude(Denied(Fault.CREDENTIALS, ALICE)).cause is Cause.UNKNOWN_ACCOUNT


async def test_keys_of_a_directory_check_scram(company: Company) -> None:
    keys = derive_keys("SHA-256", RIGHT, b"salt", 4096)
    stored, server = (base64.b64encode(k).decode() for k in (keys.stored_key, keys.server_key))
    company.first.has_keys, company.first.scram = True, Secret(f"SHA-256:{stored}:{server}")
    verdict, _ = await company.people.scram(ALICE, RIGHT)
    assert (verdict.cause, verdict.credential) == (None, "directory/corp")
    assert (await company.people.scram(ALICE, "no"))[0].cause is Cause.WRONG_PASSWORD
    company.first.scram = None
    verdict, _ = await company.people.scram(ALICE, RIGHT)
    assert verdict.cause is Cause.NO_SCRAM_KEYS
    assert 'directory "corp" has none for it' in verdict.reason


async def test_scram_asks_directories_with_keys_whoever_has_the_name(company: Company) -> None:
    company.first.has_keys = True
    for name in (NAME, ALICE, "nobody@corp.test"):
        await company.people.scram(name, "no")
    assert [name for name, _ in company.first.asked] == [NAME, ALICE, "nobody@corp.test"]
    company.first.away = True
    assert (await company.people.scram(NAME, PASSWORD))[0].is_granted
    verdict, offer = await company.people.scram(ALICE, RIGHT)
    assert (verdict.cause, len(set(offer.keys))) == (Cause.DIRECTORY_AWAY, 1), "nobody's keys"


async def test_a_token_stands_for_an_account_of_a_directory(company: Company) -> None:
    class Issuer:
        def challenge(self) -> bytes:
            return b"{}"

        async def holder(self, token: str, at: Any) -> str:
            return token

    checks = company.people.authenticator._checks
    company.people.authenticator._checks = replace(checks, tokens=Issuer())
    for name, cause in ((ALICE, None), ("nobody@corp.test", Cause.UNKNOWN_ACCOUNT)):
        attempt = company.people.begin("XOAUTH2")
        answer = await attempt.answer(CheckToken(name, name))
        assert isinstance(answer, TokenAnswer)
        assert attempt.verdict.cause is cause


# -- use


async def test_the_last_use_is_kept(company: Company) -> None:
    attempt = company.people.begin(client=HERE)
    assert await attempt.answer(CheckPassword(ALICE, RIGHT))
    attempt.conclude(Granted(ALICE))
    await company.people.uses.flush()
    (use,) = await company.people.store.read(lambda reading: reading.foreign_uses(ALICE))
    assert (use.proof, use.mechanism, use.at) == ("directory/corp", "PLAIN", company.people.now)


async def test_everybody_without_directories_is_our_own(company: Company) -> None:
    everybody = Everybody(company.people.directory)
    assert await everybody.find(NAME)
    assert await everybody.find(ALICE) is None
    assert everybody.cached(ALICE) is None
