"""What SQL rows, HTTP answers and LDAP values mean: one row for each case."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from gatepost.identity.foreign import Asker, DirectoryAwayError
from gatepost.identity.foreign_account import account_of, completed, usual
from gatepost.identity.foreign_http import HttpDirectory, HttpSettings, read_answer
from gatepost.identity.foreign_ldap import LdapDirectory, addresses, is_disabled
from gatepost.identity.foreign_sql import SqlDirectory, SqlSource, read_rows
from gatepost.identity.passwords import PasswordChecker, hash_password
from gatepost.identity.turns import BusyError
from gatepost.model.account import AccountState
from gatepost.model.ids import AccountName
from gatepost.model.lane import Lane
from gatepost.model.quota import Limit, Unit, Window
from gatepost.model.secret import Secret
from gatepost.net.ldap import LdapAnswer, LdapAwayError, LdapEntry, LdapError, Question
from gatepost.net.sql import SqlAwayError, SqlError

NAME = AccountName("alice@corp.test")
HASH = "{SSHA}8Qx5cSoqkhtdLlxmd2ZGO2wGJsw5SH/5"
SCRAM = "SCRAM-SHA-256$4096:c2FsdA==$" + "A" * 43 + "=:" + "B" * 43 + "="


def row(**more: Any) -> dict[str, Any]:
    return {"password": HASH} | more


@pytest.mark.parametrize(
    ("rows", "senders", "state"),
    [
        ([row()], (NAME,), "active"),
        ([row(senders=None, state=None)], (NAME,), "active"),
        (
            [row(senders="Sales@Corp.test, @brand.test")],
            ("sales@corp.test", "@brand.test"),
            "active",
        ),
        ([row(senders="a@x.test"), row(senders="b@x.test")], ("a@x.test", "b@x.test"), "active"),
        ([row(senders=["a@x.test"], state="active")], ("a@x.test",), "active"),
        ([row(state=" Suspended ")], (NAME,), "suspended"),
        ([row(state=False)], (NAME,), "suspended"),
        ([row(state=0)], (NAME,), "suspended"),
        ([row(state=True)], (NAME,), "active"),
        ([row(state=1)], (NAME,), "active"),
        ([row(state="t")], (NAME,), "active"),
        ([row(password=HASH.encode())], (NAME,), "active"),
    ],
)
def test_rows(rows: list[Any], senders: tuple[str, ...], state: str) -> None:
    entry = read_rows("corp", NAME, rows)
    assert entry
    assert (entry.account.senders, entry.account.state) == (senders, state)
    assert entry.credentials[0].id == "directory/corp"
    assert entry.credentials[0].verifier == Secret(HASH)


def test_lane_and_limits() -> None:
    entry = read_rows("corp", NAME, [row(lane="OTP ", hourly=5, daily=None)])
    assert entry
    assert entry.account.lane is Lane.OTP
    assert entry.account.limits == (Limit(Unit.MESSAGES, Window.HOUR, 5),)
    heard = read_answer("corp", NAME, {"answer": "ok", "lane": "bulk", "daily": 9})
    assert heard.entry
    assert heard.entry.account.lane is Lane.BULK
    assert heard.entry.account.limits == (Limit(Unit.MESSAGES, Window.DAY, 9),)


def test_what_is_usual_fills_in() -> None:
    entry = read_rows("corp", NAME, [row(hourly=5)])
    assert entry
    account = completed(entry, usual(Lane.BULK, 1, 2)).account
    assert account.lane is Lane.BULK
    assert {(limit.window, limit.most) for limit in account.limits} == {
        (Window.HOUR, 5),
        (Window.DAY, 2),
    }


def test_a_name_that_is_no_address_owns_none() -> None:
    entry = read_rows("corp", AccountName("alice"), [row()])
    assert entry
    assert entry.account.senders == ()


@pytest.mark.parametrize("name", ["*@corp.test", "@corp.test", "*", "*.corp.test", "a*@corp.test"])
async def test_a_name_that_looks_like_many_addresses_owns_none(name: str) -> None:
    who = AccountName(name)
    by_http = read_answer("corp", who, {"answer": "ok"}).entry
    client: Any = Client(lambda: LdapAnswer(LdapEntry("uid=x"), True))
    client.has_attributes = False
    by_ldap = (
        await LdapDirectory("corp", client, at_once=1, timeout=5.0).check(who, "x", Asker())
    ).entry
    for entry in (read_rows("corp", who, [row()]), by_http, by_ldap):
        assert entry
        assert entry.account.senders == ()


def test_no_rows_are_nobody() -> None:
    assert read_rows("corp", NAME, []) is None


def test_keys_come_with_their_salt_and_count() -> None:
    entry = read_rows("corp", NAME, [row(scram=SCRAM)])
    assert entry
    assert (entry.account.salt, entry.account.iterations) == (b"salt", 4096)
    assert entry.credentials[0].scram == Secret(f"SHA-256:{'A' * 43}=:{'B' * 43}=")


def sql(rows: list[Any] | Exception, checker: PasswordChecker) -> SqlDirectory:
    async def ask(names: Mapping[str, str]) -> list[Any]:
        if isinstance(rows, Exception):
            raise rows
        return rows

    async def close() -> None:
        pass

    return SqlDirectory("corp", SqlSource(ask, close), checker, at_once=2)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"hash": "x"}], 'no column "password"'),
        ([row(), row(password="{SSHA}other")], "more than one account fits"),
        ([row(password="{ROT13}frperg")], "the scheme {ROT13} is not known"),
        ([row(password="in clear")], "no hash that Gatepost knows"),
        ([row(senders="nobody at all")], 'column "senders"'),
        ([row(state="perhaps")], '"perhaps" is neither'),
        ([row(lane="fast")], 'column "lane": "fast" is none of otp'),
        ([row(hourly=-1)], 'column "hourly": "-1" is no number'),
        ([row(daily=True)], 'column "daily"'),
        ([row(scram="SCRAM-SHA-1$x")], 'column "scram"'),
    ],
)
async def test_rows_that_cannot_be_gone_by_are_trouble_of_one_name(
    rows: list[Any], words: str
) -> None:
    directory = sql(rows, PasswordChecker())
    for _ in range(2):  # others are asked on: it does not rest
        with pytest.raises(DirectoryAwayError) as caught:
            await directory.find(NAME)
        assert words in str(caught.value)
    assert "frperg" not in str(caught.value)
    assert "in clear" not in str(caught.value)


async def test_passwords_are_checked_against_the_hash() -> None:
    checker = PasswordChecker()
    verifier = hash_password("right").reveal()
    directory = sql([row(password=verifier)], checker)
    assert (await directory.check(NAME, "right", Asker())).right
    assert not (await directory.check(NAME, "wrong", Asker())).right
    without = await sql([row(password=None)], checker).check(NAME, "right", Asker())
    assert (without.right, without.words) == (False, "it has no password")
    assert (await sql([], checker).check(NAME, "right", Asker())).entry is None
    checker.close()


@pytest.mark.parametrize(
    ("problem", "rests"), [(SqlAwayError("gone"), True), (SqlError("bad cast"), False)]
)
async def test_only_silence_makes_a_database_rest(problem: Exception, rests: bool) -> None:
    directory = sql(problem, PasswordChecker())
    with pytest.raises(DirectoryAwayError):
        await directory.find(NAME)
    if rests:
        with pytest.raises(DirectoryAwayError):
            directory._breaker.look()
    else:
        directory._breaker.look()


# -- HTTP


@pytest.mark.parametrize(
    ("answer", "right", "decides", "senders"),
    [
        ({"answer": "ok"}, True, False, (NAME,)),
        ({"answer": "ok", "senders": ["@Brand.test"]}, True, False, ("@brand.test",)),
        ({"answer": "ok", "senders": []}, True, False, ()),
        ({"answer": "suspended"}, True, False, (NAME,)),
        ({"answer": "wrong"}, False, True, None),
        ({"answer": "unknown"}, False, False, None),
    ],
)
def test_answers(answer: Any, right: bool, decides: bool, senders: Any) -> None:
    heard = read_answer("corp", NAME, answer)
    assert (heard.right, heard.decides) == (right, decides)
    assert (heard.entry.account.senders if heard.entry else None) == senders
    if heard.entry:
        suspended = heard.entry.account.state is AccountState.SUSPENDED
        assert suspended == (answer["answer"] == "suspended")


@pytest.mark.parametrize(
    "answer",
    [{}, {"answer": True}, {"answer": "yes"}, {"answer": ["ok"]}, {"answer": "ok", "senders": "a@x.test"},
     {"answer": "ok", "senders": ["nonsense"]}, {"answer": "ok", "lane": 1},
     {"answer": "ok", "lane": []}, {"answer": "ok", "lane": {}},
     {"answer": "ok", "daily": "9"}, {"answer": "ok", "hourly": 0}],
)  # fmt: skip
def test_answers_that_are_not_understood(answer: Any) -> None:
    with pytest.raises(ValueError, match=r"says neither|senders|lane|daily|hourly"):
        read_answer("corp", NAME, answer)


def test_words_of_a_service_are_text_that_can_be_stored() -> None:
    heard = read_answer("corp", NAME, {"answer": "wrong", "reason": "no\ud800\nmore"})
    assert heard.words == "no? more"


async def test_words_of_a_service_never_bring_a_password_into_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def post(url: str, said: Mapping[str, str], **more: Any) -> dict[str, Any]:
        return {"answer": "wrong", "reason": f"no such password: {said['password']}"}

    monkeypatch.setattr("gatepost.identity.foreign_http.post_json", post)
    settings = HttpSettings("https://x.test", Secret("s3cret"), 1.0)
    assert "s3cret" not in repr(settings)
    directory = HttpDirectory("corp", settings, at_once=1)
    assert (await directory.check(NAME, "hunter22", Asker())).words == "wrong"


# -- LDAP


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ((), ()),
        (("Alice@Corp.test", "sales@corp.test"), ("alice@corp.test", "sales@corp.test")),
        # People may often change their own entry: nothing but addresses.
        (("*", "*@corp.test", "@corp.test", "@.corp.test", "s*@corp.test", "a@.corp.test"), ()),
        (("nonsense", "", "a b@corp.test"), ()),
    ],
)
def test_addresses(values: tuple[str, ...], found: tuple[str, ...]) -> None:
    assert addresses(values) == found


AD = "invalidCredentials (49): 80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data {}, v3839"


@pytest.mark.parametrize(
    ("code", "disabled"), [("533", True), ("701", True), ("52e", False), ("775", False)]
)
def test_active_directory_says_who_is_disabled(code: str, disabled: bool) -> None:
    assert is_disabled(AD.format(code)) is disabled


class Client:
    """An LDAP client that does what a test says."""

    can_look_up = True
    has_attributes = True

    def __init__(self, does: Callable[[], LdapAnswer]) -> None:
        self.does = does
        self.asked = 0

    def check(
        self, names: Mapping[str, str], password: Secret, question: Question | None = None
    ) -> LdapAnswer:
        self.asked += 1
        return self.does()


def ldap(does: Callable[[], LdapAnswer], **more: Any) -> LdapDirectory:
    client: Any = Client(does)
    return LdapDirectory("corp", client, **({"at_once": 2, "timeout": 5.0} | more))


def fails(problem: Exception) -> Callable[[], LdapAnswer]:
    def does() -> LdapAnswer:
        raise problem

    return does


ENTRY = LdapEntry("uid=alice", ("alice@corp.test",))


async def test_what_a_bind_means() -> None:
    right = await ldap(lambda: LdapAnswer(ENTRY, True)).check(NAME, "x", Asker())
    assert right.right
    assert right.entry
    assert right.entry.account == account_of(NAME, [NAME])
    wrong = await ldap(lambda: LdapAnswer(ENTRY, False, "no (49)")).check(NAME, "x", Asker())
    assert (wrong.right, wrong.decides, wrong.entry is None) == (False, False, False)
    unknown = await ldap(lambda: LdapAnswer(None)).check(NAME, "x", Asker())
    assert (unknown.right, unknown.decides, unknown.entry) == (False, False, None)
    bound = await ldap(lambda: LdapAnswer(None, False, "no (49)")).check(NAME, "x", Asker())
    assert (bound.right, bound.decides, bound.entry) == (False, True, None)
    disabled = await ldap(lambda: LdapAnswer(ENTRY, False, AD.format("533"))).check(
        NAME, "x", Asker()
    )
    assert disabled.right
    assert disabled.entry
    assert disabled.entry.account.state is AccountState.SUSPENDED


async def test_only_silence_makes_a_server_rest() -> None:
    unclear = ldap(fails(LdapError("2 or more entries fit")))
    away = ldap(fails(LdapAwayError("refused")))
    for _ in range(2):
        for directory in (unclear, away):
            with pytest.raises(DirectoryAwayError):
                await directory.check(NAME, "x", Asker())
    assert (unclear._client.asked, away._client.asked) == (2, 1)


async def test_a_server_that_hangs_holds_up_those_few_that_asked() -> None:
    go = threading.Event()

    def hangs() -> LdapAnswer:
        go.wait(20)
        return LdapAnswer(None)

    directory = ldap(hangs, timeout=0.05)
    asks = [directory.check(NAME, "x", Asker(client=f"192.0.2.{n}")) for n in range(6)]
    causes = await asyncio.gather(*asks, return_exceptions=True)
    assert {type(cause) for cause in causes} == {DirectoryAwayError, BusyError}
    assert directory._client.asked == 2  # each of its threads, and no more
    with pytest.raises(DirectoryAwayError, match=r"no answer within 0.05 s"):
        await directory.check(NAME, "x", Asker())
    go.set()
    await directory.close()
