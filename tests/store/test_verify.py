"""verify finds what must not be."""

from pathlib import Path

import pytest

from gatepost.model.ids import WorkerId
from gatepost.store.segment_head import LEAST
from gatepost.store.sqlite import open_sqlite
from gatepost.store.sqlite_writer import CONTENT
from gatepost.store.verify import verify
from tests.store.makers import NOON, delivery, lease, settled, submission


@pytest.fixture
async def store(tmp_path: Path):
    made = await open_sqlite(tmp_path, WorkerId("node/1/0"), clock=lambda: NOON)
    for leased in (None, lease(), lease()):
        message = submission()
        ways = [delivery(message)]
        job = lambda t, m=message, w=ways, le=leased: t.add_deliveries(m, w, le)  # noqa: E731
        got = await made.write(job, (message.id, (b"content of " + message.id.encode(),)))
    await made.write(lambda t: t.settle([settled(one) for one in got]))
    yield made
    await made.close()


async def test_a_whole_store_has_no_faults(store):
    assert await verify(store) == []


@pytest.mark.parametrize(
    ("damage", "words"),
    [
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
        ("UPDATE content SET length = length + 1000", "overlaps"),
        ("UPDATE content SET length = length - 1", "damaged or missing"),
        ("UPDATE content SET segment = 'none'", "damaged or missing"),
        ("UPDATE delivery_20261123 SET state = 0", "is filed as finished, and is not"),
        ("DELETE FROM submission WHERE finished_at IS NOT NULL", "has no message"),
        (
            (
                "INSERT INTO delivery_20261123 SELECT id, submission_id, forward_path, destination,"
                " 0, 0, 3, 0, 0, NULL, '', 0, 1, NULL, '' FROM delivery"
            ),
            "is finished, and still in the queue",
        ),
    ],
)
async def test_a_planted_fault_is_found(store, damage, words):
    await store.write(lambda t: t.execute(damage))
    assert [fault for fault in await verify(store) if words in fault]


async def test_a_damaged_octet_is_found(store, tmp_path):
    (segment,) = (tmp_path / CONTENT).glob("*.seg")
    octets = segment.read_bytes()
    segment.write_bytes(octets[:LEAST] + b"X" + octets[LEAST + 1 :])
    (fault,) = await verify(store)
    assert "damaged" in fault
