"""One file that the disk does not give harms its own messages and no others; a disk that is away, none."""

import errno
import os
from datetime import timedelta
from pathlib import Path

import pytest

from gatepost.model.ids import WorkerId
from gatepost.store import segments
from gatepost.store.protocols import (
    ContentAwayError,
    ContentUnreadableError,
    StoreUnavailableError,
)
from gatepost.store.segment_writer import SegmentWriter
from gatepost.store.segments import Place, read_content
from gatepost.store.sqlite import SqliteStore, open_sqlite
from gatepost.store.sqlite_place import CONTENT
from gatepost.store.verify import verify
from tests.store.makers import NOON, delivery, lease, settled, submission


@pytest.fixture
def bad(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return names of segments; what is added to them is not given by the disk."""
    names: set[str] = set()
    real = os.pread

    def pread(file: int, length: int, offset: int) -> bytes:
        if Path(f"/proc/self/fd/{file}").readlink().stem in names:
            raise OSError(errno.EIO, "Input/output error")
        return real(file, length, offset)

    monkeypatch.setattr(os, "pread", pread)
    return names


def two_segments(directory: Path) -> list[Place]:
    writer = SegmentWriter(directory, segment_octets=4)
    places = [writer.append([(content,)])[0] for content in (b"first", b"second")]
    writer.close()
    return places


def test_one_file_that_cannot_be_read_is_no_store_that_is_away(
    tmp_path: Path, bad: set[str]
) -> None:
    first, second = two_segments(tmp_path / CONTENT)
    bad.add(first.segment)
    with pytest.raises(ContentUnreadableError, match=f"{first.segment}.*Input/output error"):
        read_content(tmp_path / CONTENT, first)
    assert read_content(tmp_path / CONTENT, second) == b"second"


def test_where_no_file_can_be_read_the_disk_is_away(tmp_path: Path, bad: set[str]) -> None:
    first, second = two_segments(tmp_path / CONTENT)
    bad.update((first.segment, second.segment))
    with pytest.raises(ContentAwayError, match="Input/output error"):
        read_content(tmp_path / CONTENT, first)


def test_a_link_to_itself_is_one_file_that_cannot_be_read(tmp_path: Path) -> None:
    first, _ = two_segments(tmp_path / CONTENT)
    path = segments.segment_path(tmp_path / CONTENT, first.segment)
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(ContentUnreadableError):
        read_content(tmp_path / CONTENT, first)


def test_other_trouble_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = two_segments(tmp_path / CONTENT)

    def no_more_files(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "open", no_more_files)
    with pytest.raises(StoreUnavailableError) as trouble:
        read_content(tmp_path / CONTENT, first)
    assert not isinstance(trouble.value, ContentAwayError)


async def put(store: SqliteStore, count: int) -> str:
    """Store messages in a segment of their own: the first one waits, the rest is done."""
    for number in range(count):
        message = submission()
        way = delivery(message)
        job = lambda t, m=message, w=way: t.add_deliveries(m, [w], lease())  # noqa: E731
        (leased,) = await store.write(job, (message.id, (b"x" * 10_000,)))
        if number:
            await store.write(lambda t, one=leased: t.settle([settled(one)]))
        else:
            waits = message.id
    await store._commits.peek(store._writer._segment.close)
    return waits


async def test_a_bad_sector_keeps_housekeeping_from_no_other_segment(
    tmp_path: Path, bad: set[str]
) -> None:
    store = await open_sqlite(tmp_path, WorkerId("node/1/0"), clock=lambda: NOON)
    directory = tmp_path / CONTENT
    waits = await put(store, 4)
    bad.update(segments.segments(directory))
    for _ in range(3):
        await put(store, 4)
    for path in directory.iterdir():
        os.utime(path, (0, 0))
    await store.tidy(NOON + timedelta(minutes=1))
    left = segments.segments(directory)
    assert bad < set(left)
    assert sum(segments.size(directory, name) for name in left if name not in bad) < 40_000
    (fault,) = await verify(store)
    assert waits in fault
    assert "Input/output error" in fault
    await store.close()


async def test_verify_says_that_no_content_can_be_read(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path, WorkerId("node/1/0"), clock=lambda: NOON)
    waits = await put(store, 1)
    for path in (tmp_path / CONTENT).iterdir():
        path.unlink()
    (fault,) = await verify(store)
    assert waits in fault
    assert "nor any other" in fault
    await store.close()
