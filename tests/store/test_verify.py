"""verify finds what must not be."""

from pathlib import Path

import pytest

from gatepost.store import verify as verify_module
from gatepost.store.postgresql_pending import PIECE
from gatepost.store.segment_head import LEAST
from gatepost.store.sqlite_place import CONTENT
from gatepost.store.verify import verify
from tests.store.makers import delivery, lease, settled, submission
from tests.store.openers import postgresql, sqlite

LARGE = 3 * PIECE


async def filled(made):
    for leased in (None, lease(), lease()):
        message = submission()
        ways = [delivery(message)]
        job = lambda t, m=message, w=ways, le=leased: t.add_deliveries(m, w, le)  # noqa: E731
        got = await made.write(job, (message.id, (b"content of " + message.id.encode(),)))
    await made.write(lambda t: t.settle([settled(one) for one in got]))
    return made


@pytest.fixture(params=["all at once", "bit by bit"])
def parts(request, monkeypatch):
    """However a table is cut into parts, the same is found."""
    if request.param == "bit by bit":
        monkeypatch.setattr(verify_module, "_PART", 1)
        monkeypatch.setattr(verify_module, "_PAGE", 1)


@pytest.fixture
async def store(tmp_path: Path, parts):
    made = await filled(await sqlite(tmp_path))
    yield made
    await made.close()


@pytest.fixture
async def shared(tmp_path: Path, parts):
    """The same over PostgreSQL."""
    made = await filled(await postgresql(tmp_path))
    yield made
    await made.close()


async def test_a_whole_store_has_no_faults(store):
    assert await verify(store) == []


ANYWHERE = (
    ("DELETE FROM content", "its content is missing"),
    ("DELETE FROM submission WHERE finished_at IS NULL", "belongs to no message"),
    ("DELETE FROM delivery", "has no delivery, and is not finished"),
    ("DELETE FROM delivery", "nothing needs it"),
    ("UPDATE delivery SET state = 3", "still in the queue"),
    ("UPDATE delivery SET worker = NULL", "leased by nobody"),
    ("UPDATE delivery SET worker = 'node/1/1'", "without a lease"),
    ("UPDATE delivery SET ready_at = NULL", "no time at which it may be taken"),
    ("UPDATE delivery SET ready_at = 5 WHERE state = 0", "due at two different times"),
    ("INSERT INTO notice VALUES ('d', 0, 's')", "owed for no message"),
    ("INSERT INTO notice SELECT 'd', 0, max(id) FROM submission", "delivery d, which is lost"),
    ("UPDATE content SET length = length - 1", "damaged or missing"),
    ("UPDATE delivery_20261123 SET state = 0", "is filed as finished, and is not"),
    ("DELETE FROM submission WHERE finished_at IS NOT NULL", "has no message"),
    (
        (
            "INSERT INTO delivery_20261123 SELECT id, submission_id, forward_path, destination,"
            " 0, 0, 3, 0, 0, NULL, '', 0, 1, NULL, '' FROM delivery"
        ),
        "is finished, and still in the queue",
    ),
)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        *ANYWHERE,
        ("UPDATE content SET length = length + 1000", "overlaps"),
        ("UPDATE content SET segment = 'none'", "damaged or missing"),
    ],
)
async def test_a_planted_fault_is_found(store, damage, words):
    await store.write(lambda t: t.execute(damage))
    assert [fault for fault in await verify(store) if words in fault]


@pytest.mark.parametrize(("damage", "words"), ANYWHERE)
async def test_a_planted_fault_is_found_over_postgresql(shared, damage, words):
    await shared.write(lambda t: t.execute(damage))
    assert [fault for fault in await verify(shared) if words in fault]


async def test_a_content_of_several_pieces_is_read_to_its_end(shared):
    message = submission()
    job = lambda t: t.add_deliveries(message, [delivery(message)])  # noqa: E731
    await shared.write(job, (message.id, (b"x" * LARGE,)))
    assert await verify(shared) == []
    sql = "UPDATE content_more SET octets = octets || 'y' WHERE number = 2"
    await shared.write(lambda t: t.execute(sql))
    (fault,) = await verify(shared)
    assert f"content of {message.id} is damaged" in fault


@pytest.mark.parametrize("opener", [sqlite, postgresql])
async def test_of_many_faults_of_a_kind_the_first_are_listed(tmp_path, parts, opener):
    made = await opener(tmp_path)
    message = submission()
    ways = [delivery(message, f"u{number}@y.example") for number in range(130)]
    await made.write(lambda t: t.add_deliveries(message, ways), (message.id, (b"content",)))
    await made.write(lambda t: t.execute("UPDATE delivery SET ready_at = NULL"))
    found = await verify(made)
    await made.close()
    assert len(found) == 101
    assert "(and more)" in found[-1]


async def test_a_damaged_octet_is_found(store, tmp_path):
    (segment,) = (tmp_path / CONTENT).glob("*.seg")
    octets = segment.read_bytes()
    segment.write_bytes(octets[:LEAST] + b"X" + octets[LEAST + 1 :])
    (fault,) = await verify(store)
    assert "damaged" in fault
