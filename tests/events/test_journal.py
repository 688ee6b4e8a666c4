"""The journal: every event as a line, in order, at least once."""

import asyncio
import contextlib
import errno
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.events.journal import (
    Journal,
    catch_up,
    journal_lines,
    outdated,
    run_journal,
    time_text,
)
from gatepost.model.event import Event, EventKind
from gatepost.model.ids import AccountName, SubmissionId
from gatepost.store.outbox import StoredEvent
from gatepost.store.protocols import Store, StoreUnavailableError
from gatepost.store.rows import event_of, event_row
from tests.events.outbox import Outbox

NOW = datetime(2026, 1, 2, 12, 0, 0, 123_456, tzinfo=UTC)
KEPT = timedelta(days=30)


def outbox(count: int) -> Outbox:
    made = Outbox()
    made.add_events([Event(EventKind.DELIVERED, NOW, facts={"n": n}) for n in range(count)])
    return made


def as_store(made: Outbox) -> Store:
    store: Any = made
    return store


def lines(directory: Path, day: str = "2026-01-02") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / f"{day}.jsonl").read_bytes().splitlines()]


@pytest.fixture
def journal(tmp_path: Path) -> Any:
    made = Journal(tmp_path / "journal", KEPT)
    assert made.lock()
    yield made
    made.close()


def test_a_line_is_one_json_object_with_its_position() -> None:
    event = Event(
        EventKind.ACCEPTED,
        NOW,
        submission_id=SubmissionId("1" * 32),
        account=AccountName("app@example.com"),
        facts={"client": "192.0.2.1", "text": "new\nline \u2028 and ü"},
    )
    octets = journal_lines([StoredEvent(7, event)])
    assert octets.count(b"\n") == 1
    assert octets.endswith(b"\n")
    assert json.loads(octets) == {
        "position": 7,
        "kind": "message.accepted",
        "at": "2026-01-02T12:00:00.123Z",
        "message": "1" * 32,
        "delivery": None,
        "account": "app@example.com",
        "facts": {"client": "192.0.2.1", "text": "new\nline \u2028 and ü"},
    }


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.booleans())))
def test_any_fact_is_one_line(facts: dict[str, Any]) -> None:
    octets = journal_lines([StoredEvent(1, Event(EventKind.HELD, NOW, facts=facts))])
    assert octets.count(b"\n") == 1
    json.loads(octets)


def test_a_lone_surrogate_does_not_stop_the_journal() -> None:
    octets = journal_lines([StoredEvent(1, Event(EventKind.HELD, NOW, facts={"a": "\udcff"}))])
    assert json.loads(octets)["facts"]["a"]


@pytest.mark.parametrize(
    "facts", [{}, {"a": "ü\u2028", "n": 1}, {"a": "plain", "b": True, "c": 1.5}]
)
def test_what_the_store_gives_back_makes_the_same_line(facts: dict[str, Any]) -> None:
    event = Event(EventKind.HELD, NOW, account=AccountName('"ü"@example.com'), facts=facts)
    row = event_row(3, event)
    assert event_of(row).event == event
    assert journal_lines([event_of(row)]) == journal_lines([StoredEvent(3, event)])


async def test_events_that_come_while_others_are_written_wait_for_the_next_look(
    journal: Journal,
) -> None:
    made = outbox(5)
    append = journal.append

    def append_while_more_come(events: Sequence[StoredEvent], day: date) -> None:
        append(events, day)
        made.add_events([Event(EventKind.DELIVERED, NOW)])

    journal.append = append_while_more_come  # type: ignore[method-assign]
    assert await catch_up(as_store(made), journal, lambda: NOW) == 5


async def test_all_events_are_written_in_order_and_the_position_is_kept(
    tmp_path: Path, journal: Journal
) -> None:
    made = outbox(2500)
    assert await catch_up(as_store(made), journal, lambda: NOW) == 2500
    assert await catch_up(as_store(made), journal, lambda: NOW) == 0
    assert [line["position"] for line in lines(tmp_path / "journal")] == list(range(1, 2501))
    assert made.positions == {"journal": 2500}


async def test_a_day_has_its_file(tmp_path: Path, journal: Journal) -> None:
    made = outbox(1)
    await catch_up(as_store(made), journal, lambda: NOW)
    made.add_events([Event(EventKind.HELD, NOW)])
    await catch_up(as_store(made), journal, lambda: NOW + timedelta(days=1))
    assert len(lines(tmp_path / "journal")) == 1
    assert len(lines(tmp_path / "journal", "2026-01-03")) == 1


async def test_a_crash_before_the_position_repeats_lines_and_loses_none(
    tmp_path: Path, journal: Journal
) -> None:
    made = outbox(3)
    await catch_up(as_store(made), journal, lambda: NOW)
    made.positions["journal"] = 1
    await catch_up(as_store(made), journal, lambda: NOW)
    assert [line["position"] for line in lines(tmp_path / "journal")] == [1, 2, 3, 2, 3]


async def test_a_torn_line_is_cut_before_more_is_written(tmp_path: Path, journal: Journal) -> None:
    file = tmp_path / "journal" / "2026-01-02.jsonl"
    file.write_bytes(b'{"position":1}\n{"posit')
    await catch_up(as_store(outbox(1)), journal, lambda: NOW)
    assert [line["position"] for line in lines(tmp_path / "journal")] == [1, 1]


async def test_half_a_line_never_stands_before_others(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = outbox(3)
    await catch_up(as_store(made), journal, lambda: NOW)
    made.add_events([Event(EventKind.DELIVERED, NOW, facts={"n": n}) for n in range(3, 6)])
    write = os.write

    def half(file: int, octets: bytes) -> int:
        monkeypatch.setattr(os, "write", no_room)  # the rest finds the disk full
        return write(file, bytes(octets[: len(octets) // 2]))

    def no_room(file: int, octets: bytes) -> int:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="no room"):
        await catch_up(as_store(made), journal, lambda: NOW)
    monkeypatch.setattr(os, "write", write)
    assert [line["facts"]["n"] for line in lines(tmp_path / "journal")] == [0, 1, 2]
    await catch_up(as_store(made), journal, lambda: NOW)
    assert [line["facts"]["n"] for line in lines(tmp_path / "journal")] == [0, 1, 2, 3, 4, 5]


async def test_old_files_go_when_a_day_begins(tmp_path: Path, journal: Journal) -> None:
    directory = tmp_path / "journal"
    for name in ("2025-11-01.jsonl", "2025-12-31.jsonl", "notes.txt"):
        (directory / name).touch()
    await catch_up(as_store(outbox(1)), journal, lambda: NOW)
    names = {entry.name for entry in directory.iterdir()}
    assert names == {"2025-12-31.jsonl", "2026-01-02.jsonl", "lock", "notes.txt"}


def test_a_file_goes_when_its_whole_day_is_outdated() -> None:
    names = ["2026-01-01.jsonl", "2025-12-31.jsonl", "2025-12-30.jsonl", "2025-13-99.jsonl", "x"]
    today = date(2026, 1, 2)
    assert outdated(names, today, timedelta(days=1)) == ["2025-12-30.jsonl"]
    assert outdated(names, today, timedelta(0)) == ["2025-12-31.jsonl", "2025-12-30.jsonl"]


def test_one_process_of_a_node_writes(tmp_path: Path, journal: Journal) -> None:
    other = Journal(tmp_path / "journal", KEPT)
    assert journal.lock()
    assert not other.lock()
    journal.close()
    assert other.lock()
    other.close()


async def test_an_event_is_in_the_journal_of_one_node(tmp_path: Path) -> None:
    made = outbox(3)
    one, two = Journal(tmp_path / "one", KEPT), Journal(tmp_path / "two", KEPT)
    assert one.lock()
    assert two.lock()
    assert await catch_up(as_store(made), one, lambda: NOW) == 3
    made.add_events([Event(EventKind.HELD, NOW)])
    assert await catch_up(as_store(made), two, lambda: NOW) == 0
    # The first stands still: the other goes on, and what the first writes as it wakes is twice there.
    late = NOW + timedelta(seconds=11)
    assert await catch_up(as_store(made), two, lambda: late) == 1
    made.positions["journal"] = 3
    assert await catch_up(as_store(made), one, lambda: NOW) == 0
    assert [line["position"] for line in lines(tmp_path / "one")] == [1, 2, 3, 4]
    assert [line["position"] for line in lines(tmp_path / "two")] == [4]
    made.positions["journal"] = 4
    made.add_events([Event(EventKind.HELD, NOW)])
    assert await catch_up(as_store(made), one, lambda: late) == 0
    assert await catch_up(as_store(made), two, lambda: late) == 1
    one.close()
    two.close()


async def test_the_next_process_of_a_node_goes_on_at_once(tmp_path: Path) -> None:
    made = outbox(1)
    for count in (1, 2):
        journal = Journal(tmp_path / "journal", KEPT)
        assert journal.lock()
        assert await catch_up(as_store(made), journal, lambda: NOW) == 1
        journal.close()
        made.add_events([Event(EventKind.HELD, NOW)])
        assert made.positions == {"journal": count}


async def test_a_store_that_does_not_take_the_position_has_no_line_written_again(
    tmp_path: Path, journal: Journal
) -> None:
    made = outbox(3)
    write = made.write

    async def refuse(job: Any, content: object = None) -> Any:
        if await made.read(lambda reading: reading.claims.get("journal")):
            raise StoreUnavailableError("its disk is full")
        return await write(job, content)

    made.write = refuse  # type: ignore[method-assign]
    for _ in range(4):
        with pytest.raises(StoreUnavailableError):
            await catch_up(as_store(made), journal, lambda: NOW)
        made.add_events([Event(EventKind.HELD, NOW)])
    made.write = write  # type: ignore[method-assign]
    # Another node's event has a number that ours had, where a standby that knew less goes on.
    made.stored[2] = replace(made.stored[2], event=Event(EventKind.RELEASED, NOW))
    await catch_up(as_store(made), journal, lambda: NOW)
    written = [(line["position"], line["kind"]) for line in lines(tmp_path / "journal")]
    assert [position for position, _ in written] == [1, 2, 3, 4, 5, 6, 3, 7]
    assert written[6] == (3, "delivery.released")
    assert made.positions == {"journal": 7}


async def test_who_goes_on_on_the_same_node_repeats_nothing(tmp_path: Path) -> None:
    made = outbox(2500)
    for _ in range(
        2
    ):  # one that dies before it has written down the last of three batches; the next
        journal = Journal(tmp_path / "journal", KEPT)
        assert journal.lock()
        await catch_up(as_store(made), journal, lambda: NOW)
        journal.close()
        made.positions["journal"] = 2000
        made.add_events([Event(EventKind.HELD, NOW, facts={"text": "ü"})])
    assert len(lines(tmp_path / "journal")) == 2501
    last = Journal(tmp_path / "journal", KEPT)
    assert last.lock()
    await catch_up(as_store(made), last, lambda: NOW + timedelta(days=1))
    made.add_events([Event(EventKind.HELD, NOW)])
    await catch_up(as_store(made), last, lambda: NOW + timedelta(days=1))
    assert [line["position"] for line in lines(tmp_path / "journal")] == list(range(1, 2502))
    assert [line["position"] for line in lines(tmp_path / "journal", "2026-01-03")] == [2502, 2503]
    last.close()


async def test_who_cannot_write_leaves_it_to_others(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = outbox(1)

    def full(_: object, __: object) -> None:
        raise OSError("full")

    monkeypatch.setattr(journal, "append", full)
    with pytest.raises(OSError, match="full"):
        await catch_up(as_store(made), journal, lambda: NOW)
    other = Journal(tmp_path / "other", KEPT)
    assert other.lock()
    assert await catch_up(as_store(made), other, lambda: NOW + timedelta(seconds=11)) == 1
    other.close()


def test_the_journal_is_nobody_elses_to_read(tmp_path: Path, journal: Journal) -> None:
    journal.append([StoredEvent(1, Event(EventKind.HELD, NOW))], NOW.date())
    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "journal" / "2026-01-02.jsonl").stat().st_mode & 0o777 == 0o600


async def test_the_loop_writes_what_comes_and_survives_a_store_that_is_away(
    tmp_path: Path,
) -> None:
    made = outbox(1)
    directory = tmp_path / "journal"
    task = asyncio.create_task(
        run_journal(as_store(made), directory, retention=KEPT, now=lambda: NOW, interval=0.01)
    )
    await until(lambda: made.positions.get("journal") == 1)
    made.away = True
    made.add_events([Event(EventKind.HELD, NOW)])
    await until(lambda: made.refused >= 2)
    made.away = False
    await until(lambda: made.positions.get("journal") == 2)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert [line["position"] for line in lines(directory)] == [1, 2]


async def test_a_fault_of_ours_does_not_end_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatepost.events.journal._FAULT_PAUSE", 0.01)
    made = outbox(1)
    read, faults = made.read, [KeyError("a fault of ours")]

    async def stumble(query: Any) -> Any:
        if faults:
            raise faults.pop()
        return await read(query)

    monkeypatch.setattr(made, "read", stumble)
    task = asyncio.create_task(
        run_journal(as_store(made), tmp_path, retention=KEPT, now=lambda: NOW, interval=0.01)
    )
    await until(lambda: made.positions.get("journal") == 1)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert [line["position"] for line in lines(tmp_path)] == [1]


async def test_catching_up_says_when_the_store_is_away(journal: Journal) -> None:
    made = outbox(1)
    made.away = True
    with pytest.raises(StoreUnavailableError):
        await catch_up(as_store(made), journal, lambda: NOW)


def test_a_time_is_told_in_utc() -> None:
    assert time_text(NOW) == "2026-01-02T12:00:00.123Z"


async def until(holds: Any) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.01)
