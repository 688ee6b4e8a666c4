"""Rows whose values only a newer program knows (ADR 20): each is left alone, and stops nothing else."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gatepost.events.journal import journal_lines
from gatepost.model.account import Account, Credential, CredentialKind
from gatepost.model.delivery import DeliveryState
from gatepost.model.domain import Domain
from gatepost.model.event import EventKind, LaterKind
from gatepost.model.ids import AccountName, CredentialId
from gatepost.model.secret import Secret
from gatepost.model.suppression import LaterClass, Suppression, SuppressionClass
from gatepost.operate import queue_change
from gatepost.operate.queue_change import Order, Verb, change
from gatepost.store.notices import NoticeKind
from gatepost.store.protocols import Store
from gatepost.store.queue_view import QueueFilter
from gatepost.store.rows import NewerRowError
from tests.store.makers import CONTENT, NOON, delivery, event, lease, settled, submission
from tests.store.openers import OPENERS
from tests.store.test_api_keys import FULL as API_KEY
from tests.store.test_domains import DOMAIN, OLD

#: A value of each column that a newer program may have learned.
NEWER = {
    "origin": "UPDATE submission SET origin = 'report' WHERE id = '{0}'",
    "ret": "UPDATE submission SET ret = 9 WHERE id = '{0}'",
    "outcome": "UPDATE delivery SET outcome = '[\"forwarded\"]' WHERE submission_id = '{0}'",
    "notify": "UPDATE delivery SET notify = 4096 WHERE submission_id = '{0}'",
}


@pytest.fixture(params=OPENERS, ids=lambda opener: opener.__name__)
async def store(request: pytest.FixtureRequest, tmp_path: Path):
    opened = await request.param(tmp_path)
    yield opened
    await opened.close()


async def put(store: Store, recipient: str, newer: str | None = None):
    message = submission()
    way = delivery(message, recipient)
    await store.write(lambda t: t.add_deliveries(message, [way]), (message.id, (CONTENT,)))
    if newer is not None:
        await store.write(lambda t: t.execute(newer.format(message.id)))
    return way


@pytest.mark.parametrize("column", NEWER)
async def test_a_row_of_a_newer_program_is_left_alone_and_said(store, column, caplog):
    newer = await put(store, "a@y.example", NEWER[column])
    ours = await put(store, "b@y.example")
    due = lambda t: t.lease_due(NOON, lease(), limit=9)  # noqa: E731
    assert [one.delivery.id for one in await store.write(due)] == [ours.id]
    assert f"{newer.id} waits for a program that can read it" in caplog.text
    # It does not stand before what falls due later, nor is it looked for without a pause.
    assert (await store.read(lambda r: r.next_due_at())) > NOON
    await store.write(lambda t: t.free_leases("node/1/0"))
    by_name = lambda t: t.lease_these([newer.id, ours.id], lease())  # noqa: E731
    assert [one.delivery.id for one in await store.write(by_name)] == [ours.id]
    rows = await store.read(lambda r: r.deliveries(QueueFilter(), limit=9))
    assert [row.delivery.id for row in rows] == [ours.id]
    assert (await store.read(lambda r: r.queue_depth()))[DeliveryState.LEASED] == 2


async def test_an_outcome_of_a_newer_program_may_have_more_fields(store):
    way = await put(store, "a@y.example")
    fields = '["deferred",451,"4.3.0","later","","","",false,false,"","more"]'
    await store.write(lambda t: t.execute(f"UPDATE delivery SET outcome = '{fields}'"))
    (one,) = await store.write(lambda t: t.lease_due(NOON, lease(), limit=9))
    assert (one.delivery.id, one.delivery.last_outcome.words) == (way.id, "451 4.3.0 later")


async def test_an_event_of_a_newer_kind_is_passed_on_in_its_words(store):
    kinds = EventKind.ACCEPTED, LaterKind('web"hook'), EventKind.DELIVERED
    await store.write(lambda t: t.add_events([event(kind) for kind in kinds]))
    events = await store.read(lambda r: r.events())
    assert tuple(stored.event.kind for stored in events) == kinds
    assert b'"kind":"web\\"hook",' in journal_lines(events)


@pytest.mark.parametrize("newer", ["UPDATE notice SET kind = 9", NEWER["origin"]])
async def test_a_report_that_only_a_newer_program_can_write_is_left_to_it(store, newer):
    await put(store, "a@y.example")
    (one,) = await store.write(lambda t: t.lease_due(NOON, lease(), limit=9))
    later = settled(one, DeliveryState.REFUSED, notice=NoticeKind.RETURN)
    await store.write(lambda t: t.settle([later]))
    assert len(await store.read(lambda r: r.notices_due(limit=9))) == 1
    await store.write(lambda t: t.execute(newer.format(one.submission.id)))
    assert await store.read(lambda r: r.notices_due(limit=9)) == []


async def test_a_key_of_a_newer_algorithm_signs_nothing_here_and_is_not_lost(store):
    await store.write(lambda t: t.put_domain(DOMAIN))
    await store.write(lambda t: t.put_domain(Domain("a.example", NOON + timedelta(1))))
    newer = "UPDATE dkim_key SET algorithm = 'ml-dsa' WHERE selector = 'new'"
    await store.write(lambda t: t.execute(newer))
    _, known = await store.read(lambda r: r.domains())
    assert known == replace(DOMAIN, keys=(OLD,))
    with pytest.raises(NewerRowError):  # whoever changes it would forget that key
        await store.write(lambda t: t.domain(DOMAIN.name))


NAMES = AccountName("a@x.example"), AccountName("b@x.example")
#: Of an account; what is said of it names the value.
NEWER_ACCOUNTS = {
    "state": "UPDATE account SET state = 'frozen' WHERE name = 'a@x.example'",
    "lane": "UPDATE account SET lane = 'frozen' WHERE name = 'a@x.example'",
    "unit": "UPDATE account SET limits = '[[\"frozen\",\"hour\",1]]' WHERE name = 'a@x.example'",
    "more": "UPDATE account SET limits = '[[1,2,3,\"frozen\"]]' WHERE name = 'a@x.example'",
    "senders": "UPDATE account SET senders = '7' WHERE name = 'a@x.example'",
}
NEWER_CREDENTIALS = {
    "kind": "UPDATE credential SET kind = 'passkey' WHERE id = 'new'",
    "lane": "UPDATE credential SET lane = 'slow' WHERE id = 'new'",
    "networks": "UPDATE credential SET networks = 'FR' WHERE id = 'new'",
}


def secret(name: AccountName, identifier: str) -> Credential:
    kind = CredentialKind.APP_PASSWORD
    return Credential(CredentialId(identifier), name, kind, Secret("x"), NOON, label="a printer")


async def put_accounts(store: Store) -> None:
    def job(transaction):
        for name in NAMES:
            transaction.put_account(Account(name, (name,), NOON))
            transaction.put_credential(secret(name, f"old of {name}"))
        transaction.put_credential(secret(NAMES[0], "new"))

    await store.write(job)


@pytest.mark.parametrize("column", NEWER_ACCOUNTS)
async def test_an_account_of_a_newer_program_hides_no_other_and_is_not_changed(store, column):
    await put_accounts(store)
    await store.write(lambda t: t.execute(NEWER_ACCOUNTS[column]))
    odd, ours = NAMES
    assert [each.name for each in await store.read(lambda r: r.accounts())] == [ours]
    (unread,) = await store.read(lambda r: r.unread_accounts())
    assert (unread.name, unread.state) == (odd, "frozen" if column == "state" else "active")
    assert unread.why.startswith("only a newer Gatepost knows")
    for look in (store.read, store.write):
        with pytest.raises(NewerRowError, match=odd):
            await look(lambda r: r.account(odd))
    assert await store.write(lambda t: t.remove_account(odd))
    assert await store.read(lambda r: r.unread_accounts()) == []


@pytest.mark.parametrize("column", NEWER_CREDENTIALS)
async def test_a_credential_of_a_newer_program_hides_no_other(store, column):
    await put_accounts(store)
    await store.write(lambda t: t.execute(NEWER_CREDENTIALS[column]))
    for look in (store.read, store.write):
        kept = await look(lambda r: r.kept_credentials(NAMES[0]))
        assert [each.id for each in kept.known] == [f"old of {NAMES[0]}"]
        (unread,) = kept.unread
        kind = "passkey" if column == "kind" else "app-password"
        assert (unread.id, unread.account, unread.kind) == ("new", NAMES[0], kind)
        assert unread.label == "a printer"
    assert await store.read(lambda r: r.unread_credentials()) == [unread]
    assert len(await store.read(lambda r: r.credentials(NAMES[0]))) == 1
    assert await store.write(lambda t: t.remove_credential("new"))
    assert await store.read(lambda r: r.unread_credentials()) == []


async def test_a_certificate_of_a_newer_program_hides_no_other(store):
    await put_accounts(store)
    await store.write(lambda t: t.execute("UPDATE credential SET kind = 'certificate'"))
    await store.write(lambda t: t.execute("UPDATE credential SET lane = 'slow' WHERE id = 'new'"))
    assert len(await store.read(lambda r: r.certificates())) == 2


async def test_an_api_key_of_a_newer_program_hides_no_other(store, caplog):
    await store.write(lambda t: t.put_api_key(API_KEY))
    await store.write(lambda t: t.put_api_key(replace(API_KEY, id="new")))
    newer = "UPDATE api_key SET scopes = '[\"rule\"]' WHERE id = 'new'"
    await store.write(lambda t: t.execute(newer))
    assert await store.read(lambda r: r.api_keys()) == [API_KEY]
    assert "new waits for a program that can read it" in caplog.text
    with pytest.raises(NewerRowError):
        await store.read(lambda r: r.api_key("new"))


async def test_a_secret_that_came_in_clear_is_noted_once(store):
    await put_accounts(store)
    note = lambda t: t.note_exposed("new", NOON)  # noqa: E731
    assert [await store.write(note), await store.write(note)] == [True, False]
    assert not await store.write(lambda t: t.note_exposed("gone", NOON))
    noted = {c.id: c.exposed_at for c in await store.read(lambda r: r.credentials(NAMES[0]))}
    assert noted == {"new": NOON, f"old of {NAMES[0]}": None}


@pytest.mark.parametrize("verb", Verb)
async def test_a_verb_on_much_goes_past_it(store, verb, monkeypatch):
    monkeypatch.setattr(queue_change, "PORTION", 2)
    ways = [await put(store, f"{n}@y.example") for n in range(3)]
    newer = await put(store, "a@y.example", NEWER["origin"])
    ways += [await put(store, f"{n}@y.example") for n in range(3, 6)]
    if verb is Verb.RELEASE:
        assert await change(store, Order(Verb.HOLD, QueueFilter(), "ops"), NOON) == len(ways)
    assert await change(store, Order(verb, QueueFilter(), "ops"), NOON) == len(ways)
    assert await store.write(lambda t: t.lease_these([newer.id], lease())) == []


async def test_a_suppression_of_a_newer_class_suppresses_all_the_same(store):
    gone = Suppression("gone@y.example", SuppressionClass.BOUNCED, NOON, reason="no such user")
    await store.write(lambda t: t.add_suppressions([gone], replace=False))
    newer = "UPDATE suppression SET class = 'role'"
    await store.write(lambda t: t.execute(newer))
    (found,) = await store.read(lambda r: r.suppressions_of([gone.subject], None))
    assert found == replace(gone, kind=LaterClass("role"))
    assert found.words == f"role since {NOON:%Y-%m-%d} (no such user)"
    await store.write(lambda t: t.add_suppressions([found], replace=True))
    assert await store.read(lambda r: r.suppressions_of([gone.subject], None)) == [found]
