"""Content in segments: order, damage, torn tails, and when a segment may go."""

import errno
import os
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.store import segments
from gatepost.store.protocols import ContentDamagedError, DiskFullError, StoreUnavailableError
from gatepost.store.segment_head import LEAST as HEAD
from gatepost.store.segment_writer import SegmentWriter
from gatepost.store.segments import Place, SegmentGoneError, read_content


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "content"


@pytest.fixture
def writer(directory: Path):
    made = SegmentWriter(directory)
    yield made
    made.close()


def the_file(directory: Path) -> Path:
    (file,) = directory.glob("*.seg")
    return file


def test_contents_lie_one_behind_the_other(writer, directory):
    first, second = writer.append([(b"one ", b"two"), (b"three",)])
    (third,) = writer.append([(b"four",)])
    assert (first.offset, second.offset, third.offset) == (HEAD, 2 * HEAD + 7, 3 * HEAD + 12)
    assert the_file(directory).stat().st_size == 3 * HEAD + 16
    assert [read_content(directory, p) for p in (second, first, third)] == [
        b"three", b"one two", b"four",
    ]  # fmt: skip


def test_a_writer_that_writes_nothing_leaves_nothing(writer, directory):
    assert segments.segments(directory) == []
    assert not directory.exists()


@given(st.lists(st.lists(st.binary(max_size=20_000), max_size=5), max_size=4))
def test_any_pieces_come_back(tmp_path_factory, contents):
    directory = tmp_path_factory.mktemp("any") / "content"
    writer = SegmentWriter(directory)
    places = writer.append(contents)
    assert [read_content(directory, place) for place in places] == [b"".join(c) for c in contents]
    assert [place.crc for place in places] == [zlib.crc32(b"".join(c)) for c in contents]
    writer.close()


def test_more_pieces_than_one_system_call_takes(writer, directory):
    (place,) = writer.append([[b"%d," % n for n in range(5000)]])
    assert read_content(directory, place) == b"".join(b"%d," % n for n in range(5000))


def test_short_writes_are_continued(writer, directory, monkeypatch):
    pwritev, pwrite = os.pwritev, os.pwrite
    monkeypatch.setattr(os, "pwritev", lambda f, b, at: pwritev(f, [b"".join(b)[:3]], at))
    monkeypatch.setattr(os, "pwrite", lambda f, b, at: pwrite(f, b[:2], at))
    (place,) = writer.append([(b"abcdef", b"ghij")])
    assert read_content(directory, place) == b"abcdefghij"


def test_a_damaged_octet_is_found(writer, directory):
    first, second = writer.append([(b"good",), (b"bad",)])
    with the_file(directory).open("r+b") as file:
        file.seek(second.offset)
        file.write(b"B")
    assert read_content(directory, first) == b"good"
    with pytest.raises(ContentDamagedError):
        read_content(directory, second)


def test_a_torn_tail_harms_nothing_before_it(writer, directory):
    first, second = writer.append([(b"whole",), (b"torn off",)])
    os.truncate(the_file(directory), second.offset + 3)
    assert read_content(directory, first) == b"whole"
    with pytest.raises(ContentDamagedError):
        read_content(directory, second)


def test_a_new_writer_never_appends_to_an_old_segment(writer, directory):
    (old,) = writer.append([(b"old",)])
    writer.close()
    another = SegmentWriter(directory)
    (new,) = another.append([(b"new",)])
    assert new.segment != old.segment
    assert segments.segments(directory) == [old.segment, new.segment]
    another.close()


def test_a_missing_segment_says_so(writer, directory):
    writer.append([(b"another",)])
    with pytest.raises(SegmentGoneError):
        read_content(directory, Place("none", 0, 1, 0))


def test_a_directory_that_is_away_or_empty_is_no_lost_segment(writer, directory):
    (place,) = writer.append([(b"content",)])
    for path in directory.glob("*.seg"):  # say the mount is missing
        path.rename(path.with_suffix(".away"))
    with pytest.raises(StoreUnavailableError, match="no content at all"):
        read_content(directory, place)
    with pytest.raises(StoreUnavailableError, match="is missing"):
        read_content(directory / "gone", place)


def test_a_full_segment_is_left_for_a_new_one(directory):
    writer = SegmentWriter(directory, segment_octets=2 * HEAD + 10)
    places = [writer.append([(b"x" * 6,)])[0] for _ in range(4)]
    assert [place.offset for place in places] == [HEAD, 2 * HEAD + 6] * 2
    assert len(segments.segments(directory)) == 2
    writer.close()


def test_a_full_segment_is_not_abandoned_before_its_rows_are_committed(directory):
    writer = SegmentWriter(directory, segment_octets=4)
    (first,) = writer.append([(b"full",)])
    with segments.abandoned(directory, first.segment) as size:
        assert size is None
    (second,) = writer.append([(b"next",)])  # the rows of the former are committed
    with segments.abandoned(directory, first.segment) as size:
        assert size == HEAD + 4
    with segments.abandoned(directory, second.segment) as size:
        assert size is None
    writer.close()
    with segments.abandoned(directory, second.segment) as size:
        assert size == HEAD + 4


def test_syncs_that_fail_for_long_use_up_no_descriptors(directory, monkeypatch):
    writer = SegmentWriter(directory)
    writer.append([(b"before",)])
    open_files = sum(1 for _ in Path("/proc/self/fd").iterdir())

    def broken(_):
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        for _ in range(20):
            with pytest.raises(StoreUnavailableError):
                writer.append([(b"x",)])
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) <= open_files
    (place,) = writer.append([(b"well again",)])
    assert read_content(directory, place) == b"well again"
    writer.close()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_keeps_nothing_and_is_recovered_from(writer, directory, monkeypatch, number):
    (before,) = writer.append([(b"before",)])

    def full(file, buffers, at):
        os.pwrite(file, b"".join(buffers)[:2], at)
        raise OSError(number, "full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", full)
        with pytest.raises(DiskFullError):
            writer.append([(b"too much",)])
    assert the_file(directory).stat().st_size == HEAD + 6
    (after,) = writer.append([(b"after",)])
    assert after.offset == 2 * HEAD + 6
    assert [read_content(directory, place) for place in (before, after)] == [b"before", b"after"]


def test_a_file_that_could_not_be_synced_is_never_written_again(writer, directory, monkeypatch):
    (before,) = writer.append([(b"before",)])

    def broken(file):
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        with pytest.raises(StoreUnavailableError):
            writer.append([(b"lost",)])
    (after,) = writer.append([(b"after",)])
    assert after.segment != before.segment
    assert read_content(directory, after) == b"after"


def test_a_segment_is_named_only_when_it_is_locked(writer, directory):
    directory.mkdir()
    unborn = directory / "0123.new"
    unborn.write_bytes(b"")
    assert segments.segments(directory) == []
    segments.remove_unborn(directory, older_than=60)
    assert unborn.exists()
    segments.remove_unborn(directory, older_than=-1)
    assert not unborn.exists()
