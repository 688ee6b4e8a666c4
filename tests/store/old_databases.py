"""Databases of every version of the schema, as text: tests/store/schemas/VERSION.sql.

    python -m tests.store.old_databases     writes what is not there yet

Written once, when a version is new, and never again: they are what users have. Each has rows in
every table of its version. Versions before 16 were made from it by leaving out what they had not.
Contents are in one segment beside them.
"""

import asyncio
import tempfile
from datetime import timedelta
from pathlib import Path

import apsw

from gatepost.identity.passwords import hash_password
from gatepost.model.account import Account, Credential, CredentialKind
from gatepost.model.delivery import DeliveryState
from gatepost.model.event import EventKind
from gatepost.model.ids import AccountName, CredentialId, WorkerId
from gatepost.model.quota import Tally
from gatepost.store.guessing_protocols import Guessed
from gatepost.store.notices import NoticeKind
from gatepost.store.protocols import Store, Transaction
from gatepost.store.sqlite import open_sqlite
from gatepost.store.sqlite_schema import VERSIONS, make_day_table
from gatepost.store.suppressions import AccountRule
from tests.store import (
    test_api_keys,
    test_bulk,
    test_domain_claims,
    test_domain_looks,
    test_domains,
    test_foreign_uses,
    test_histories,
    test_kept_keys,
    test_pools,
    test_presences,
    test_quotas,
    test_suppressions,
)
from tests.store.a_newer_program import tables
from tests.store.makers import ACCEPTED, LATER, NOON, delivery, event, lease, settled, submission

SCHEMAS = Path(__file__).with_name("schemas")
ACCOUNT = AccountName("app@example.com")
PASSWORD = "correct horse battery staple"
#: What versions have renamed: table and column.
RENAMED = {("notice", "is_warning"): "kind"}
#: Rows that a later version adds: up to which event a journal may tell on.
ADDED = {("settled", 3)}
CONTENT = b"Subject: from an old program\r\n\r\nStill here.\r\n"


def path_of(version: int) -> Path:
    """Return where a version's database is written down."""
    return SCHEMAS / f"{version:02d}.sql"


def load(version: int, data_dir: Path) -> None:
    """Make a state directory as that version left it."""
    connection = apsw.Connection(str(data_dir / "gatepost.db"))
    connection.execute(path_of(version).read_text())
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    (data_dir / "content").mkdir(mode=0o700)
    for segment in SCHEMAS.glob("*.seg"):
        (data_dir / "content" / segment.name).write_bytes(segment.read_bytes())


def changed(version: int, data_dir: Path) -> list[str]:
    """Return the tables of that version's database whose rows are not in this one as they were."""
    before, after = apsw.Connection(":memory:"), apsw.Connection(str(data_dir / "gatepost.db"))
    before.execute(path_of(version).read_text())
    found = []
    for table in tables(before):
        mine = [row[1] for row in before.execute(f"PRAGMA table_info({table})")]
        there = {row[1] for row in after.execute(f"PRAGMA table_info({table})")}
        theirs = [n if n in there else RENAMED.get((table, n), n) for n in mine]
        old, new = _rows(before, table, mine), _rows(after, table, theirs)
        if table != "schema_mark" and old != [row for row in new if row not in ADDED or row in old]:
            found.append(table)
    after.close()
    return found


def _rows(connection: apsw.Connection, table: str, columns: list[str]) -> list[object]:
    return sorted(connection.execute(f"SELECT {', '.join(columns)} FROM {table}"), key=repr)


def dump(connection: apsw.Connection) -> str:
    """Return a database as statements."""
    lines = ["PRAGMA application_id = 1197569125;"]
    order = "SELECT sql FROM sqlite_schema WHERE type = ? AND sql IS NOT NULL AND name NOT LIKE ?"
    lines += [f"{sql};" for (sql,) in connection.execute(order, ("table", "sqlite%"))]
    for name in tables(connection):
        for row in connection.execute(f"SELECT * FROM {name}"):
            lines.append(f"INSERT INTO {name} VALUES ({', '.join(map(literal, row))});")
    lines += [f"{sql};" for (sql,) in connection.execute(order, ("index", "sqlite%"))]
    lines.append(f"PRAGMA user_version = {connection.pragma('user_version')};")
    return "\n".join(lines) + "\n"


def literal(value: object) -> str:
    """Return a value as SQL says it."""
    return apsw.format_sql_value(value)


async def fill(directory: Path) -> None:
    """Make a store of the present version with rows in every table."""
    store = await open_sqlite(directory, WorkerId("node/1/0"), clock=lambda: NOON)
    await fill_store(store)
    await store.close()


async def fill_store(store: Store) -> None:
    """Write rows into every table."""
    await store.write(_accounts)
    await store.write(_rest)
    for states in ((DeliveryState.DUE, DeliveryState.HELD), (DeliveryState.DUE,) * 3):
        message = submission()
        ways = [
            delivery(message, f"r{number}@y.example", state=state)
            for number, state in enumerate(states)
        ]
        await store.write(lambda t, m=message, w=ways: _queue(t, m, w), (message.id, (CONTENT,)))


def _queue(transaction, message, ways):
    transaction.add_deliveries(message, ways)
    transaction.add_events([event(EventKind.ACCEPTED, message, size=len(CONTENT))])
    if len(ways) < 3:
        return
    first, second, _ = transaction.lease_due(NOON, lease(), limit=9)[-3:]
    transaction.begin_attempts([settled(first).held, settled(second).held])
    later = settled(
        second,
        DeliveryState.DUE,
        LATER,
        next_attempt_at=NOON + timedelta(minutes=5),
        reason="later",
    )
    told = event(EventKind.DELIVERED, message)
    done = settled(
        first, DeliveryState.DELIVERED, ACCEPTED, events=[told], notice=NoticeKind.RETURN
    )
    transaction.settle([done, later])
    transaction.set_position("journal", 1)


def _accounts(transaction: Transaction) -> None:
    transaction.put_account(Account(name=ACCOUNT, senders=(ACCOUNT,), created_at=NOON))
    transaction.put_credential(
        Credential(
            CredentialId("c" * 32),
            ACCOUNT,
            CredentialKind.PASSWORD,
            hash_password(PASSWORD),
            NOON,
            "",
        )
    )
    failed = (NOON - timedelta(seconds=5), NOON)
    transaction.put_guessed([Guessed("address 192.0.2.9", failed, 1, NOON, NOON)])
    transaction.note_foreign_uses([test_foreign_uses.TOKEN])
    transaction.put_history(test_histories.FULL, NOON)
    transaction.put_api_key(test_api_keys.FULL)


def _rest(transaction: Transaction) -> None:
    transaction.put_domain(test_domains.DOMAIN)
    transaction.put_domain_claim(test_domain_claims.CLAIM)
    transaction.put_domain_look(test_domain_looks.LOOK)
    transaction.add_suppressions([test_suppressions.BOB, test_suppressions.DOMAIN], replace=True)
    transaction.put_account_rule(AccountRule(ACCOUNT, drops=True, stream="news"))
    transaction.count_bulk([test_bulk.ONE])
    transaction.keep_key(test_kept_keys.ONE, forget_before=NOON)
    tally = Tally(test_quotas.A).plus(test_quotas.AT, test_quotas.SENT)
    transaction.put_tally(tally, NOON)
    transaction.put_quota_lease(test_quotas.lease())
    transaction.beat(test_presences.said())
    transaction.put_pause(test_pools.PAUSE)


def write_present() -> None:
    """Write the present version down."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        asyncio.run(fill(directory))
        connection = apsw.Connection(str(directory / "gatepost.db"))
        empty = [
            n for n in tables(connection) if not list(connection.execute(f"SELECT 1 FROM {n}"))
        ]
        assert not empty, f"no rows in {empty}: fill them in here"
        path_of(len(VERSIONS)).write_text(dump(connection))
        connection.close()
        for segment in (directory / "content").glob("*.seg"):
            (SCHEMAS / segment.name).write_bytes(segment.read_bytes())


def write_former(version: int) -> None:
    """Write a version down that came together with the present one: what it had of that."""
    present, former = apsw.Connection(":memory:"), apsw.Connection(":memory:")
    present.execute(path_of(len(VERSIONS)).read_text())
    for each in VERSIONS[:version]:
        former.execute(each.pre)
    for table in set(tables(present)) - set(tables(former)):
        if table.endswith("_20261123"):
            make_day_table(former, *table.split("_"))
    for table in tables(former):
        columns = ", ".join(row[1] for row in former.execute(f"PRAGMA table_info({table})"))
        former.execute(f"DELETE FROM {table}")
        for row in present.execute(f"SELECT {columns} FROM {table}"):
            values = ", ".join(map(literal, row))
            former.execute(f"INSERT INTO {table} ({columns}) VALUES ({values})")
    former.execute("UPDATE schema_mark SET value = min(value, ?)", (version,))
    former.pragma("user_version", version)
    path_of(version).write_text(dump(former))


if __name__ == "__main__":
    if not path_of(len(VERSIONS)).exists():
        write_present()
    for number in range(1, len(VERSIONS)):
        if not path_of(number).exists():
            write_former(number)
