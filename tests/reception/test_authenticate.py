"""AUTH by every mechanism through a conversation: offers, success, refusals, every way to leave."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from gatepost.identity.authenticate import Cause
from gatepost.model.event import EventKind
from gatepost.net.channel_binding import ChannelBinding
from gatepost.reception.offered import Possible, offered, offered_within
from gatepost.wire.sasl.exchange import ChannelFacts, ClientCredentials
from gatepost.wire.sasl.mechanisms import CLIENTS, MECHANISMS
from gatepost.wire.smtp import replies
from gatepost.wire.smtp.client import ClientSession
from gatepost.wire.smtp.client_events import LoggedIn, LoginRefused, NeedOctets, Ready
from gatepost.wire.smtp.extensions import Channel
from tests.support.reception import APP, CERTIFICATE, PASSWORD, TLS, TOKEN, Scene

ALL = tuple(MECHANISMS)
RIGHT = ClientCredentials(APP, PASSWORD, port=465)
WRONG = ClientCredentials(APP, "wrong", port=465)
STRANGER = ClientCredentials("nobody@sender.test", PASSWORD, port=465)
BINDING = ChannelBinding(b"e" * 32, b"c" * 32)
FACTS = ChannelFacts(
    "TLSv1.3", BINDING.exporter, BINDING.end_point, nonce="clientnonce", hostname="relay.test"
)


def credentials_for(name: str, *, right: bool = True) -> ClientCredentials:
    match CLIENTS[name].needs.name:
        case "TOKEN":
            return ClientCredentials(APP, token=TOKEN if right else "bad-token", port=465)
        case "CERTIFICATE":
            return ClientCredentials(APP)
        case _:
            return RIGHT if right else WRONG


class Talk:
    """A client's session against a conversation in memory."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.session = ClientSession("c.test", channel=Channel.TLS)
        self.said: list[str] = []

    async def event(self) -> object:
        while True:
            event = self.session.next_event()
            if octets := self.session.octets_to_send():
                await self.scene.connection.send(octets)
            if not isinstance(event, NeedOctets):
                return event
            line = await self.scene.connection.reply_line()
            assert line is not None
            self.said.append(line)
            self.session.receive(line.encode() + b"\r\n")

    async def log_in(
        self, credentials: ClientCredentials, name: str | None, facts: ChannelFacts = FACTS
    ) -> object:
        self.session.log_in_as(credentials, facts, mechanism=name)
        return await self.event()

    async def ask(self, line: bytes) -> str:
        await self.scene.connection.send(line + b"\r\n")
        said = await self.scene.connection.reply_line()
        assert said is not None
        return said


@asynccontextmanager
async def talk(scene: Scene | None = None) -> AsyncIterator[Talk]:
    scene = scene or Scene("submissions", mechanisms=ALL)
    scene.connection.tls = replace(TLS, peer_certificate=CERTIFICATE)
    task = asyncio.create_task(scene.conversation().run())
    it = Talk(scene)
    try:
        assert isinstance(await it.event(), Ready)
        yield it
        await scene.connection.send(b"")
        await task
    finally:
        task.cancel()


@pytest.mark.parametrize("name", sorted(MECHANISMS))
async def test_right_credentials_are_let_in(name: str) -> None:
    async with talk() as it:
        assert await it.log_in(credentials_for(name), name) == LoggedIn()
        assert it.said[-1] == "235 2.7.0 Authentication succeeded"
        assert it.scene.people.checked == [APP]
    (event,) = it.scene.records
    assert event.kind is EventKind.LOGIN_SUCCEEDED
    assert event.facts["mechanism"] == name


@pytest.mark.parametrize("name", sorted(set(MECHANISMS) - {"EXTERNAL"}))
async def test_wrong_credentials_are_535_with_a_tag_that_leads_to_the_cause(name: str) -> None:
    async with talk() as it:
        assert isinstance(await it.log_in(credentials_for(name, right=False), name), LoginRefused)
    (event,) = it.scene.records
    assert event.facts["reason"] == "wrong password"
    assert it.said[-1] == f"535 5.7.8 Authentication credentials invalid [{event.facts['tag']}]"


@pytest.mark.parametrize("name", [n for n in CLIENTS if CLIENTS[n].needs.name == "PASSWORD"])
async def test_an_unknown_name_hears_what_a_wrong_password_hears(name: str) -> None:
    shapes = []
    for credentials in (WRONG, STRANGER):
        async with talk() as it:
            await it.log_in(credentials, name)
        said = [line for line in it.said if line[:3] in {"334", "535"}]
        shapes.append([(line[:4], len(line)) for line in said])
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("cause", "reply"),
    [
        (Cause.SUSPENDED, replies.ACCOUNT_SUSPENDED),
        (Cause.APP_PASSWORD_REQUIRED, replies.APP_PASSWORD_REQUIRED),
        (Cause.LOCKED_PAIR, replies.LOGIN_LOCKED),
        (Cause.STORE_AWAY, replies.LOGIN_NOT_POSSIBLE),
        (Cause.PROVIDER_AWAY, replies.LOGIN_NOT_POSSIBLE),
    ],
)
@pytest.mark.parametrize("name", sorted(MECHANISMS))
async def test_every_cause_has_its_reply_in_every_mechanism(
    name: str, cause: Cause, reply: replies.Reply
) -> None:
    scene = Scene("submissions", mechanisms=ALL)
    scene.people.cause = cause
    async with talk(scene) as it:
        await it.log_in(credentials_for(name), name)
        assert it.said[-1].encode() + b"\r\n" == reply.octets


# -- which are offered


async def test_ehlo_lists_what_the_session_can_do() -> None:
    async with talk() as it:
        assert it.session.offers.mechanisms == ALL


@pytest.mark.rfc("9266#3")
def test_plus_is_for_tls_13_and_external_for_who_shows_a_certificate() -> None:
    shown = replace(TLS, peer_certificate=CERTIFICATE)
    assert offered_within(ALL, shown) == ALL
    assert set(ALL) - set(offered_within(ALL, TLS)) == {"EXTERNAL"}
    older = replace(shown, version="TLSv1.2")
    assert set(ALL) - set(offered_within(ALL, older)) == {"SCRAM-SHA-256-PLUS"}
    assert set(ALL) - set(offered_within(ALL, None)) == {"SCRAM-SHA-256-PLUS", "EXTERNAL"}


def test_settings_name_and_the_world_allows() -> None:
    assert offered(ALL, Possible(tokens=True, certificates=True, binding=True)) == ALL
    assert set(ALL) - set(offered(ALL, Possible())) == {
        "XOAUTH2", "OAUTHBEARER", "EXTERNAL", "SCRAM-SHA-256-PLUS",
    }  # fmt: skip
    assert offered(("LOGIN", "PLAIN"), Possible(tokens=True)) == ("LOGIN", "PLAIN")


async def test_a_mechanism_that_this_session_is_not_offered_is_504() -> None:
    scene = Scene("submissions", mechanisms=("PLAIN", "SCRAM-SHA-256-PLUS", "EXTERNAL"))
    async with talk(scene) as it:
        for name in (b"LOGIN", b"SCRAM-SHA-256", b"NONSENSE"):
            assert (await it.ask(b"AUTH " + name)).startswith("504 5.5.4")


async def test_the_strongest_is_chosen() -> None:
    async with talk() as it:
        await it.log_in(RIGHT, None)
        assert it.scene.records[0].facts["mechanism"] == "SCRAM-SHA-256-PLUS"


# -- channel binding, seen from the wire


async def test_a_session_within_another_session_is_found_out() -> None:
    scene = Scene("submissions", mechanisms=ALL)
    scene.connection.bound = ChannelBinding(b"another session's exporter......", b"c" * 32)
    async with talk(scene) as it:
        assert isinstance(await it.log_in(RIGHT, "SCRAM-SHA-256-PLUS"), LoginRefused)
        assert it.said[-1].startswith("535 5.7.8")


@pytest.mark.rfc("5802#6")
async def test_taking_plus_off_the_list_is_found_out() -> None:
    async with talk() as it:
        it.session.offers = replace(it.session.offers, mechanisms=("SCRAM-SHA-256", "PLAIN"))
        assert isinstance(await it.log_in(RIGHT, "SCRAM-SHA-256"), LoginRefused)
        assert it.said[-1].startswith("535 5.7.8")


# -- leaving in the middle

#: Good responses of each mechanism, one behind the other; what cannot be known before is "?".
STEPS = {
    "PLAIN": [f"\0{APP}\0{PASSWORD}".encode()],
    "LOGIN": [APP.encode(), PASSWORD.encode()],
    "CRAM-MD5": [b"app@sender.test 00000000000000000000000000000000"],
    "SCRAM-SHA-256": [b"n,,n=app@sender.test,r=abc", b"?"],
    "SCRAM-SHA-256-PLUS": [b"p=tls-exporter,,n=app@sender.test,r=abc", b"?"],
    "XOAUTH2": [f"user={APP}\x01auth=Bearer bad\x01\x01".encode(), b""],
    "OAUTHBEARER": [f"n,a={APP},\x01auth=Bearer bad\x01\x01".encode(), b"\x01"],
    "EXTERNAL": [APP.encode()],
}
PLACES = [(name, step) for name, steps in STEPS.items() for step in range(len(steps))]
TOO_LONG = b64encode(b"x" * 12_000)


async def reach(it: Talk, name: str, step: int) -> None:
    assert (await it.ask(b"AUTH " + name.encode())).startswith("334")
    for response in STEPS[name][:step]:
        assert (await it.ask(b64encode(response) or b"=")).startswith("334")


@pytest.mark.rfc("4954#4")
@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"*", replies.AUTH_CANCELLED),
        (b"no base64!", replies.NOT_BASE64),
        (b"YQ", replies.NOT_BASE64),
        (TOO_LONG, replies.AUTH_LINE_TOO_LONG),
    ],
)
@pytest.mark.parametrize(("name", "step"), PLACES)
async def test_an_exchange_can_be_left_at_every_step(
    name: str, step: int, line: bytes, reply: replies.Reply
) -> None:
    async with talk() as it:
        await reach(it, name, step)
        assert (await it.ask(line)).encode() + b"\r\n" == reply.octets
        assert (await it.ask(b"NOOP")).startswith("250")
        assert (await it.ask(b"MAIL FROM:<app@sender.test>")).startswith("530")
        assert await it.log_in(RIGHT, "PLAIN") == LoggedIn()


@pytest.mark.parametrize("name", ["XOAUTH2", "OAUTHBEARER"])
async def test_leaving_before_the_refusal_is_told_counts_all_the_same(name: str) -> None:
    async with talk() as it:
        await reach(it, name, 1)
        assert (await it.ask(b"*")).startswith("501")
        assert it.scene.people.failures == 1
    assert [event.facts["reason"] for event in it.scene.records] == ["wrong password"]


@pytest.mark.parametrize(("name", "step"), PLACES)
async def test_a_peer_that_goes_away_at_any_step_leaves_nothing_behind(
    name: str, step: int
) -> None:
    async with talk() as it:
        await reach(it, name, step)
    refused = {("XOAUTH2", 1), ("OAUTHBEARER", 1)}
    assert len(it.scene.records) == ((name, step) in refused)


@pytest.mark.rfc("4954#4")
async def test_an_initial_response_to_a_mechanism_that_takes_none() -> None:
    async with talk() as it:
        said = await it.ask(b"AUTH CRAM-MD5 " + b64encode(b"tim 0"))
        assert said.encode() + b"\r\n" == replies.NO_INITIAL_RESPONSE.octets
        assert it.scene.people.checked == []


async def test_three_failures_end_the_conversation_and_say_so() -> None:
    async with talk() as it:
        for _ in range(3):
            await it.log_in(WRONG, "SCRAM-SHA-256")
        assert (await it.ask(b"AUTH PLAIN")).startswith("421 4.7.0")


@pytest.mark.rfc("4954#4")
@pytest.mark.parametrize(
    ("message", "noted"),
    [
        (f"\0{APP}\0{PASSWORD}", True),
        (f"\0{APP}\0wrong", True),
        (f"{APP}\0{APP}\0wrong", True),
        ("\0nobody\0wrong", True),
        (APP, False),
    ],
)
async def test_what_comes_in_clear_is_passed_on_and_all_hear_the_same(
    message: str, *, noted: bool
) -> None:
    scene = Scene("submission", mechanisms=ALL)
    task = asyncio.create_task(scene.conversation().run())
    await scene.connection.send(b"EHLO c.test\r\n")
    while not str(await scene.connection.reply_line()).startswith("250 "):
        pass
    await scene.connection.send(b"AUTH PLAIN " + b64encode(message.encode()) + b"\r\n")
    reply = replies.AUTH_BEFORE_TLS
    assert await scene.connection.reply_line() == f"538 5.7.11 {reply.text}"
    _, *name_and_password = message.split("\0")
    sent = [[each.name, each.password] for each in scene.people.in_clear]
    assert sent == ([name_and_password] if noted else [])
    assert scene.people.checked == []
    task.cancel()
