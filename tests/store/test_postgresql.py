"""What PostgreSQL alone must get right: many write at once, servers go and come, texts are stricter."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

import psycopg
import pytest
from psycopg import errors

from gatepost.model.delivery import DeliveryState
from gatepost.model.ids import AccountName, SubmissionId, WorkerId
from gatepost.model.quota import Subject, Unit
from gatepost.model.suppression import Suppression, SuppressionClass
from gatepost.store import postgresql as store_of_nodes
from gatepost.store.kept_keys import KeptKey
from gatepost.store.pending import Keeping
from gatepost.store.postgresql import PostgresStore, open_postgresql, prepare
from gatepost.store.postgresql_clock import StoreClock
from gatepost.store.postgresql_connection import (
    LOCK_PATIENCE,
    Address,
    begin,
    connect,
    store_trouble,
)
from gatepost.store.postgresql_look import ask as ask_once
from gatepost.store.postgresql_look import look
from gatepost.store.postgresql_news import News
from gatepost.store.postgresql_schema import VERSIONS, lock_number
from gatepost.store.postgresql_watch import Watch
from gatepost.store.postgresql_words import statement
from gatepost.store.postgresql_writer import Own, PostgresWriter
from gatepost.store.protocols import NewerDatabaseError, StoreUnavailableError
from gatepost.store.queue_view import QueueFilter
from gatepost.store.quota_protocols import Spending
from gatepost.store.verify import verify
from tests.store.makers import NOON, event, held, lease, settled, submission
from tests.store.openers import address_of, postgresql
from tests.store.test_store_contract import ask, do, put, take
from tests.support.postgresql import HASTY, PostgresServer, shared_server

PATIENCE = 60


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[list[PostgresStore]]:
    opened = [await postgresql(tmp_path) for _ in range(3)]
    yield opened
    for store in opened:
        await store.close()


async def until(holds: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await holds():
            await asyncio.sleep(0.02)


# -- the same text in other words


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT a FROM t WHERE b = ? AND c = ?", "SELECT a FROM t WHERE b = $1 AND c = $2"),
        ("SELECT ?1, ?2, ?1", "SELECT $1, $2, $1"),
        (
            "a IN (SELECT value FROM json_each(?)) AND b = ?",
            "a = ANY (ARRAY(SELECT json_array_elements_text($1::json))) AND b = $2",
        ),
        ("FROM json_each(?) AS j CROSS JOIN d ON 1", "FROM json_array_elements($1::json) AS j JOIN d ON 1"),
        ("a = ? COLLATE NOCASE", 'lower(a) = lower($1 COLLATE "C")'),
        ("FROM delivery INDEXED BY x GROUP BY y", "FROM delivery GROUP BY y"),
    ],
)  # fmt: skip
def test_a_statement_is_said_in_its_words(sql: str, words: str) -> None:
    assert statement(sql).text.decode() == words


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("UPDATE credential SET label = ?", True),
        ("\nUPDATE credential SET last_used_at = j.at, last_tls = j.tls FROM j", False),
        ("DELETE FROM suppression WHERE subject = ?", True),
        ("INSERT INTO delivery (id) VALUES (?)", False),
        ("SELECT 1 FROM account", False),
    ],
)
def test_others_are_told_of_what_they_keep_in_memory(sql: str, told: bool) -> None:
    assert statement(sql).told is told


async def test_texts_that_its_texts_cannot_hold_are_kept_but_for_that(stores) -> None:
    store = stores[0]
    message = submission(message_id="<a\0b@example.com>")
    await put(store, of=message)
    found = await ask(store, "submission", message.id)
    assert found.message_id == "<a\ufffdb@example.com>"
    assert await ask(store, "find_submissions", "a\0b") == []
    odd = Suppression(
        "b@y.example", SuppressionClass.COMPLAINT, NOON, None, "", "no\0 \ud800 \U0001f600"
    )
    await store.write(lambda tx: tx.add_suppressions([odd], replace=True))
    (kept,) = await store.read(lambda r: r.suppressions_of(("b@y.example",), None))
    assert kept.reason == "no\ufffd ? \U0001f600"
    odd_facts = event(text="nul \0 and half \ud800")
    await do(store, "add_events", [odd_facts])
    (stored,) = await ask(store, "events")
    assert stored.event == odd_facts


# -- at once


async def test_workers_of_all_nodes_lease_each_delivery_once(stores) -> None:
    for _ in range(4):
        await put(stores[0], *(f"{n}@y.example" for n in range(10)))
    takes = [take(store, limit=5) for store in stores for _ in range(4)]
    leased = [one for some in await asyncio.gather(*takes) for one in some]
    leased += await take(stores[0], limit=99)
    ids = [one.delivery.id for one in leased]
    assert len(ids) == len(set(ids)) == 40


async def test_the_last_two_settle_at_once_and_content_goes(stores) -> None:
    for _ in range(10):
        message, _, leased = await put(
            stores[0], "a@y.example", "b@y.example", "c@y.example", lease=lease()
        )
        done = [do(s, "settle", [settled(one)]) for s, one in zip(stores, leased, strict=True)]
        await asyncio.gather(*done)
        assert await ask(stores[0], "content", message.id) is None
    assert await verify(stores[0]) == []


async def test_one_message_that_comes_to_two_nodes_is_one(stores) -> None:
    for _ in range(10):
        message = submission()
        found = await asyncio.gather(*(put(s, of=message, lease=lease()) for s in stores))
        assert sorted(len(leased) for _, _, leased in found) == [0, 0, 1]


async def test_what_is_read_to_be_changed_is_nobody_else_s(stores) -> None:
    subject = Subject("account/a@x.example")
    worker = WorkerId("w")

    def count(tx: Any) -> None:
        tx.put_tally(tx.tally(subject).plus(NOON.timestamp(), {Unit.MESSAGES: 1}), NOON)

    def spend(tx: Any) -> None:
        tx.spend([Spending(subject, worker, NOON, 1, 0)])

    await asyncio.gather(*(s.write(job) for s in stores for job in (count, spend) * 10))
    tally = await stores[0].read(lambda reading: reading.tally(subject))
    assert {sum(window.counts) for window in tally.counts} == {0, 60}


async def test_a_key_stands_for_one_message(stores) -> None:
    account = AccountName("a")

    def once(name: str, tx: Any) -> str:
        if (known := tx.kept_key(account, "k")) is not None:
            return str(known.submission_id)
        tx.keep_key(KeptKey(account, "k", b"d", SubmissionId(name), NOON), forget_before=NOON)
        return name

    calls = [s.write(lambda tx, n=n: once(f"s{n}", tx)) for n, s in enumerate(stores * 3)]
    assert len(set(await asyncio.gather(*calls))) == 1


async def test_jobs_that_lock_crosswise_all_succeed(stores) -> None:
    names = [Subject(f"account/{n}") for n in "ab"]

    def job(order: list[Subject], tx: Any) -> None:
        for subject in order:
            tx.put_tally(tx.tally(subject).plus(NOON.timestamp(), {Unit.MESSAGES: 1}), NOON)

    calls = [stores[0].write(lambda tx: job(names, tx)) for _ in range(5)]
    calls += [stores[1].write(lambda tx: job(names[::-1], tx)) for _ in range(5)]
    await asyncio.gather(*calls)
    tally = await stores[0].read(lambda reading: reading.tally(names[0]))
    assert {sum(window.counts) for window in tally.counts} == {0, 10}


async def test_no_event_appears_behind_a_reader(stores, tmp_path: Path) -> None:
    """A transaction that began earlier commits later: until then nobody reads past it."""
    address = address_of(tmp_path)
    with psycopg.connect(**address.options()) as slow:
        slow.execute("SELECT pg_current_xact_id()")
        await do(stores[0], "add_events", [event(text="fast")])
        assert await ask(stores[1], "events") == []
        slow.execute("UPDATE counter SET value = value WHERE name = 'news'")
    await until(lambda: ask(stores[1], "events"))


async def test_events_come_in_one_order_whoever_writes(stores) -> None:
    seen: list[str] = []

    async def read_all() -> None:
        position = 0
        while len(seen) < 60:
            for stored in await ask(stores[0], "events", after=position):
                position = stored.position
                seen.append(stored.event.facts["n"])

    async def write(store: PostgresStore, number: int) -> None:
        for n in range(20):
            await do(store, "add_events", [event(n=f"{number}/{n}")])

    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(read_all(), *(write(s, n) for n, s in enumerate(stores)))
    assert len(set(seen)) == 60


async def test_a_restored_database_numbers_on(tmp_path: Path) -> None:
    store = await postgresql(tmp_path)
    await do(store, "set_position", "journal", 1 << 60)
    await store.close()
    store = await postgresql(tmp_path)
    await do(store, "add_events", [event()])
    (stored,) = await ask(store, "events", after=1 << 60)
    assert stored.position > 1 << 60
    await store.close()


# -- time


def test_time_is_the_database_s_and_small_differences_are_none() -> None:
    clock = StoreClock()
    mono = time.monotonic()
    now = int(datetime.now(UTC).timestamp() * 1_000_000)
    clock.set(now + 3_600_000_000, mono, mono)
    _, ahead = clock.now()
    assert abs(ahead - 3_600_000_000) < 10_000_000
    clock.set(now + 1000, mono, mono)
    assert clock.now()[1] == 0


def test_times_are_translated_from_the_clock_that_jobs_go_by() -> None:
    """A machine's clock that was set by an hour is not followed at once: jobs' times are not, too."""
    steady = datetime(2026, 1, 1, tzinfo=UTC)
    clock = StoreClock(wall=lambda: steady)
    mono = time.monotonic()
    clock.set(int(steady.timestamp() * 1_000_000), mono, mono)
    assert clock.now()[1] == 0


async def test_mail_expires_by_the_time_of_all_nodes(stores, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    await put(stores[0], next_attempt_at=now, expires_at=now + timedelta(hours=2))
    ten_days = timedelta(days=10)
    ahead = await open_postgresql(
        address_of(tmp_path), WorkerId("ahead/1/0"), wall=lambda: datetime.now(UTC) + ten_days
    )
    await until(lambda: _knows(ahead))
    theirs = datetime.now(UTC) + ten_days
    until_then = replace(lease("ahead/1/0"), until=theirs + timedelta(minutes=2))
    (leased,) = await do(ahead, "lease_due", theirs, until_then, limit=9)
    assert abs(leased.delivery.expires_at - theirs - timedelta(hours=2)) < timedelta(minutes=1)
    await ahead.close()


async def test_a_node_whose_clock_is_an_hour_behind_leases_for_as_long_as_it_says(
    stores, tmp_path: Path
) -> None:
    await put(stores[0], next_attempt_at=datetime.now(UTC))
    late = await open_postgresql(address_of(tmp_path), WorkerId("late/1/0"))
    late._clock._offset = None
    await until(lambda: _knows(late))
    late._clock._offset += 3_600_000_000
    now = datetime.now(UTC)
    until_then = replace(lease("late/1/0"), until=now + timedelta(minutes=2))
    (leased,) = await do(late, "lease_due", now, until_then, limit=9)
    ((ready_at,),) = await late.inspect(lambda r: r.rows("SELECT ready_at FROM delivery"))
    ends = datetime.fromtimestamp(ready_at / 1_000_000, UTC)
    assert timedelta(minutes=61) < ends - now < timedelta(minutes=63)
    assert await do(late, "settle", [settled(leased)]) == {leased.delivery.id}
    await late.close()


async def _knows(store: PostgresStore) -> bool:
    return store._clock._offset is not None


# -- servers


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    made = PostgresServer(HASTY)  # some tests wait for no statement longer than a second or two
    made.start()
    yield made
    made.remove()


def fresh(server: PostgresServer, name: str) -> Address:
    server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    server.execute(f"CREATE DATABASE {name}")
    return Address(server.url(name))


async def test_a_server_that_goes_is_told_at_once_and_found_again(server) -> None:
    store = await open_postgresql(fresh(server, "goes"), WorkerId("node/1/0"))
    _, (way,), _ = await put(store)
    server.stop(signal.SIGQUIT)
    began = time.monotonic()
    with pytest.raises(StoreUnavailableError):
        await put(store)
    with pytest.raises(StoreUnavailableError):
        await ask(store, "next_due_at")
    assert time.monotonic() - began < 25
    server.start()

    async def is_back() -> bool:
        with suppress(StoreUnavailableError):
            await put(store)
            return True
        return False

    await until(is_back)
    rows = await ask(store, "deliveries", QueueFilter(), limit=9)
    assert way.id in {row.delivery.id for row in rows}
    await store.close()


async def test_a_server_that_hangs_keeps_nobody_waiting(server) -> None:
    store = await open_postgresql(fresh(server, "hangs"), WorkerId("node/1/0"))
    await put(store)
    ((pid,),) = server.execute(
        "SELECT pid FROM pg_stat_activity WHERE datname = 'hangs' AND query = 'COMMIT'"
    )
    server.pause(pid)
    began = time.monotonic()
    try:
        with pytest.raises(StoreUnavailableError, match="no answer within"):
            await put(store)
        assert time.monotonic() - began < 28
    finally:
        server.resume(pid)

    async def is_back() -> bool:
        with suppress(StoreUnavailableError):
            await put(store)
            return True
        return False

    await until(is_back)
    await store.close()


def test_a_newer_database_is_not_touched(server) -> None:
    address = fresh(server, "newer")
    prepare(address)
    with psycopg.connect(**address.options()) as connection:
        connection.execute("UPDATE schema_mark SET value = 99")
    with pytest.raises(NewerDatabaseError, match="version 99"):
        prepare(address)


async def test_many_programs_that_start_at_once_make_one_schema(server) -> None:
    address = fresh(server, "many")
    await asyncio.gather(*(asyncio.to_thread(prepare, address) for _ in range(6)))
    store = await open_postgresql(address, WorkerId("node/1/0"))
    assert await verify(store) == []
    await store.close()


def test_a_commit_is_durable_whatever_the_server_s_default() -> None:
    """A test's server runs with synchronous_commit off, and with fsync off."""
    watch = Watch()
    watch.close()
    with connect(Address(shared_server().url()), watch) as connection:
        begin(connection)
        found = connection.execute(b"SHOW synchronous_commit").fetchone()
        connection.execute(b"ROLLBACK")
        assert found == ("on",)
        assert connection.execute(b"SHOW synchronous_commit").fetchone() == ("off",)


def test_a_look_tells_which_settings_lose_what_was_committed() -> None:
    assert look(Address(shared_server().url()), "SELECT 1").unsafe == ("fsync", "full_page_writes")
    assert ask_once(Address(shared_server().url()), lambda reading: reading.time()) is None


def test_a_question_is_asked_where_the_tables_are_ours(tmp_path):
    assert ask_once(address_of(tmp_path), lambda reading: reading.waiting_pools()) == []


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_hold_every_word_is_refused(encoding: str) -> None:
    server, name = shared_server(), f"encoding_{encoding.lower()}"
    server.execute(
        f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    address = Address(server.url(name))
    for use in (prepare, lambda there: look(there, "SELECT 1")):
        with pytest.raises(
            StoreUnavailableError, match=f"encoding is {encoding}, and must be UTF8"
        ):
            use(address)


def test_damage_in_a_server_is_trouble_of_the_store() -> None:
    for kind in (errors.DataCorrupted, errors.IndexCorrupted, errors.InFailedSqlTransaction):
        assert type(store_trouble(kind("broken page"))) is StoreUnavailableError
    assert store_trouble(errors.UntranslatableCharacter("no")) is None


def test_a_url_that_cannot_be_read_is_not_repeated() -> None:
    with pytest.raises(StoreUnavailableError, match="cannot be read") as caught:
        Address("postgresql://u:s3cret%zz@h/db").options()
    assert "s3cret" not in str(caught.value)


def test_who_waits_twice_for_a_lock_is_done_before_callers_hear_that_nothing_was_written() -> None:
    assert 2 * LOCK_PATIENCE <= store_of_nodes._DEADLINE - store_of_nodes._MARGIN
    assert store_of_nodes._MARGIN > LOCK_PATIENCE


async def test_a_frozen_server_s_connection_is_given_up(server) -> None:
    fresh(server, "frozen")
    watch = Watch(patience=1.0)
    connection = connect(Address(server.url("frozen")), watch)
    server.pause(connection.info.backend_pid)
    try:
        with pytest.raises(psycopg.OperationalError), watch.over(connection):
            await asyncio.to_thread(connection.execute, b"SELECT 1")
    finally:
        server.resume(connection.info.backend_pid)
        watch.close()


@pytest.fixture
def freezing(server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Freeze what is behind each new connection, as behind a pooler that lives."""
    frozen: list[int] = []

    def connect_and_freeze(address: Address, watch: Watch) -> Any:
        connection = connect(address, watch)
        frozen.append(connection.info.backend_pid)
        server.pause(frozen[-1])
        return connection

    for module in ("postgresql", "postgresql_news", "postgresql_writer"):
        monkeypatch.setattr(f"gatepost.store.{module}.connect", connect_and_freeze)
    monkeypatch.setattr("gatepost.store.postgresql.Watch", lambda: Watch(patience=0.1))
    yield frozen
    for pid in frozen:
        server.resume(pid)


@pytest.mark.timeout(PATIENCE)
def test_a_writer_s_first_statement_is_not_waited_for_without_end(server, freezing) -> None:
    address = fresh(server, "frozen_writer")
    watch = Watch(patience=0.1)
    keeping = Keeping(timedelta(0), timedelta(0))
    writer = PostgresWriter(address, keeping, StoreClock(), watch)
    with pytest.raises(StoreUnavailableError):
        writer.commit([lambda _: None], {})
    assert len(freezing) == 1
    writer.close()
    watch.close()


@pytest.mark.timeout(PATIENCE)
def test_news_are_not_waited_for_without_end(server, freezing) -> None:
    address = fresh(server, "frozen_news")
    watch = Watch(patience=0.1)
    news = News(address, Own(Lock()), StoreClock(), watch)
    began = time.monotonic()
    news.wait(PATIENCE)
    assert time.monotonic() - began < PATIENCE / 2
    news.close()
    watch.close()
    assert freezing


@pytest.mark.timeout(PATIENCE)
def test_a_start_does_not_wait_without_end(server, freezing) -> None:
    with pytest.raises(StoreUnavailableError):
        prepare(fresh(server, "frozen_start"))
    assert len(freezing) == 1


@pytest.mark.timeout(PATIENCE)
def test_who_migrates_is_not_waited_for_without_end(server, monkeypatch) -> None:
    monkeypatch.setattr(
        "gatepost.store.postgresql_upgrade._LOCK_BOUND", b"SET LOCAL lock_timeout = '50ms'"
    )
    address = fresh(server, "migrating")
    with psycopg.connect(**address.options()) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", (lock_number("schema"),))
        with pytest.raises(StoreUnavailableError, match="lock timeout"):
            prepare(address)
    prepare(address)


@pytest.mark.timeout(PATIENCE)
def test_a_migration_may_take_longer_than_other_statements(server, monkeypatch) -> None:
    address = fresh(server, "slow_migration")
    monkeypatch.setattr("gatepost.store.postgresql.Watch", lambda: Watch(patience=2))
    slow = (*VERSIONS[:-1], replace(VERSIONS[-1], pre=f"SELECT pg_sleep(5);{VERSIONS[-1].pre}"))
    monkeypatch.setattr("gatepost.store.postgresql_upgrade.VERSIONS", slow)
    prepare(address)


def test_a_password_is_in_no_words(server) -> None:
    address = Address(server.url("none").replace("postgres@", "postgres:s3cret@"))
    with pytest.raises(StoreUnavailableError, match='database "none" does not exist') as caught:
        prepare(address)
    assert "s3cret" not in f"{caught.value} {address!r} {address.where()}"


# -- bloat


async def test_what_is_finished_leaves_tables_as_small_as_they_were(tmp_path: Path) -> None:
    store = await postgresql(tmp_path)
    address = address_of(tmp_path)

    async def a_round() -> int:
        for _ in range(20):
            _, _, leased = await put(store, lease=lease(), content=b"x" * 20_000)
            await do(store, "begin_attempts", map(held, leased))
            await do(store, "settle", [settled(one, events=[event()]) for one in leased])
        with psycopg.connect(**address.options(), autocommit=True) as connection:
            for table in ("content", "delivery", "submission"):
                connection.execute(f"VACUUM {table}".encode())
            row = connection.execute(
                "SELECT pg_total_relation_size('content') + pg_total_relation_size('delivery')"
            ).fetchone()
        assert row is not None
        return int(row[0])

    first = await a_round()
    sizes = [await a_round() for _ in range(4)]
    assert sizes[-1] <= first * 1.5
    await store.tidy(NOON + timedelta(days=40))
    assert await store.read(lambda r: r.days("delivery") + r.days("event")) == [
        "delivery_20270102", "delivery_20270103", "event_20270102", "event_20270103",
    ]  # fmt: skip
    left = await store.inspect(lambda r: r.rows("SELECT count(*) FROM submission"))
    assert left == [(0,)]
    await store.close()


async def test_tables_that_somebody_reads_are_dropped_later(tmp_path: Path) -> None:
    store = await postgresql(tmp_path)
    _, _, leased = await put(store, lease=lease())
    await do(store, "settle", [settled(leased[0], DeliveryState.DELIVERED)])
    with psycopg.connect(**address_of(tmp_path).options()) as reader:
        reader.execute("SELECT 1 FROM delivery_20261123")
        await store.tidy(NOON + timedelta(days=40))
        assert "delivery_20261123" in await store.read(lambda r: r.days("delivery"))
        await put(store)
    await store.tidy(NOON + timedelta(days=40))
    assert "delivery_20261123" not in await store.read(lambda r: r.days("delivery"))
    await store.close()
