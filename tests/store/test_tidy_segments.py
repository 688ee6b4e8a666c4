"""What a round of housekeeping reads of segments."""

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from gatepost.model.ids import WorkerId
from gatepost.store import sqlite_tidy
from gatepost.store.envelope import Envelope
from gatepost.store.queue_view import QueueFilter
from gatepost.store.segment_records import needed_octets
from gatepost.store.segments import segments
from gatepost.store.sqlite import open_sqlite
from gatepost.store.sqlite_writer import CONTENT
from tests.store.makers import NOON, delivery, lease, settled, submission


async def test_a_segment_is_read_again_only_when_less_of_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []

    def counted(directory: Path, segment: str, lengths: Mapping[int, int]) -> int:
        reads.append(len(lengths))
        return needed_octets(directory, segment, lengths)

    monkeypatch.setattr(sqlite_tidy, "needed_octets", counted)
    store = await open_sqlite(tmp_path, WorkerId("node/1/0"), clock=lambda: NOON)
    for _ in range(6):
        message = submission()
        ways = [delivery(message, f"somebody{n}@destination.example") for n in range(50)]
        job = lambda t, m=message, w=ways: t.add_deliveries(m, w)  # noqa: E731
        await store.write(job, (message.id, (b"short",)), Envelope(message, ways))
    await store._commits.peek(store._writer._segment.close)
    for path in (tmp_path / CONTENT).iterdir():
        os.utime(path, (0, 0))
    for minute in range(3):
        await store.tidy(NOON + timedelta(minutes=minute))
    assert reads == [6]
    taken = await store.write(lambda t: t.lease_due(NOON, lease(), limit=999))
    last = [one for one in taken if one.delivery.submission_id == message.id]
    await store.write(lambda t: t.settle([settled(one) for one in last]))
    for minute in range(3):
        await store.tidy(NOON + timedelta(minutes=minute))
    assert reads == [6, 5]
    assert len(segments(tmp_path / CONTENT)) == 1
    rows = await store.read(lambda reading: reading.deliveries(QueueFilter(), limit=999))
    assert len(rows) == 250
    await store.close()
