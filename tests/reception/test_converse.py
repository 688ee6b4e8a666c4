"""What a conversation says when time runs out, when the worker stops, and when we are at fault."""

import asyncio
import base64
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from gatepost.model.account import AccountState
from gatepost.model.settings import LimitSettings
from gatepost.net.transport import DeadlineError
from gatepost.reception.converse import Conversation
from gatepost.store.protocols import StoreUnavailableError
from gatepost.wire.smtp import limits, replies
from gatepost.wire.smtp.replies import Reply
from tests.support.reception import APP, PASSWORD, MemoryConnection, Scene

LOGIN = "AUTH PLAIN " + base64.b64encode(f"\0{APP}\0{PASSWORD}".encode()).decode()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class ClockedConnection(MemoryConnection):
    """Its deadline strikes when the test's clock says so."""

    def __init__(self, clock: Clock, *, tls: bool) -> None:
        super().__init__(tls=tls)
        self.clock = clock
        self._waits = asyncio.Event()

    async def read(self) -> bytes:
        self._waits.set()
        octets = await super().read()
        if octets == b"late":
            raise DeadlineError
        return octets

    async def pass_time(self, seconds: float) -> bool:
        """Let time go by in one step; tell whether the deadline has struck."""
        self.clock.now += seconds
        await self.idle()
        if self.deadline is None or self.clock.now < self.deadline:
            return False
        await self.send(b"late")
        return True

    async def idle(self) -> None:
        """Wait until the conversation waits for us."""
        async with asyncio.timeout(30):
            while not (self._in.empty() and self._waits.is_set()):
                await asyncio.sleep(0)

    async def send(self, octets: bytes) -> None:
        self._waits.clear()
        await super().send(octets)


class Talk:
    """One conversation under the test's clock."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.clock = Clock()
        tls = scene.connection.tls is not None
        self.connection = ClockedConnection(self.clock, tls=tls)
        scene.connection = self.connection
        self.conversation: Conversation = scene.conversation()
        self.conversation._time = self.clock
        self.conversation._patience.began = self.clock.now

    async def ask(self, line: str) -> str:
        """Return the last line of the reply."""
        await self.connection.send(line.encode() + b"\r\n")
        while (heard := await self.heard())[3:4] == "-":
            continue
        return heard

    async def heard(self) -> str:
        return await self.connection.reply_line() or ""

    async def ends_with(self, reply: Reply) -> None:
        assert (await self.heard()) == reply.octets.decode().strip()
        assert await self.connection.reply_line() is None


@asynccontextmanager
async def talk(role: str = "mx", **limits: Any) -> AsyncIterator[Talk]:
    scene = Scene(role)
    scene.limits = LimitSettings(**{"recipients": 100, **limits})
    it = Talk(scene)
    task = asyncio.create_task(it.conversation.run())
    assert (await it.heard()).startswith("220 ")
    yield it
    async with asyncio.timeout(30):
        await task


async def into_content(it: Talk) -> None:
    await it.ask("HELO c.test")
    await it.ask("MAIL FROM:<a@b.test>")
    await it.ask("RCPT TO:<alice@local.test>")
    assert (await it.ask("DATA")).startswith("354")


async def nothing(_: Talk) -> None:
    pass


async def hello(it: Talk) -> None:
    await it.ask("HELO c.test")


# -- time


@pytest.mark.rfc("5321#4.5.3.2.7")
@pytest.mark.parametrize("before", [nothing, hello, into_content], ids=lambda f: f.__name__)
async def test_idle_for_too_long_is_said_and_ends_it(before: Callable[..., Any]) -> None:
    async with talk(idle=timedelta(seconds=300), minimum_rate=0) as it:
        await before(it)
        assert not await it.connection.pass_time(299)
        assert await it.connection.pass_time(1)
        await it.ends_with(replies.IDLE_TOO_LONG)


async def test_each_command_begins_the_idle_time_anew() -> None:
    async with talk(idle=timedelta(seconds=300)) as it:
        for _ in range(5):
            assert not await it.connection.pass_time(299)
            assert (await it.ask("NOOP")).startswith("250")
        assert await it.connection.pass_time(300)
        await it.ends_with(replies.IDLE_TOO_LONG)


async def test_a_connection_has_an_end_however_busy_it_is() -> None:
    async with talk(session=timedelta(seconds=600)) as it:
        for _ in range(5):
            assert not await it.connection.pass_time(119)
            assert (await it.ask("NOOP")).startswith("250")
        assert await it.connection.pass_time(5)
        await it.ends_with(replies.SESSION_TOO_LONG)


async def test_content_slower_than_the_minimum_rate_is_cut_off_after_the_grace() -> None:
    async with talk(minimum_rate=100) as it:
        await into_content(it)
        for _ in range(11):
            await it.connection.send(b"x" * 98 + b"\r\n")
            assert not await it.connection.pass_time(3)
        for _ in range(30):
            await it.connection.send(b"x\r\n")
            if await it.connection.pass_time(3):
                break
        await it.ends_with(replies.TOO_SLOW)
        assert 1040 < it.clock.now < 1045  # 30 s of grace, and 1100 octets at 100 a second


async def test_content_at_the_minimum_rate_may_take_as_long_as_it_needs() -> None:
    async with talk(minimum_rate=100, session=timedelta(hours=9)) as it:
        await into_content(it)
        await it.connection.send(b"a: b\r\n\r\n")
        for _ in range(80):
            await it.connection.send(b"x" * 98 + b"\r\n")
            assert not await it.connection.pass_time(1)
        assert (await it.ask(".")).startswith("250 ")
        assert (await it.ask("QUIT")).startswith("221")


async def test_the_next_message_has_a_grace_of_its_own() -> None:
    async with talk(minimum_rate=100) as it:
        await into_content(it)
        assert not await it.connection.pass_time(29)
        assert (await it.ask("a: b\r\n\r\n.")).startswith("250 ")
        await it.ask("MAIL FROM:<a@b.test>")
        await it.ask("RCPT TO:<alice@local.test>")
        await it.ask("DATA")
        assert not await it.connection.pass_time(29)
        assert (await it.ask("a: b\r\n\r\n.")).startswith("250 ")
        assert (await it.ask("QUIT")).startswith("221")


async def test_a_login_that_is_never_finished_is_idle() -> None:
    async with talk("submissions", idle=timedelta(seconds=300)) as it:
        await it.ask("EHLO c.test")
        assert (await it.ask("AUTH LOGIN")).startswith("334")
        assert await it.connection.pass_time(300)
        await it.ends_with(replies.IDLE_TOO_LONG)


# -- many who say much


async def test_of_many_who_pipeline_much_one_goes_on_at_a_time() -> None:
    scene, crowd = Scene("mx"), 20
    desk, said = scene.desk(), b"HELO c.test\r\n" + b"NOOP\r\n" * 5 * limits.COMMANDS_AT_ONCE
    connections = [MemoryConnection(tls=False) for _ in range(crowd)]
    for connection in connections:
        await connection.send(said)
        await connection.send(b"QUIT\r\n")
    talks = [Conversation(each, scene.door(), desk, None).run() for each in connections]  # type: ignore[arg-type]
    rounds = []
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in talks]
        while not all(task.done() for task in tasks):
            rounds.append(sum(len(each._out) for each in connections))
            await asyncio.sleep(0)
    burst = limits.COMMANDS_AT_ONCE * len(replies.OK.octets)
    steps = [after - before for before, after in pairwise(rounds)]
    assert max(steps[2:]) < 3 * burst
    assert sum(steps) > 4 * crowd * burst


# -- the worker stops


async def after_one_message(it: Talk) -> None:
    await into_content(it)
    assert (await it.ask("a: b\r\n\r\n.")).startswith("250 2.0.0 Queued")


@pytest.mark.rfc("5321#3.8")
async def test_between_transactions_a_stop_is_said_at_once() -> None:
    async with talk() as it:
        await after_one_message(it)
        await it.connection.idle()
        it.scene.stopping = True
        it.conversation.stop()
        assert await it.connection.pass_time(0)
        await it.ends_with(replies.STOPPING)


@pytest.mark.parametrize("before", [nothing, hello], ids=lambda f: f.__name__)
async def test_who_has_just_come_gets_two_seconds_when_we_stop(before: Callable[..., Any]) -> None:
    async with talk() as it:
        await before(it)
        await it.connection.idle()
        it.scene.stopping = True
        it.conversation.stop()
        assert not await it.connection.pass_time(1.9)
        assert await it.connection.pass_time(0.1)
        await it.ends_with(replies.STOPPING)


async def test_who_has_just_come_may_send_a_first_message_and_no_second() -> None:
    async with talk() as it:
        it.scene.stopping = True
        it.conversation.stop()
        await into_content(it)
        await it.connection.send(b"a: b\r\n\r\n.\r\nMAIL FROM:<a@b.test>\r\n")
        assert (await it.heard()).startswith("250 2.0.0 Queued")
        await it.ends_with(replies.STOPPING)


async def test_a_transaction_under_way_may_end_before_the_stop() -> None:
    async with talk() as it:
        await into_content(it)
        await it.connection.idle()
        it.scene.stopping = True
        it.conversation.stop()
        assert not await it.connection.pass_time(9)
        assert (await it.ask("a: b\r\n\r\n.")).startswith("250 2.0.0 Queued")
        await it.ends_with(replies.STOPPING)
        assert len(it.scene.store.submissions) == 1


async def test_a_transaction_that_does_not_end_is_cut_short_by_the_stop() -> None:
    async with talk() as it:
        await into_content(it)
        await it.connection.idle()
        it.scene.stopping = True
        it.conversation.stop()
        assert await it.connection.pass_time(10)
        await it.ends_with(replies.STOPPING)
        assert not it.scene.store.submissions


# -- the account, looked at again


async def logged_in(it: Talk) -> None:
    await it.ask("EHLO c.test")
    assert (await it.ask(LOGIN)).startswith("235")
    assert (await it.ask("MAIL FROM:<app@sender.test>")).startswith("250")
    await it.ask("RSET")


async def test_an_account_suspended_meanwhile_sends_no_more() -> None:
    async with talk("submissions") as it:
        await logged_in(it)
        it.scene.people.account = replace(it.scene.people.account, state=AccountState.SUSPENDED)
        said = await it.ask("MAIL FROM:<app@sender.test>")
        assert said == replies.SUSPENDED_MEANWHILE.octets.decode().strip()
        assert (await it.ask("QUIT")).startswith("221")


async def test_an_account_removed_meanwhile_sends_no_more() -> None:
    async with talk("submissions") as it:
        await logged_in(it)
        it.scene.people.account = replace(it.scene.people.account, name="other@sender.test")
        it.scene.people.cached = lambda _: None  # type: ignore[method-assign]
        said = await it.ask("MAIL FROM:<app@sender.test>")
        assert said == replies.SUSPENDED_MEANWHILE.octets.decode().strip()
        assert (await it.ask("QUIT")).startswith("221")


@pytest.mark.parametrize(("seconds", "is_taken"), [(0.9, True), (1.0, False)])
async def test_content_of_an_account_suspended_since_mail_is_refused(
    seconds: float, is_taken: bool
) -> None:
    async with talk("submissions") as it:
        await logged_in(it)
        await it.ask("MAIL FROM:<app@sender.test>")
        await it.ask("RCPT TO:<a@else.test>")
        await it.ask("DATA")
        it.scene.people.account = replace(it.scene.people.account, state=AccountState.SUSPENDED)
        assert not await it.connection.pass_time(seconds)
        said = await it.ask("From: app@sender.test\r\n\r\n.")
        assert said.startswith("250" if is_taken else "550 5.7.13")
        assert len(it.scene.store.submissions) == is_taken
        assert (await it.ask("QUIT")).startswith("221")


async def test_mail_is_refused_for_now_while_the_account_cannot_be_looked_up() -> None:
    async with talk("submissions") as it:
        await logged_in(it)

        def away(_: str) -> None:
            raise StoreUnavailableError("away")

        it.scene.people.cached = away  # type: ignore[method-assign, assignment]
        said = await it.ask("MAIL FROM:<app@sender.test>")
        assert said == replies.STORE_AWAY.octets.decode().strip()
        assert (await it.ask("QUIT")).startswith("221")


# -- all connections are taken


async def test_a_stranger_may_be_sent_away_between_what_counts() -> None:
    async with talk() as it:
        assert it.conversation.may_give_way()
        await into_content(it)
        assert not it.conversation.may_give_way()
        assert (await it.ask("a: b\r\n\r\n.")).startswith("250 ")
        await it.connection.idle()
        assert it.conversation.may_give_way()
        await it.ask("MAIL FROM:<a@b.test>")
        assert it.conversation.may_give_way()
        await it.ask("QUIT")


async def test_who_has_logged_in_gives_way_to_nobody() -> None:
    async with talk("submissions") as it:
        await it.ask("EHLO c.test")
        await it.ask("AUTH LOGIN")
        assert it.conversation.may_give_way()
        await it.connection.send(b"*\r\n")
        await it.heard()
        await logged_in(it)
        assert not it.conversation.may_give_way()
        await it.ask("QUIT")


# -- memory for recipients


async def say_recipients(it: Talk, count: int) -> Counter[str]:
    await it.ask("MAIL FROM:<a@b.test>")
    for number in range(count):
        await it.connection.send(f"RCPT TO:<r{number}@all.test>\r\n".encode())
    return Counter([(await it.heard())[:9] for _ in range(count)])


@pytest.mark.parametrize("end", ["RSET", "HELO again.test", "MAIL"])
async def test_many_recipients_take_memory_until_their_transaction_ends(end: str) -> None:
    async with talk(recipients=1000) as it:
        memory = it.conversation._holding._memory
        await hello(it)
        assert await say_recipients(it, 50) == {"250 2.1.5": 50}
        assert memory.used == 0
        await it.ask("RSET")
        assert await say_recipients(it, 51) == {"250 2.1.5": 51}
        taken = memory.used
        assert 50 * 300 <= taken < 50 * 700
        if end == "MAIL":
            await it.connection.send(b"RSET\r\nMAIL FROM:<a@b.test>\r\n")
            await it.heard()
            await it.heard()
        else:
            await it.ask(end)
        await it.connection.idle()
        assert memory.used == 0
        memory.limit = 3 * taken  # a stranger has a half of what is free
        await it.ask("RSET")
        assert await say_recipients(it, 200) == {"250 2.1.5": 100, "452 4.3.1": 100}
        await it.ask("QUIT")
    assert memory.used == 0


# -- our own fault


async def broken(*_: object) -> Any:
    raise ZeroDivisionError("ours")


async def test_a_fault_of_ours_is_said_logged_recorded_and_ends_this_conversation_only(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.reception.OneAttempt.answer", broken)
    async with talk("submissions") as it:
        await it.ask("EHLO c.test")
        with caplog.at_level(logging.ERROR):
            await it.connection.send(LOGIN.encode() + b"\r\n")
            await it.ends_with(replies.INTERNAL_FAULT)
    assert "ZeroDivisionError" in caplog.text
    assert "192.0.2.7" in caplog.text
    assert [event.facts["status"] for event in it.scene.records] == ["4.3.0"]


async def test_a_fault_in_the_middle_of_content_gives_its_memory_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gatepost.reception.converse.accept", broken)
    async with talk() as it:
        await into_content(it)
        await it.connection.send(b"a: b\r\n\r\n.\r\n")
        await it.ends_with(replies.INTERNAL_FAULT)
    assert it.scene.memory.used == 0


async def test_no_memory_is_kept_when_the_peer_goes_in_the_middle_of_content() -> None:
    async with talk() as it:
        await into_content(it)
        await it.connection.send(b"x" * 500 + b"\r\n")
        await it.connection.idle()
        assert it.scene.memory.used
        await it.connection.send(b"")
    assert it.scene.memory.used == 0
