"""While a key is not published, mail is signed, refused or held; a bad signature never leaves."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gatepost.identity.master_key import MasterKey
from gatepost.model.account import Account
from gatepost.model.delivery import DeliveryState
from gatepost.model.domain import DkimKeyState
from gatepost.model.domain_look import DomainLook, Health
from gatepost.model.event import EventKind
from gatepost.model.ids import AccountName, SubmissionId, WorkerId
from gatepost.model.submission import Origin
from gatepost.operate.accounts import By
from gatepost.operate.domains import set_unpublished
from gatepost.reception import signing
from gatepost.reception.accept import Acceptance, accept
from gatepost.reception.arrival import Arrival, Origination
from gatepost.reception.readiness import Unpublished, is_ready, waits_for
from gatepost.reception.returned import accept_return
from gatepost.reception.signing import Signer, SigningRules
from gatepost.returns.notify import ReturnMessage
from gatepost.store.queue_view import QueueFilter
from gatepost.store.sqlite import open_sqlite
from gatepost.wire.records.dkim_key import KeyType
from gatepost.wire.smtp.grammar import parse_mailbox
from tests.reception.test_signing import domain_of_tests

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
MASTER = MasterKey(bytes(32))
DAYS = timedelta(days=5)
NAME = "football.example.com"
RSA, ED25519 = "test", "brisbane"
SIGN, REFUSE, HOLD = Unpublished.SIGN, Unpublished.REFUSE, Unpublished.HOLD


@pytest.fixture
async def store(tmp_path: Path):
    opened = await open_sqlite(tmp_path, WorkerId("node/1/0"))
    yield opened
    await opened.close()


async def acceptance(store, rule=SIGN, sample=1, published=(), placement=None) -> Acceptance:
    def job(tx):
        tx.put_domain(domain_of_tests())
        if published is not None:
            tx.put_domain_look(look(*published))

    await store.write(job)
    signer = Signer(store, MASTER, DAYS, SigningRules(rule, sample))
    await signer.refresh()
    to = Acceptance(store, "relay.example", 10**6, DAYS, signer=signer)
    return replace(to, placement=placement) if placement else to


def look(*published: str) -> DomainLook:
    return DomainLook(NAME, AT, Health.BAD, AT, (), frozenset(published))


def arrival(author: str = f"joe@{NAME}") -> Arrival:
    account = Account(AccountName("app"), ("*",), AT)
    content = f"From: {author}\r\nSubject: hi\r\n\r\nGood day.\r\n".encode()
    mailbox = parse_mailbox("bob@y.example")
    assert mailbox
    return Arrival(
        Origination(Origin.SUBMISSION, "c.test", "192.0.2.1", "ESMTPSA", account=account),
        "app@example.com", (mailbox,), (content,), len(content),
    )  # fmt: skip


async def queued(store):
    rows = await store.read(lambda reading: reading.deliveries(QueueFilter(), limit=10))
    return [(row.delivery.state, row.delivery.reason) for row in rows]


async def signed_by(store) -> list[str]:
    # Asked where it is written: who reads from outside hears of events when they are synced.
    events = await store.write(lambda transaction: transaction.events())
    return [
        str(e.event.facts.get("signed", "")) for e in events if e.event.kind is EventKind.ACCEPTED
    ]


BOTH = f"{NAME}/{RSA} {NAME}/{ED25519}"
DUE, HELD = (DeliveryState.DUE, ""), (DeliveryState.HELD, waits_for(NAME))


@pytest.mark.parametrize(
    ("rule", "published", "code", "rows", "signed"),
    [
        (SIGN, None, 250, [DUE], [BOTH]),
        (SIGN, (), 250, [DUE], [BOTH]),
        (REFUSE, None, 451, [], []),
        (REFUSE, (), 451, [], []),
        (REFUSE, (ED25519,), 451, [], []),
        (REFUSE, (RSA,), 250, [DUE], [BOTH]),
        (HOLD, None, 250, [HELD], [BOTH]),
        (HOLD, (), 250, [HELD], [BOTH]),
        (HOLD, (RSA, ED25519), 250, [DUE], [BOTH]),
    ],
)
async def test_what_is_done_while_no_key_is_published(store, rule, published, code, rows, signed):
    to = await acceptance(store, rule, published=published)
    reply = await accept(arrival(), to)
    assert reply.code == code
    if code == 451:
        assert (reply.status, NAME in reply.text) == ("4.7.5", True)
    assert await queued(store) == rows
    assert await signed_by(store) == signed


@pytest.mark.parametrize(
    ("rule", "own", "code", "rows"),
    [
        (SIGN, "refuse", 451, []),
        (SIGN, "hold", 250, [HELD]),
        (REFUSE, "sign", 250, [DUE]),
        (REFUSE, "hold", 250, [HELD]),
        (HOLD, None, 250, [HELD]),
    ],
)
async def test_a_domain_may_differ_from_the_settings(store, rule, own, code, rows):
    to = await acceptance(store, rule)
    await set_unpublished(store, NAME, own, by=By(AT, "root"))
    await to.signer.refresh()
    assert (await accept(arrival(), to)).code == code
    assert await queued(store) == rows


@pytest.mark.parametrize("rule", [REFUSE, HOLD])
async def test_other_domains_are_nobodys_business_and_get_no_ones_key(store, rule):
    to = await acceptance(store, rule)
    assert (await accept(arrival("joe@other.example"), to)).code == 250
    assert await queued(store) == [DUE]
    assert await signed_by(store) == [""]


async def test_a_key_that_is_seen_meanwhile_lets_mail_pass(store):
    to = await acceptance(store, REFUSE)
    assert (await accept(arrival(), to)).code == 451
    await store.write(lambda tx: tx.put_domain_look(look(RSA)))
    await to.signer.refresh()
    assert (await accept(arrival(), to)).code == 250


async def test_a_route_that_holds_says_so_itself(store):
    to = await acceptance(store, HOLD, placement=lambda _: DeliveryState.HELD)
    await accept(arrival(), to)
    assert await queued(store) == [(DeliveryState.HELD, "")]


def test_an_rsa_key_is_what_counts():
    domain = domain_of_tests()
    assert is_ready(domain, look(RSA))
    assert not is_ready(domain, look(ED25519))
    alone = tuple(key for key in domain.keys if key.algorithm is KeyType.ED25519)
    assert is_ready(replace(domain, keys=alone), look(ED25519))
    assert not is_ready(domain_of_tests(state=DkimKeyState.PENDING), look(RSA, ED25519))
    assert not is_ready(domain, None)


@pytest.fixture
def broken(monkeypatch):
    """Let every signature be wrong by one octet of the signed header."""
    real = signing.sign

    def spoilt(content, *rest):
        return real(content.replace(b"Subject: hi", b"Subject: ho"), *rest)

    monkeypatch.setattr(signing, "sign", spoilt)


async def test_a_signature_that_does_not_hold_does_not_leave(store, broken, caplog):
    to = await acceptance(store)
    reply = await accept(arrival(), to)
    assert (reply.code, reply.status) == (451, "4.3.0")
    assert await queued(store) == []
    (event,) = (each.event for each in await store.write(lambda t: t.events()))
    assert event.kind is EventKind.SIGNATURE_BROKEN
    assert event.facts["signed"] == BOTH
    assert event.facts["reason"].startswith("fail (")
    assert "not good" in caplog.text


async def test_a_return_whose_signature_does_not_hold_goes_unsigned(store, broken):
    to = replace(await acceptance(store, HOLD), hostname=NAME)
    content = b"From: <MAILER-DAEMON@football.example.com>\r\nSubject: hi\r\n\r\nSorry.\r\n"
    message = ReturnMessage(SubmissionId("1" * 32), "bob@y.example", content)
    assert await accept_return(message, lambda _: True, to)
    assert await queued(store) == [DUE]
    assert await signed_by(store) == [""]


@pytest.mark.parametrize(
    ("sample", "verified"), [(1, [0, 1, 2, 3, 4, 5, 6]), (3, [0, 3, 6]), (100, [0]), (0, [])]
)
async def test_a_sample_of_signatures_is_verified(store, monkeypatch, sample, verified):
    to = await acceptance(store, sample=sample)
    looked = []
    monkeypatch.setattr(signing, "_fault_in", lambda _, pieces, *__: looked.append(pieces) or "")
    letters = [(b"From: a\r\n\r\n%d" % number,) for number in range(7)]
    for letter in letters:
        await to.signer.sign(letter, (f"joe@{NAME}",), AT)
    assert looked == [letters[number] for number in verified]


async def test_after_a_failure_all_are_verified_until_one_is_good(store, monkeypatch):
    to = await acceptance(store, sample=100)
    answers = iter(["bad", "bad", ""])
    monkeypatch.setattr(signing, "_fault_in", lambda *_: next(answers))
    made = [await to.signer.sign((b"From: a\r\n\r\n",), (f"joe@{NAME}",), AT) for _ in range(5)]
    assert [bool(each.broken) for each in made] == [True, True, False, False, False]
