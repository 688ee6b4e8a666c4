"""Contents whose disk is not mounted, or another one: nothing is lost, and nothing goes astray."""

import logging
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gatepost.model.ids import SubmissionId, WorkerId
from gatepost.store import content_identity, segment_writer, segments, sqlite_tidy
from gatepost.store.content_identity import REMEMBERED, WORN, adopt, recognise
from gatepost.store.protocols import ContentAwayError, ContentDamagedError
from gatepost.store.segments import segment_path
from gatepost.store.sqlite import SqliteStore, open_sqlite
from gatepost.store.sqlite_place import CONTENT, DATABASE
from gatepost.store.sqlite_repair import repair
from gatepost.store.verify import verify
from tests.store.makers import NOON, delivery, lease, submission
from tests.store.test_repair import NOTHING

OCTETS = b"content"


async def opened(directory: Path) -> SqliteStore:
    return await open_sqlite(directory, WorkerId("node/1/0"), clock=lambda: NOON)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    made = await opened(tmp_path)
    yield made
    await made.close()


async def put(store: SqliteStore) -> SubmissionId:
    message = submission()
    way = delivery(message)
    job = lambda t: t.add_deliveries(message, [way], lease())  # noqa: E731
    await store.write(job, (message.id, (OCTETS,)))
    return message.id


async def content(store: SqliteStore, message: SubmissionId) -> bytes | None:
    return await store.read(lambda reading: reading.content(message))


async def next_segment(store: SqliteStore) -> None:
    """Let the writer begin another segment, as after a restart."""
    await store._commits.peek(store._writer._segment.close)


def unmount(directory: Path) -> Path:
    """Leave an empty directory where contents were; return where they are."""
    away = directory / "disk"
    (directory / CONTENT).rename(away)
    (directory / CONTENT).mkdir()
    return away


def mount(directory: Path, disk: Path) -> None:
    shutil.rmtree(directory / CONTENT)
    disk.rename(directory / CONTENT)


async def test_what_was_stored_waits_for_its_disk_and_nothing_is_stored_meanwhile(
    store: SqliteStore, tmp_path: Path
) -> None:
    old = await put(store)
    await next_segment(store)
    disk = unmount(tmp_path)
    with pytest.raises(ContentAwayError, match=r"is not the directory .* mounted\?"):
        await put(store)
    assert list((tmp_path / CONTENT).iterdir()) == []
    with pytest.raises(ContentAwayError):
        await content(store, old)
    mount(tmp_path, disk)
    new = await put(store)
    assert [await content(store, message) for message in (old, new)] == [OCTETS, OCTETS]
    assert await verify(store) == []


async def test_a_segment_astray_makes_no_older_mail_missing(
    store: SqliteStore, tmp_path: Path
) -> None:
    """As a program before there were identities may have left it there."""
    old = await put(store)
    unmount(tmp_path)
    segment_path(tmp_path / CONTENT, "astray").write_bytes(OCTETS)
    with pytest.raises(ContentAwayError):
        await content(store, old)


async def test_a_directory_that_is_missing_is_not_made_anew(
    store: SqliteStore, tmp_path: Path
) -> None:
    await put(store)
    await next_segment(store)
    shutil.rmtree(tmp_path / CONTENT)
    with pytest.raises(ContentAwayError):
        await put(store)
    assert not (tmp_path / CONTENT).exists()


async def test_what_is_unmounted_while_a_segment_begins_gets_no_mail(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(store)
    await next_segment(store)
    create = segments.create

    def late(directory: Path, name: str) -> int:
        unmount(tmp_path)
        return create(directory, name)

    monkeypatch.setattr(segment_writer, "create", late)
    with pytest.raises(ContentAwayError):
        await put(store)


async def test_one_segment_that_is_gone_from_the_right_directory_is_lost(
    store: SqliteStore, tmp_path: Path
) -> None:
    old = await put(store)
    await next_segment(store)
    await put(store)
    segment_path(tmp_path / CONTENT, segments.segments(tmp_path / CONTENT)[0]).unlink()
    with pytest.raises(ContentDamagedError, match="missing"):
        await content(store, old)


async def test_housekeeping_leaves_the_segments_of_another_store_alone(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(store)
    await next_segment(store)
    other = await opened(tmp_path / "other")
    message = await put(other)
    await next_segment(other)
    mine = unmount(tmp_path)
    mount(tmp_path, tmp_path / "other" / CONTENT)
    monkeypatch.setattr(sqlite_tidy, "_SETTLED", 0.0)
    with pytest.raises(ContentAwayError, match="another mark"):
        await store.tidy(NOON)
    (tmp_path / CONTENT).rename(tmp_path / "other" / CONTENT)
    mine.rename(tmp_path / CONTENT)
    assert await content(other, message) == OCTETS
    await other.close()
    await store.tidy(NOON)


# -- databases of older programs


async def of_an_older_program(directory: Path) -> SubmissionId:
    store = await opened(directory)
    message = await put(store)
    await store.close()
    (directory / REMEMBERED).unlink()
    (directory / CONTENT / WORN).unlink()
    return message


async def test_contents_without_identity_get_one(tmp_path: Path) -> None:
    message = await of_an_older_program(tmp_path)
    store = await opened(tmp_path)
    assert (tmp_path / REMEMBERED).read_bytes() == (tmp_path / CONTENT / WORN).read_bytes()
    unmount(tmp_path)
    with pytest.raises(ContentAwayError):
        await content(store, message)
    await store.close()


async def test_contents_that_are_away_at_that_time_are_waited_for(tmp_path: Path) -> None:
    message = await of_an_older_program(tmp_path)
    disk = unmount(tmp_path)
    store = await opened(tmp_path)
    with pytest.raises(ContentAwayError):
        await put(store)
    mount(tmp_path, disk)
    new = await put(store)
    assert [await content(store, each) for each in (message, new)] == [OCTETS, OCTETS]
    assert (tmp_path / REMEMBERED).read_bytes() == (tmp_path / CONTENT / WORN).read_bytes()
    await store.close()


async def test_a_power_cut_between_both_files_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = await of_an_older_program(tmp_path)
    write = content_identity._write

    def cut(path: Path, text: str) -> None:
        write(path, text)
        raise OSError("the power is gone")

    monkeypatch.setattr(content_identity, "_write", cut)
    with pytest.raises(Exception, match="the power is gone"):
        await opened(tmp_path)
    monkeypatch.undo()
    store = await opened(tmp_path)
    await put(store)
    assert await content(store, message) == OCTETS
    await store.close()


# -- an operator's ways


async def test_a_copy_of_everything_works(store: SqliteStore, tmp_path: Path) -> None:
    message = await put(store)
    await store.close()
    shutil.copytree(tmp_path, tmp_path / "copy", ignore=shutil.ignore_patterns("copy"))
    other = await opened(tmp_path / "copy")
    await put(other)
    assert await content(other, message) == OCTETS
    await other.close()


async def test_repair_waits_for_the_disk_and_keeps_the_identity(
    store: SqliteStore, tmp_path: Path
) -> None:
    message = await put(store)
    await store.close()
    disk = unmount(tmp_path)
    before = (tmp_path / DATABASE).read_bytes()
    with pytest.raises(ContentAwayError):
        repair(tmp_path, tmp_path / "kept", NOTHING, NOON)
    assert (tmp_path / DATABASE).read_bytes() == before
    assert not (tmp_path / "kept").exists()
    mount(tmp_path, disk)
    repair(tmp_path, tmp_path / "kept", NOTHING, NOON)
    mended = await opened(tmp_path)
    await put(mended)
    assert await content(mended, message) == OCTETS
    await mended.close()
    # What was kept is a whole: it may be put back.
    shutil.rmtree(tmp_path / CONTENT)
    (tmp_path / "kept" / CONTENT).rename(tmp_path / CONTENT)
    recognise(tmp_path / CONTENT)


async def test_a_database_that_is_gone_leaves_contents_ours(
    store: SqliteStore, tmp_path: Path
) -> None:
    await put(store)
    await store.close()
    for path in tmp_path.glob(f"{DATABASE}*"):
        path.unlink()
    repair(tmp_path, tmp_path / "kept", NOTHING, NOON)
    mended = await opened(tmp_path)
    await put(mended)
    await mended.close()


async def test_an_operator_may_go_on_without_what_is_lost(
    store: SqliteStore, tmp_path: Path
) -> None:
    old = await put(store)
    await next_segment(store)
    unmount(tmp_path)
    adopt(tmp_path)
    new = await put(store)  # the store is open meanwhile
    assert await content(store, new) == OCTETS
    with pytest.raises(ContentDamagedError, match="missing"):
        await content(store, old)


async def test_it_is_said_when_the_store_is_opened(
    store: SqliteStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await put(store)
    unmount(tmp_path)
    with caplog.at_level(logging.ERROR):
        await (await opened(tmp_path)).close()
    (record,) = caplog.records
    assert "stored mail waits" in record.message
    assert "gatepost store adopt" in record.message
