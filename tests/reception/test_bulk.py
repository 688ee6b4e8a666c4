"""Counters of bulk mail: gathered, written together, one warning in time."""

import asyncio
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import cast

import pytest

from gatepost.model.delivery import Delivery
from gatepost.model.event import Event, EventKind
from gatepost.model.ids import DeliveryId, SubmissionId, WorkerId
from gatepost.model.submission import Submission
from gatepost.net.clock import now
from gatepost.net.resolver import DnsTemporaryError, NoSuchDomainError, Resolver
from gatepost.reception.accept import Accepted
from gatepost.reception.bulk import BulkCounter
from gatepost.reception.hosted import Hosted
from gatepost.reception.mailbox_providers import (
    MailboxProvider,
    MailboxProviders,
    MailboxProvidersError,
    mailbox_providers,
    parse_mailbox_providers,
)
from gatepost.store.protocols import StoreUnavailableError
from gatepost.store.sqlite import open_sqlite
from gatepost.wire.records.mx import MxAnswer, mx_answer, parse_mx
from tests.support.reception import APP

TEN = MailboxProviders({"gmail.com": MailboxProvider("gmail", bulk=12, warn=10)}, {})


class Answers:
    """A resolver with the MX hosts of some domains; asks are noted, "slow.test" never answers."""

    def __init__(self, hosts: dict[str, list[str]] | None = None) -> None:
        self.hosts = hosts or {}
        self.asked: list[str] = []

    async def mx(self, domain: str) -> MxAnswer:
        self.asked.append(domain)
        if domain == "slow.test":
            await asyncio.Event().wait()
        if domain == "away.test":
            raise DnsTemporaryError("no answer")
        if domain not in self.hosts:
            raise NoSuchDomainError(domain)
        return mx_answer(domain, [parse_mx(text) for text in self.hosts[domain]])


def counting(store, providers: MailboxProviders, resolver: Answers | None = None) -> BulkCounter:
    hosted = Hosted(providers, cast("Resolver", resolver or Answers()), lambda _: True)
    return BulkCounter(store, providers, hosted)


@pytest.fixture
async def store(tmp_path: Path):
    opened = await open_sqlite(tmp_path, WorkerId("node/1/0"))
    yield opened
    await opened.close()


def message(*destinations: str, domain: str = "example.com", days_ago: int = 0) -> Accepted:
    at = now() - timedelta(days_ago)
    identifier = SubmissionId("019b0000000070008000000000000001")
    submission = Submission(identifier, "a@example.com", 1, at, "submission", APP)
    deliveries = tuple(
        Delivery(DeliveryId("d"), identifier, f"a@{name}", name, at, at + timedelta(1))
        for name in destinations
    )
    return Accepted(
        submission, deliveries, (), Event(EventKind.ACCEPTED, at), organizational=domain
    )


async def counts(store) -> list[tuple[str, str, int]]:
    found = await store.read(lambda reading: reading.bulk_counts(now().date() - timedelta(1)))
    return [(each.provider, each.domain, each.count) for each in found]


async def warnings(store) -> list[Event]:
    found = await store.read(lambda reading: reading.events())
    return [each.event for each in found if each.event.kind is EventKind.BULK_NEARED]


async def test_recipients_are_counted_by_provider_and_domain(store) -> None:
    counter = counting(store, mailbox_providers())
    counter.count(message("gmail.com", "googlemail.com", "yahoo.de", "elsewhere.test"))
    counter.count(message("gmail.com", domain="other.test"))
    counter.count(message("gmail.com", domain=""))
    await counter.flush()
    assert sorted(await counts(store)) == [
        ("gmail", "example.com", 2),
        ("gmail", "other.test", 1),
        ("yahoo", "example.com", 1),
    ]


async def test_hosted_domains_count_for_who_is_behind_their_mx(store) -> None:
    resolver = Answers(
        {
            "shop.test": ["1 aspmx.l.google.com", "5 alt1.aspmx.l.google.com"],
            "firm.test": ["0 firm-test.mail.protection.outlook.com"],
            "brand.test": ["1 mta5.am0.yahoodns.net"],
            "backup.test": ["20 aspmx.l.google.com", "10 mail.backup.test"],
            "null.test": ["0 ."],
            "fake.test": ["10 notgoogle.com"],
        }
    )
    providers = mailbox_providers()
    asked_for = {*resolver.hosts, "none.test", "away.test", "gmail.com"}
    hosted = Hosted(providers, cast("Resolver", resolver), asked_for.__contains__)
    counter = BulkCounter(store, providers, hosted)
    counter.count(message(*sorted(asked_for), "smart.test", "[192.0.2.1]"))
    counter.count(message("shop.test"))
    await hosted.look_up([*sorted(asked_for), "shop.test", "smart.test", "[192.0.2.1]"])
    await counter.flush()
    assert sorted(await counts(store)) == [
        ("gmail", "example.com", 1),
        ("google-hosted", "example.com", 2),
        ("microsoft-hosted", "example.com", 1),
        ("yahoo", "example.com", 1),
    ]
    assert sorted(resolver.asked) == sorted(asked_for - {"gmail.com"})
    await hosted.look_up(asked_for)
    assert len(resolver.asked) == len(asked_for) - 1


async def test_a_silent_dns_holds_up_no_count(store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatepost.reception.hosted._PATIENCE", 0.05)
    counter = counting(store, mailbox_providers(), Answers())
    monkeypatch.setattr("gatepost.reception.bulk._INTERVAL", 0.0)
    counter.count(message("slow.test", "gmail.com"))
    task = asyncio.create_task(counter.run())
    async with asyncio.timeout(30):
        while await counts(store) != [("gmail", "example.com", 1)]:
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_one_warning_in_time_whoever_counts(store) -> None:
    """Two workers; another one after a restart goes on where they were."""
    workers = [counting(store, TEN), counting(store, TEN)]
    for number in range(9):
        workers[number % 2].count(message("gmail.com"))
        await workers[number % 2].flush()
    assert await warnings(store) == []
    again = counting(store, TEN)
    again.count(message("gmail.com", "gmail.com", "gmail.com"))
    again.count(message("gmail.com", domain="other.test"))
    await again.flush()
    (event,) = await warnings(store)
    assert {**event.facts, "day": ""} == {
        "domain": "example.com", "provider": "gmail", "count": 12, "limit": 12, "day": "",
    }  # fmt: skip
    workers[0].count(message("gmail.com"))
    await workers[0].flush()
    assert len(await warnings(store)) == 1


async def test_counts_are_by_day_and_forgotten_after_thirty(store) -> None:
    counter = counting(store, TEN)
    forgotten, oldest, newest = (message("gmail.com", days_ago=days) for days in (32, 29, 0))
    for each in (forgotten, oldest, oldest, newest):
        counter.count(each)
    await counter.flush()
    await counter.flush()
    found = await store.read(lambda reading: reading.bulk_counts(now().date() - timedelta(99)))
    assert sorted((each.day, each.count) for each in found) == [
        (oldest.submission.received_at.date(), 2),
        (newest.submission.received_at.date(), 1),
    ]


async def test_what_is_left_is_written_when_a_worker_stops(store) -> None:
    resolver = Answers({"shop.test": ["1 aspmx.l.google.com"]})
    counter = counting(store, mailbox_providers(), resolver)
    task = asyncio.create_task(counter.run())
    await asyncio.sleep(0)
    counter.count(message("shop.test", "gmail.com"))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert sorted(await counts(store)) == [
        ("gmail", "example.com", 1),
        ("google-hosted", "example.com", 1),
    ]


async def test_nothing_is_lost_while_the_store_is_away(store) -> None:
    counter = counting(store, TEN)
    counter.count(message("gmail.com"))

    class Away:
        async def write(self, job: object) -> None:
            raise StoreUnavailableError("away")

    counter._store = Away()  # type: ignore[assignment]
    await counter.flush()
    counter.count(message("gmail.com"))
    counter._store = store
    await counter.flush()
    assert await counts(store) == [("gmail", "example.com", 2)]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("", "", ""),
        ('name = "gmail"', "", "providers 1: name must be there"),
        ("warn = 4000", "warn = 6000", "warn must be above 0, and not above bulk"),
        ("bulk = 5000", 'bulk = "5000"', "bulk must be there, a int"),
        ('"ymail.com"', '"GMail.com"', "no domain in lower case"),
        ('"ymail.com"', '"gmail.com"', "gmail.com is gmail's already"),
        ('["yahoodns.net"]', '["google.com"]', "google.com is yahoo's already"),
        ('["yahoodns.net"]', '["com"]', "no domain in lower case"),
        ('["google.com", "googlemail.com"]', "[]", "it names neither domains nor exchangers"),
        ("source =", "origin =", "unknown key origin"),
        ("[[providers]]", "[[others]]", "there is no provider"),
        ("[[providers]]", "[[providers", "no TOML"),
    ],
)
def test_the_data_is_checked(old: str, new: str, fault: str) -> None:
    text = files("gatepost").joinpath("data", "mailbox_providers.toml").read_text("utf-8")
    if not fault:
        assert parse_mailbox_providers(text).by_domain["gmail.com"].warn == 4000
        return
    with pytest.raises(MailboxProvidersError, match=fault):
        parse_mailbox_providers(text.replace(old, new))
