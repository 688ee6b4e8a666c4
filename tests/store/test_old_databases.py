"""A database of every version is brought to the present one, and all that was in it is there."""

from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from gatepost.identity.passwords import verify_password
from gatepost.model.delivery import DeliveryState
from gatepost.model.ids import WorkerId
from gatepost.store.queue_view import QueueFilter
from gatepost.store.sqlite import open_sqlite
from gatepost.store.sqlite_schema import VERSIONS
from gatepost.store.suppressions import SuppressionFilter
from gatepost.store.verify import verify
from tests.store.a_newer_program import tables
from tests.store.makers import NOON, lease, settled
from tests.store.old_databases import ACCOUNT, CONTENT, PASSWORD, changed, load, path_of

ALL = range(1, len(VERSIONS) + 1)


def shape(connection: apsw.Connection) -> dict[str, object]:
    """Return what makes up the tables: columns in any order (those of a day have no defaults of
    their own, whole rows come to them), and indexes.
    """
    found: dict[str, object] = {}
    for table in tables(connection):
        rows = connection.execute(f"PRAGMA table_info({table})")
        is_daily = "_2026" in table
        found[table] = sorted((*row[1:4], is_daily or row[4], row[5]) for row in rows)
    for name, sql in connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"
    ):
        found[name] = " ".join(sql.replace("IF NOT EXISTS ", "").split())
    return found


async def opened(directory: Path):
    return await open_sqlite(directory, WorkerId("node/1/0"), clock=lambda: NOON)


@pytest.mark.parametrize("version", ALL)
async def test_all_that_was_in_an_old_database_is_there(tmp_path, version):
    assert path_of(version).exists(), "python -m tests.store.old_databases"
    load(version, tmp_path)
    store = await opened(tmp_path)
    assert changed(version, tmp_path) == []
    assert await verify(store) == []
    await store.close()


@pytest.mark.parametrize("version", ALL)
async def test_a_program_of_today_works_with_an_old_database(tmp_path, version):
    load(version, tmp_path)
    store = await opened(tmp_path)
    (credential,) = await store.read(lambda r: r.credentials(ACCOUNT))
    assert verify_password(credential.verifier, PASSWORD)
    # all that can be read is understood
    read = await store.read(
        lambda r: (
            r.accounts(), r.domains(), r.domain_claims(), r.domain_looks(), r.api_keys(),
            r.account_rules(), r.suppressions(SuppressionFilter(), limit=9), r.guesses(NOON),
            r.foreign_uses(ACCOUNT), r.presences(), r.bulk_counts(NOON.date()), r.position("journal"),
        )
    )  # fmt: skip
    assert read[0]
    events = await store.read(lambda r: r.events(limit=9))
    assert [e.position for e in events] == [1, 2, 3]
    (notice,) = await store.read(lambda r: r.notices_due(limit=9))
    assert notice.delivery.state is DeliveryState.DELIVERED
    # what waits goes out, what is finished can be looked up
    later = NOON + timedelta(minutes=10)  # leases of the former program have ended
    due = await store.write(lambda t: t.lease_due(later, lease(minutes=90), limit=9))
    assert due
    for one in due:
        content = await store.read(lambda r, one=one: r.content(one.submission.id))
        assert content == CONTENT
    await store.write(lambda t: t.settle([settled(one) for one in due]) and None)
    found = await store.read(lambda r: r.deliveries(QueueFilter(), limit=50))
    finished = QueueFilter(states=(DeliveryState.DELIVERED,))
    assert await store.read(lambda r: r.deliveries(finished, limit=50))
    assert found
    assert await verify(store) == []
    await store.close()


@pytest.mark.parametrize("version", ALL)
async def test_an_old_database_comes_to_have_the_same_tables_as_a_new_one(tmp_path, version):
    load(version, tmp_path)
    store = await opened(tmp_path)
    await store.tidy(NOON)
    await store.close()
    old, new = apsw.Connection(str(tmp_path / "gatepost.db")), apsw.Connection(":memory:")
    new.execute(path_of(ALL[-1]).read_text())
    assert shape(old) == shape(new)
    old.close()
    new.close()


def test_versions_of_the_past_are_as_they_were():
    """A released version is never edited: its tables are those that were written down."""
    for version in ALL:
        written, made = apsw.Connection(":memory:"), apsw.Connection(":memory:")
        written.execute(path_of(version).read_text())
        for each in VERSIONS[:version]:
            for statement in (each.pre, *each.post):
                made.execute(statement)
        days = [name for name in tables(written) if name not in tables(made)]
        assert all(name.endswith("_20261123") for name in days)
        mine = {k: v for k, v in shape(written).items() if "20261123" not in k}
        assert mine == shape(made), version
