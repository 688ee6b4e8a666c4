"""Links to unsubscribe: who gets one, what signs it, who is refused once it was used."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dkim
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.identity.master_key import MasterKey
from gatepost.model.account import Account
from gatepost.model.delivery import DeliveryState
from gatepost.model.event import EventKind
from gatepost.model.ids import AccountName, WorkerId
from gatepost.model.submission import Origin
from gatepost.model.suppression import Suppression, SuppressionClass
from gatepost.net.clock import now
from gatepost.reception.accept import Acceptance, Accepted, judge, ready_to_keep
from gatepost.reception.arrival import Arrival, Origination
from gatepost.reception.instructions import STREAM_FIELD, stream_of
from gatepost.reception.suppressed import SuppressionList
from gatepost.reception.unsubscribe import PATH, Links, Streams, Subscriber
from gatepost.store.sqlite import open_sqlite
from gatepost.store.suppressions import AccountRule
from gatepost.wire.smtp.grammar import parse_mailbox
from gatepost.wire.smtp.replies import Reply
from tests.reception.test_signing import AT, MASTER, domain_of_tests, signer_with
from tests.wire.dkim.keys import records

URL = "https://mail.example"
APP = AccountName("app@football.example.com")
LINKS = Links(MASTER, URL)
BOB = "bob@y.example"
STREAM = "Gatepost-Stream: news\r\n"


# -- the token


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=80))
def test_a_link_names_its_subscriber_and_tells_nobody(name: str) -> None:
    subscriber = Subscriber(AccountName(f"{name}@x.example"), "news", f"{name}@y.example")
    link = LINKS.link(subscriber)
    assert link == LINKS.link(subscriber)
    assert link.isascii()
    token = link.removeprefix(URL + PATH)
    assert set(token) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
    assert LINKS.subscriber(token) == subscriber
    assert Links(MASTER, "").subscriber(token) == subscriber  # links outlive the setting
    assert Links(MasterKey(b"x" * 32), URL).subscriber(token) is None


@given(st.text(max_size=200))
def test_no_other_token_is_ours(token: str) -> None:
    assert LINKS.subscriber(token) is None


def test_a_changed_token_is_not_ours() -> None:
    token = LINKS.link(Subscriber(APP, "news", BOB)).removeprefix(URL + PATH)
    for at in range(len(token) - 1):
        other = "A" if token[at] != "A" else "B"
        assert LINKS.subscriber(token[:at] + other + token[at + 1 :]) is None
    assert LINKS.subscriber(token[:-4]) is None
    assert LINKS.subscriber(MASTER.token("a\0b\0c", "something else")) is None


# -- the field


@pytest.mark.parametrize("body", [b"news", b" a.b-c_9 ", b"x" * 64])
def test_a_stream(body: bytes) -> None:
    assert stream_of({STREAM_FIELD: body}) == body.strip().decode()


@pytest.mark.parametrize("body", [b"", b" ", b"a b", b"x" * 65, b"\xff", b"a\tb", b"a\0b"])
def test_no_stream(body: bytes) -> None:
    assert isinstance(stream_of({STREAM_FIELD: body}), Reply)


# -- the link in a message


class Desk:
    """What accepting needs, over a store."""

    def __init__(self, store, signer, links: Links = LINKS) -> None:
        self.store = store
        self.suppressed = SuppressionList(store)
        self.acceptance = Acceptance(
            store, "relay.test", 100_000, timedelta(days=5), signer=signer,
            unsubscribe=Streams(self.suppressed, links, signer).mind,
        )  # fmt: skip

    async def rule(self, **more) -> None:
        await self.store.write(lambda tx: tx.put_account_rule(AccountRule(APP, **more)))
        await self.suppressed.refresh()

    async def unsubscribed(self, address: str, stream: str = "news") -> None:
        kind = SuppressionClass.UNSUBSCRIBED
        gone = Suppression(address, kind, AT, APP, stream)
        await self.store.write(lambda tx: tx.add_suppressions([gone], replace=True))
        await self.suppressed.refresh()

    async def take(self, header: str, *to: str, author: str = APP) -> Accepted | Reply:
        content = f"From: {author}\r\n{header}\r\nhello\r\n".encode()
        paths = [parse_mailbox(each) for each in to or (BOB,)]
        arrival = Arrival(
            Origination(
                Origin.SUBMISSION, "c", "192.0.2.1", "ESMTPSA",
                account=Account(APP, (APP, "*@other.example"), AT),
            ),
            APP, tuple(each for each in paths if each), (content,), len(content),
        )  # fmt: skip
        judged = judge(arrival, self.acceptance, now())
        if isinstance(judged, Reply):
            return judged
        return await ready_to_keep(arrival, judged, self.acceptance)

    async def taken(self, header: str, *to: str, author: str = APP) -> Accepted:
        found = await self.take(header, *to, author=author)
        assert isinstance(found, Accepted), found
        return found


@pytest.fixture
async def desk(tmp_path: Path):
    store = await open_sqlite(tmp_path, WorkerId("node/1/0"))
    yield Desk(store, await signer_with(store, domain_of_tests()))
    await store.close()


def told(accepted: Accepted) -> tuple[object, object]:
    return accepted.event.facts.get("stream"), accepted.event.facts.get("unsubscribe")


@pytest.mark.rfc("8058#3.1")
async def test_a_message_of_a_stream_gets_a_link_under_its_signature(desk: Desk) -> None:
    accepted = await desk.taken("Gatepost-Stream: news\r\nSubject: hello\r\n", "Bob@Y.example")
    content = b"".join(accepted.pieces)
    link = LINKS.link(Subscriber(APP, "news", "bob@y.example"))
    assert f"\r\nList-Unsubscribe: <{link}>\r\n".encode() in content
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in content
    assert b"gatepost-stream" not in content.lower()
    assert b"bob" not in link.encode().lower()
    assert told(accepted) == ("news", "link added")
    assert accepted.submission.size == accepted.event.facts["size"] == len(content)


@pytest.mark.rfc("8058#4")
@pytest.mark.parametrize("which", [0, 1])
async def test_dkimpy_finds_both_fields_covered(desk: Desk, which: int) -> None:
    content = b"".join((await desk.taken(STREAM)).pieces)

    def dns_text(name: bytes, **_: object) -> bytes:
        return records()[name.decode().rstrip(".")][0].encode()

    judge = dkim.DKIM(content, minkey=1024)
    assert judge.verify(which, dnsfunc=dns_text)
    signed = {name.lower() for name, _ in judge.signed_headers}
    assert b"list-unsubscribe" in signed
    assert b"list-unsubscribe-post" in signed
    for field in (b"List-Unsubscribe: <https://", b"List-Unsubscribe-Post: List"):
        changed = content.replace(field, field + b"x")
        assert not dkim.DKIM(changed, minkey=1024).verify(which, dnsfunc=dns_text)
        added = b"List-Unsubscribe: <https://evil.example>\r\n" + content
        assert not dkim.DKIM(added, minkey=1024).verify(which, dnsfunc=dns_text)


async def test_an_empty_message_keeps_its_fields_in_the_header(desk: Desk) -> None:
    content = b"".join((await desk.taken(STREAM)).pieces)
    header, _, body = content.partition(b"\r\n\r\n")
    assert b"List-Unsubscribe-Post" in header
    assert body == b"hello\r\n"
    arrival = Arrival(
        Origination(Origin.SUBMISSION, "c", "192.0.2.1", "ESMTPSA", account=Account(APP, (APP,), AT)),
        APP, tuple(filter(None, (parse_mailbox(BOB),))), (b"",), 0,
    )  # fmt: skip
    await desk.rule(stream="news", links=True)
    judged = judge(arrival, desk.acceptance, AT)
    assert isinstance(judged, Accepted)
    ready = await ready_to_keep(arrival, judged, desk.acceptance)
    assert isinstance(ready, Accepted)
    assert b"".join(ready.pieces).endswith(b"List-Unsubscribe=One-Click\r\n\r\n")


OWN = "List-Unsubscribe: <mailto:off@football.example.com>\r\n"
WITHOUT = [
    (STREAM + OWN, (BOB,), APP, "its own List-Unsubscribe"),
    (STREAM + "LIST-UNSUBSCRIBE-POST: x\r\n", (BOB,), APP, "its own List-Unsubscribe"),
    (STREAM, (BOB, "eve@y.example"), APP, "no link: 2 recipients"),
    (STREAM, (BOB,), "x@other.example", "no link: nobody signs it"),
]


@pytest.mark.parametrize(("header", "to", "author", "words"), WITHOUT)
async def test_what_gets_no_link(desk: Desk, header, to, author, words) -> None:
    accepted = await desk.taken(header, *to, author=author)
    assert b"".join(accepted.pieces).lower().count(b"\nlist-unsubscribe: <https") == 0
    assert told(accepted) == ("news", words)


async def test_without_a_public_url_there_is_no_link(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path, WorkerId("node/1/0"))
    desk = Desk(store, await signer_with(store, domain_of_tests()), Links(MASTER, ""))
    accepted = await desk.taken(STREAM)
    assert told(accepted) == ("news", "no link: [http] public_url is not set")
    await store.close()


async def test_a_line_stays_a_line(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path, WorkerId("node/1/0"))
    long = Links(MASTER, "https://" + "x" * 900 + ".example")
    desk = Desk(store, await signer_with(store, domain_of_tests()), long)
    assert told(await desk.taken(STREAM)) == ("news", "no link: it would be too long")
    await store.close()


async def test_an_account_s_stream_gets_links_where_it_wants_them(desk: Desk) -> None:
    assert told(await desk.taken("")) == (None, None)
    await desk.rule(stream="news")
    plain = await desk.taken("")
    assert told(plain) == (None, None)
    assert b"List-Unsubscribe:" not in b"".join(plain.pieces)
    await desk.rule(stream="news", links=True)
    assert told(await desk.taken("")) == ("news", "link added")
    assert told(await desk.taken("Gatepost-Stream: tips\r\n")) == ("tips", "link added")


# -- who has unsubscribed


async def test_who_has_unsubscribed_is_refused_in_that_stream_only(desk: Desk) -> None:
    await desk.unsubscribed(BOB)
    refused = await desk.take(STREAM, "Bob@y.example")
    assert isinstance(refused, Reply)
    assert (refused.code, refused.status) == (550, "5.7.1")
    assert "<Bob@y.example> unsubscribed from news since 2026-01-01" in refused.text
    assert isinstance(await desk.take(STREAM, "eve@y.example", BOB), Reply)
    await desk.taken("Gatepost-Stream: tips\r\n")
    await desk.taken("")
    await desk.taken(STREAM, "eve@y.example")


async def test_or_dropped_where_the_account_wants_it(desk: Desk) -> None:
    await desk.unsubscribed(BOB)
    await desk.rule(drops=True)
    accepted = await desk.taken(STREAM, "eve@y.example", BOB)
    states = {each.forward_path: each.state for each in accepted.deliveries}
    assert states == {"eve@y.example": DeliveryState.DUE, BOB: DeliveryState.CANCELLED}
    assert [event.kind for event in accepted.more_events] == [EventKind.SUPPRESSED]
    # The one who is left gets a link of his own.
    link = LINKS.link(Subscriber(APP, "news", "eve@y.example"))
    assert f"<{link}>".encode() in b"".join(accepted.pieces)
    alone = await desk.taken(STREAM)
    assert [each.state for each in alone.deliveries] == [DeliveryState.CANCELLED]
    assert told(alone) == ("news", "no link: 0 recipients")


async def test_nobody_is_asked_about_mail_from_servers(desk: Desk) -> None:
    await desk.rule(stream="news", links=True)
    accepted = await desk.taken("")
    from_servers = replace(accepted.submission, account=None)
    assert desk.acceptance.unsubscribe is not None
    same = replace(accepted, submission=from_servers)
    assert await desk.acceptance.unsubscribe(same) is same
