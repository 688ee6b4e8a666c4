"""Repair a damaged SQLite database: what the operator asks for, and hears."""

import json
from datetime import datetime
from pathlib import Path

from gatepost.operate.serving import is_served
from gatepost.store.sqlite_repair import Repair, repair


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
    return repair(data_dir, kept, last_position=last_journal_position(data_dir / "journal"))


def last_journal_position(directory: Path) -> int:
    """Return the position of the last event in the journal; 0 where it holds none."""
    for path in sorted(directory.glob("*.jsonl"), reverse=True):
        for line in reversed(path.read_bytes().splitlines()):
            try:
                return int(json.loads(line)["position"])
            except (ValueError, KeyError, TypeError):
                continue
    return 0


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
    if not done.torn:
        return [*said, "Every table was read to its end."]
    said.append(f"Not read to the end: {', '.join(done.torn)}.")
    said += [f"Lost: {each}." for each in done.lost]
    said.append(
        "Rows that no other table names may be missing besides: the journal tells what was accepted."
    )
    return said
