"""Recipients of servers behind us: asked once, believed for a while, and nobody waits for long."""

import asyncio
from collections import Counter

import pytest
from pydantic import ValidationError

from gatepost.model.settings import LocalDomainSettings
from gatepost.reception.inside import Answers, Inside
from gatepost.wire.smtp.grammar import Mailbox, parse_mailbox

BEHIND = LocalDomainSettings(name="behind.test", deliver_to="smtp:127.0.0.1:2526")


class Server:
    """What the server behind says; `go` holds its answers."""

    def __init__(self, **answers: bool | None) -> None:
        self.answers = answers
        self.asked = Counter[str]()
        self.go = asyncio.Event()
        self.go.set()
        self.now = 1000.0
        self.fault: Exception | None = None

    async def ask(self, forward_path: str, destination: str) -> bool | None:
        assert destination == "behind.test"
        name = forward_path.partition("@")[0]
        self.asked[name] += 1
        await self.go.wait()
        if self.fault:
            raise self.fault
        return self.answers.get(name)

    def inside(self, patience: float = 30.0) -> Inside:
        return Inside((BEHIND,), self.ask, patience=patience, clock=lambda: self.now)


def mailbox(name: str, domain: str = "behind.test") -> Mailbox:
    found = parse_mailbox(f"{name}@{domain}")
    assert found is not None
    return found


async def is_refused(inside: Inside, name: str, domain: str = "behind.test") -> bool:
    reply = await inside.judge(mailbox(name, domain))
    assert reply is None or (reply.code, reply.status) == (550, "5.1.1")
    assert reply is None or f"{name}@{domain}" in reply.text
    return reply is not None


async def test_whom_it_has_not_is_refused_and_who_is_not_known_is_taken() -> None:
    server = Server(alice=True, nobody=False, unknown=None)
    inside = server.inside()
    found = {name: await is_refused(inside, name) for name in ("alice", "nobody", "unknown")}
    assert found == {"alice": False, "nobody": True, "unknown": False}


async def test_answers_are_believed_for_a_while_and_no_answer_is_not_kept() -> None:
    server = Server(alice=True, nobody=False, unknown=None)
    inside = server.inside()
    names = ("alice", "nobody", "unknown")
    for _ in range(3):
        assert [await is_refused(inside, name) for name in names] == [False, True, False]
    assert server.asked == {"alice": 1, "nobody": 1, "unknown": 3}
    server.now += 301  # a mailbox that is new must not be refused for long
    server.answers |= {"alice": False, "nobody": True}
    assert [await is_refused(inside, name) for name in names] == [False, False, False]
    server.now += 3600
    assert await is_refused(inside, "alice")


@pytest.mark.rfc("5321#4.5.1")
async def test_postmaster_and_other_domains_are_not_asked_for() -> None:
    server = Server()
    inside = server.inside()
    assert not await is_refused(inside, "PostMaster")
    assert not await is_refused(inside, "alice", "elsewhere.test")
    assert not server.asked


async def test_nobody_waits_for_long_and_the_answer_is_there_for_the_next() -> None:
    server = Server(nobody=False)
    server.go.clear()
    inside = server.inside(patience=0.01)
    assert not await is_refused(inside, "nobody")
    server.go.set()
    async with asyncio.timeout(30):
        while not await is_refused(inside, "nobody"):
            await asyncio.sleep(0)
    assert server.asked == {"nobody": 1}


async def test_a_client_with_many_recipients_waits_once() -> None:
    server = Server(alice=True)
    server.go.clear()
    inside = server.inside(patience=0.2)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    assert not await is_refused(inside, "u0")
    waited = loop.time() - begun
    begun = loop.time()
    assert not any([await is_refused(inside, f"u{n}") for n in range(1, 200)])
    assert loop.time() - begun < 199 * 0.2 / 2
    assert waited >= 0.2
    server.go.set()
    while inside._under_way:
        await asyncio.sleep(0)
    assert not any(inside._overdue.values())


async def test_questions_at_once_for_one_recipient_are_one() -> None:
    server = Server(nobody=False)
    server.go.clear()
    inside = server.inside()
    asking = [asyncio.create_task(is_refused(inside, "nobody")) for _ in range(5)]
    while not server.asked:
        await asyncio.sleep(0)
    server.go.set()
    assert await asyncio.gather(*asking) == [True] * 5
    assert server.asked == {"nobody": 1}


async def test_a_flood_of_names_is_bounded_and_refuses_no_mail() -> None:
    server = Server()
    server.go.clear()
    inside = server.inside(patience=0.0)
    assert not any([await is_refused(inside, f"u{n}") for n in range(700)])
    assert sum(server.asked.values()) <= 500
    server.go.set()


async def test_a_fault_of_ours_refuses_no_mail(caplog: pytest.LogCaptureFixture) -> None:
    server = Server()
    server.fault = RuntimeError("oops")
    assert not await is_refused(server.inside(), "alice")
    assert "nobody was asked for alice@behind.test" in caplog.text


def test_the_oldest_answer_goes_when_there_are_too_many() -> None:
    answers = Answers(10.0, 2)
    for key in ("a", "b", "a", "c"):
        answers.add(key, 0.0)
    assert [answers.has(key, 9.9) for key in "abc"] == [True, False, True]
    assert not answers.has("a", 10.0)
    assert len(answers) == 1


@pytest.mark.parametrize(
    ("more", "asks"),
    [
        ({"deliver_to": "smtp:h.test:25"}, True),
        ({"deliver_to": "lmtp:h.test:24"}, True),
        ({"deliver_to": "maildir:m"}, False),
        ({"deliver_to": "smtp:h.test:25", "mailboxes": ["alice"]}, False),
        (
            {"deliver_to": "smtp:h.test:25", "mailboxes": ["alice"], "verify_recipients": True},
            True,
        ),
        ({"deliver_to": "smtp:h.test:25", "verify_recipients": False}, False),
        ({"deliver_to": "maildir:m", "verify_recipients": False}, False),
    ],
)
def test_where_the_server_alone_knows_it_is_asked(more: dict[str, object], *, asks: bool) -> None:
    assert LocalDomainSettings.model_validate({"name": "y.test"} | more).asks_behind is asks


def test_a_maildir_cannot_be_asked() -> None:
    settings = {"name": "y.test", "deliver_to": "maildir:m", "verify_recipients": True}
    with pytest.raises(ValidationError, match="a maildir can be asked for nobody"):
        LocalDomainSettings.model_validate(settings)
