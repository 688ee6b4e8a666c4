"""Asking the server behind us for a recipient, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from gatepost.delivery import call_forward
from gatepost.delivery.bounds import Bounds
from gatepost.delivery.call_forward import PATIENCES, CallForward, takes
from gatepost.delivery.link_parts import Surroundings
from gatepost.delivery.lookup import Lookup, Ourselves
from gatepost.model.delivery import Outcome, OutcomeKind
from gatepost.model.route import Via, ViaLmtp, ViaMaildir, ViaSmtp
from gatepost.net.address import SocketAddress
from gatepost.net.deadlines import Deadlines
from gatepost.net.resolver import Resolver
from gatepost.net.tls import Verification, client_context
from gatepost.wire.smtp.reply_reader import Answered
from tests.delivery.rig import routing
from tests.sink import DROP, HANG, Sink
from tests.support.ports import free_port

ALICE, BOB = "alice@y.example", "bob@y.example"
NO_USER = "550 5.1.1 no such user"


@pytest.mark.rfc("5321#4.2.3")
@pytest.mark.parametrize(
    ("code", "status", "answer"),
    [
        (250, "2.1.5", True),
        (251, "2.1.5", True),
        (550, "5.1.1", False),
        (550, "5.1.10", False),  # Exchange
        (553, "5.1.3", False),
        (550, "5.2.1", False),  # a mailbox that is switched off
        (550, "5.4.1", False),  # Exchange Online
        (550, "5.0.0", False),  # no enhanced code
        (551, "5.0.0", False),
        (553, "5.0.0", False),
        (554, "5.0.0", None),
        (552, "5.0.0", None),
        (552, "5.2.2", None),  # full: it may have room tomorrow
        (550, "5.7.1", None),  # about us, or about the null reverse-path
        (550, "5.1.8", None),  # about the sender
        (550, "5.1.7", None),
        (450, "4.2.1", None),
        (451, "4.7.1", None),  # greylisted
        (452, "4.5.3", None),
    ],
)
def test_what_an_answer_says_of_the_recipient(code: int, status: str, answer: bool | None) -> None:
    kinds = {2: OutcomeKind.DELIVERED, 4: OutcomeKind.DEFERRED, 5: OutcomeKind.REFUSED}
    outcome = Outcome(kinds[code // 100], code, status, answered=Answered.RCPT)
    assert takes(outcome) is answer
    if not answer:
        assert takes(replace(outcome, answered=Answered.MAIL)) is None


@asynccontextmanager
async def asking(via: Via, **bounds: Any) -> AsyncIterator[CallForward]:
    around = Surroundings(
        Ourselves.listening_on("relay.test", ()),
        Bounds(dial=5.0, patience=PATIENCES | bounds),
        Deadlines(0.05),
        lambda *_: client_context(Verification.OPPORTUNISTIC),
    )
    lookup = Lookup(
        Resolver([SocketAddress("127.0.0.1", 9)]),
        around.ourselves,
        around.bounds,
        time=asyncio.get_running_loop().time,
    )
    asked = CallForward(routing({"y.example": via}), lookup, around, Random(1))
    yield asked
    asked.close()


def smtp(sink: Sink) -> ViaSmtp:
    return ViaSmtp("127.0.0.1", sink.port)


@pytest.mark.parametrize("lmtp", [False, True])
@pytest.mark.parametrize("pipelining", [False, True])
async def test_one_session_serves_many_questions_and_sends_no_content(
    *, lmtp: bool, pipelining: bool
) -> None:
    async with Sink(refuse={BOB: NO_USER}, lmtp=lmtp, pipelining=pipelining) as sink:
        via = ViaLmtp("127.0.0.1", sink.port) if lmtp else smtp(sink)
        async with asking(via) as forward:
            answers = [await forward.ask(path, "y.example") for path in (ALICE, BOB, ALICE)]
        assert answers == [True, False, True]
        assert sink.sessions == 1
        said = sink.commands[0]
        assert {line for line in said if line.startswith("MAIL")} == {"MAIL FROM:<>"}
        assert not any(line.startswith(("DATA", "BDAT")) for line in said)
        assert sink.messages == []


async def test_questions_at_once_share_a_few_sessions() -> None:
    async with Sink(refuse={BOB: NO_USER}) as sink, asking(smtp(sink)) as forward:
        paths = [f"u{n}@y.example" for n in range(40)] + [BOB]
        answers = await asyncio.gather(*(forward.ask(path, "y.example") for path in paths))
        assert answers == [True] * 40 + [False]
        assert 1 <= sink.most_sessions <= 4


async def test_a_session_that_ended_meanwhile_is_followed_by_another() -> None:
    async with Sink({"RSET": ["250 2.0.0 ok", DROP]}) as sink, asking(smtp(sink)) as forward:
        assert await forward.ask(ALICE, "y.example") is True
        assert await forward.ask(BOB, "y.example") is True
        await sink.until(lambda: sink.open_sessions == 0)
        assert await forward.ask(BOB, "y.example") is True
        assert sink.sessions == 2


@pytest.mark.parametrize(
    "script",
    [
        {"GREETING": ["421 4.3.2 not now"]},
        {"GREETING": ["554 5.3.2 go away"]},
        {"EHLO": [DROP]},
    ],
)
async def test_a_server_that_lets_nobody_in_is_left_alone_for_a_while(
    script: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Sink(script) as sink, asking(smtp(sink)) as forward:
        assert await forward.ask(ALICE, "y.example") is None
        assert await forward.ask(ALICE, "y.example") is None
        assert sink.sessions == 1
        monkeypatch.setattr(call_forward, "_REST", 0.0)
        forward._lines.clear()
        assert await forward.ask(ALICE, "y.example") is True


async def test_nobody_at_home_is_no_answer() -> None:
    async with asking(ViaSmtp("127.0.0.1", free_port())) as forward:
        assert await forward.ask(ALICE, "y.example") is None


@pytest.mark.parametrize("verb", ["GREETING", "EHLO", "MAIL", "RCPT", "RSET"])
async def test_a_server_that_hangs_holds_a_question_for_a_bounded_time(
    verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_forward, "WHOLE", 1.0)
    async with Sink({verb: [HANG]}) as sink, asking(smtp(sink)) as forward:
        assert await forward.ask(ALICE, "y.example") is None
        await sink.until(lambda: sink.open_sessions <= 1)
        assert await forward.ask(BOB, "y.example") is None  # it rests
        assert sink.sessions == 1


@pytest.mark.parametrize("said", ["MAIL", "RCPT"])
async def test_what_is_only_for_now_is_no_answer(said: str) -> None:
    async with (
        Sink({said: ["451 4.7.1 greylisted", "550 5.7.1 no"]}) as sink,
        asking(smtp(sink)) as forward,
    ):
        for _ in range(2):
            assert await forward.ask(ALICE, "y.example") is None
        assert await forward.ask(ALICE, "y.example") is True
        assert sink.sessions == 1


@pytest.mark.rfc("5321#4.5.5")
@pytest.mark.parametrize(
    "said", ["550 Bounces are not accepted here", "553 sorry, null sender rejected", NO_USER]
)
async def test_who_does_not_take_the_null_reverse_path_says_nothing_of_a_recipient(
    said: str,
) -> None:
    async with Sink({"MAIL": [said] * 3}) as sink, asking(smtp(sink)) as forward:
        for _ in range(3):
            assert await forward.ask(ALICE, "y.example") is None
        assert await forward.ask(ALICE, "y.example") is True


async def test_a_recipient_that_it_has_no_letters_for_is_no_answer() -> None:
    async with Sink() as sink, asking(smtp(sink)) as forward:
        assert await forward.ask("jürgen@y.example", "y.example") is None


async def test_maildirs_and_other_domains_are_not_asked() -> None:
    async with asking(ViaMaildir("mail")) as forward:
        assert await forward.ask(ALICE, "y.example") is None


async def test_a_session_that_nobody_needs_says_goodbye(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_forward, "_IDLE", 0.05)
    async with Sink() as sink, asking(smtp(sink)) as forward:
        assert await forward.ask(ALICE, "y.example") is True
        await sink.until(lambda: "QUIT" in sink.commands[0])
        await sink.until(lambda: sink.open_sessions == 0)
        assert await forward.ask(ALICE, "y.example") is True
        assert sink.sessions == 2


async def test_tls_is_used_where_it_is_to_be_had() -> None:
    async with Sink(tls=None) as sink, asking(replace(smtp(sink))) as forward:
        assert await forward.ask(ALICE, "y.example") is True
