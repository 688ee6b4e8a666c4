"""Repair a damaged SQLite database: what the operator asks for, and hears."""

import asyncio
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from gatepost.events.journal_read import events_since, last_position
from gatepost.operate.serving import is_served
from gatepost.store.content_identity import recognise
from gatepost.store.protocols import ContentAwayError, Store
from gatepost.store.segment_records import highest_position
from gatepost.store.segments import disk_trouble
from gatepost.store.sqlite_place import CONTENT
from gatepost.store.sqlite_repair import Repair, repair
from gatepost.store.sqlite_restore import Journal, Restored
from gatepost.store.verify import Inspected, Inspecting

JOURNAL: Final = "journal"


class ServedError(Exception):
    """A server runs on this state directory."""


def repair_store(data_dir: Path, now: datetime) -> Repair:
    """Repair the database below `data_dir`.

    Raises:
        ServedError: a server uses it.
        StoreUnavailableError: it cannot be repaired; nothing was changed.

    """
    if is_served(data_dir):
        raise ServedError
    kept = data_dir / f"damaged-{now:%Y%m%dT%H%M%SZ}"
    try:
        return repair(data_dir, kept, _journal(data_dir), now)
    except OSError as error:
        raise disk_trouble(error) from error


def _journal(data_dir: Path) -> Journal:
    directory = data_dir / JOURNAL
    return Journal(
        last_position(directory), _alive_until(data_dir), partial(events_since, directory)
    )


def _alive_until(data_dir: Path) -> datetime:
    """Return when a worker last wrote: the youngest of its files that others do not touch."""
    files = [*(data_dir / CONTENT).glob("*.seg"), *(data_dir / JOURNAL).glob("*.jsonl")]
    last = max((file.stat().st_mtime for file in files), default=0.0)
    return datetime.fromtimestamp(last, UTC)


async def is_behind(store: Store, data_dir: Path) -> bool:
    """Tell whether a database lacks what journal and segments know of: its log was lost, or an
    older copy was put in its place. What it would send may have been sent.

    Raises:
        OSError: the journal cannot be read.
        StoreUnavailableError: the database cannot.

    """
    if not isinstance(store, Inspected):
        return False
    told = await asyncio.to_thread(_known_position, data_dir)  # first: both may go on
    return bool(await store.inspect(partial(_lacks, told)))


def _known_position(data_dir: Path) -> int:
    told = last_position(data_dir / JOURNAL)
    try:
        recognise(data_dir / CONTENT)
    except ContentAwayError:
        return told  # what lies there, if anything, is not ours
    return max(told, highest_position(data_dir / CONTENT))


def _lacks(told: int, reading: Inspecting) -> list[str]:
    rows = reading.rows("SELECT value FROM counter WHERE name = 'event' AND value >= ?", (told,))
    return [] if rows else [str(told)]


def as_json(done: Repair) -> dict[str, object]:
    """Return the same for programs."""
    restored = done.restored
    numbers = ("messages", "due", "held", "ended", "unaccepted")
    return {
        "kept": str(done.kept),
        "rows": done.rows,
        "torn": done.torn,
        "lost": done.lost,
        "restored": {name: getattr(restored, name) for name in numbers},
    }


def report(done: Repair) -> list[str]:
    """Return what an operator should hear, line by line."""
    rows = done.rows
    said = [
        f"The damaged files are kept in {done.kept}.",
        (
            f"Brought over: {rows.get('account', 0)} accounts, {rows.get('domain', 0)} domains, "
            f"{rows.get('submission', 0)} messages, {rows.get('delivery', 0)} deliveries in the queue, "
            f"{sum(n for name, n in rows.items() if name.startswith('event_'))} events."
        ),
    ]
    said += _restored(done.restored)
    if done.torn:
        said.append(f"Not read to the end: {', '.join(done.torn)}.")
    else:
        said.append("Every table was read to its end.")
    said += [f"Lost: {each}." for each in done.lost]
    if done.torn:
        said.append(
            "Of accounts, credentials, domains and settings rows may be missing without a word."
        )
    elif done.restored.messages:
        said.append(
            "What operators changed at the same time may be as it was before: look at gatepost account list, "
            "domain list, suppression list, egress list."
        )
    return said


def _restored(restored: Restored) -> list[str]:
    said = []
    if restored.messages:
        said.append(
            f"Restored from segments: {restored.messages} messages, of which {restored.due} "
            "deliveries go on as they were."
        )
    if restored.ended:
        said.append(
            f"{restored.ended} deliveries stood in the queue, and had ended: they are not made again."
        )
    if restored.unaccepted:
        said.append(
            f"{restored.unaccepted} contents in segments belong to messages that were never "
            "accepted: nothing to do."
        )
    if restored.held:
        said.append("Held, so that nothing is sent twice unseen:")
        said += [f'  {count} because "{reason}"' for reason, count in restored.held.items()]
        said += [
            'Look at them: gatepost queue list --reason "…". Not sure that they went? Send them:',
            'gatepost queue release --reason "…". Sure? Give them up: gatepost queue cancel --reason "…".',
        ]
    return said
