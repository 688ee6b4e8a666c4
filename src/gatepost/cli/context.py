"""What every command shares: its settings, the store, and how it speaks.

Nothing heavy is imported here (decision 32): `gatepost --help` stays quick.
"""

import os
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn, TypeVar

from gatepost.cli import usage

if TYPE_CHECKING:
    from gatepost.model.settings import Settings
    from gatepost.model.store_place import Place
    from gatepost.store.protocols import Store

T = TypeVar("T")

#: Exit statuses (the contract): fine; the answer is no; wrong usage or configuration.
FINE: Final = 0
NO: Final = 1
WRONG: Final = 2

#: Control characters, C1 included, and what turns or breaks lines: other servers' words must not drive
#: the operator's terminal.
_CONTROLS: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_BREAKS: Final = re.compile(r"[\t\n]")

#: Of a terminal that does not say how wide it is.
_COLUMNS: Final = 80

#: Every listing has it.
Json = Annotated[bool, usage.Option("--json", help="Print JSON instead of words.")]


@dataclass(frozen=True, slots=True)
class Invocation:
    """What was said before the command's name."""

    config: Path | None = None


def fail(message: str, mend: str = "", status: int = WRONG) -> NoReturn:
    """Say what is wrong and how to mend it on standard error, and end with `status`."""
    say_error(f"gatepost: {message}" + (f"\n  {mend}" if mend else ""))
    raise usage.Exit(status)


def say(text: str = "") -> None:
    """Print words for a person on standard output, control characters made visible."""
    usage.echo(visible(text))


def say_error(text: str) -> None:
    """Print words for a person on standard error, control characters made visible."""
    usage.echo(visible(text), err=True)


def visible(text: str) -> str:
    """Return `text` with control characters but tab and newline shown as their codes."""
    return _CONTROLS.sub(_code, text)


def in_one_line(text: str) -> str:
    """Return `text` with all control characters shown as their codes: it forges no line of ours."""
    return _BREAKS.sub(_code, visible(text))


def _code(found: re.Match[str]) -> str:
    return f"\\x{ord(found[0]):02x}"


def settings_path(ctx: usage.Context) -> Path:
    """Return the configuration file of this call."""
    from gatepost.model.settings_fault import SettingsError  # noqa: PLC0415
    from gatepost.operate.configuration import locate  # noqa: PLC0415

    given = ctx.find_object(Invocation)
    try:
        return locate(given.config if given else None, os.environ, Path.cwd())
    except SettingsError as error:
        _fail_all(error)


def load_settings(ctx: usage.Context) -> "Settings":
    """Return the settings, or say every fault in them and end with 2."""
    from gatepost.model.settings_fault import SettingsError  # noqa: PLC0415
    from gatepost.operate.configuration import load  # noqa: PLC0415

    try:
        return load(settings_path(ctx), os.environ)
    except SettingsError as error:
        _fail_all(error)


def load_place_of(ctx: usage.Context) -> "Place":
    """Return where the store is, or say what is wrong with the settings and end with 2."""
    from gatepost.model.settings_fault import SettingsError  # noqa: PLC0415
    from gatepost.operate.configuration import load_place  # noqa: PLC0415

    try:
        return load_place(settings_path(ctx), os.environ)
    except SettingsError as error:
        _fail_all(error)


def run_with_store(ctx: usage.Context, work: Callable[["Store"], Awaitable[T]]) -> T:
    """Open the store as data_dir's owner, do `work` on it, close it, return what `work` did.

    Works whether the server runs or not. Ends with 2, in words, when the store cannot be used.
    """
    import asyncio  # noqa: PLC0415

    from gatepost.operate.ownership import OwnershipError, become_owner  # noqa: PLC0415
    from gatepost.store.opening import where  # noqa: PLC0415
    from gatepost.store.protocols import (  # noqa: PLC0415
        ContentDamagedError,
        NewerDatabaseError,
        StoreUnavailableError,
    )
    from gatepost.store.rows import NewerRowError  # noqa: PLC0415
    from gatepost.store.unstoppable import stop_between_batches  # noqa: PLC0415

    place = load_place_of(ctx)
    try:
        become_owner(place.data_dir)
        stop_between_batches()
        return asyncio.run(_with_store(place, work))
    except OwnershipError as error:
        fail(error.what, error.mend)
    except NewerDatabaseError as error:
        fail(str(error) or "a newer Gatepost wrote this database", "update this one")
    except NewerRowError as error:
        fail(str(error), "update this Gatepost, or use the one that wrote it", NO)
    except StoreUnavailableError as error:
        fail(f"the store in {where(place)} cannot be used: {error}", 'see "gatepost check"')
    except ContentDamagedError as error:
        fail(f"stored content is damaged: {error}", 'see "gatepost queue verify"', NO)


async def _with_store(place: "Place", work: Callable[["Store"], Awaitable[T]]) -> T:
    from gatepost.model.ids import WorkerId  # noqa: PLC0415
    from gatepost.operate.serving import is_served  # noqa: PLC0415
    from gatepost.store.opening import open_store  # noqa: PLC0415

    store = await open_store(place, WorkerId(f"cli/{os.getpid()}/0"))
    try:
        if not is_served(place.data_dir):
            await _recover(store, place.data_dir)
        return await work(store)
    finally:
        await store.close()


async def _recover(store: "Store", data_dir: Path) -> None:
    """Show, and change, what there was before the power went; of a database that is older `serve` says
    what to do.
    """
    from gatepost.store.recovered import Recovered  # noqa: PLC0415

    if not isinstance(store, Recovered) or await store.is_whole():
        return
    from gatepost.operate.recovery import BehindError, recover  # noqa: PLC0415
    from gatepost.store.protocols import StoreUnavailableError  # noqa: PLC0415

    with suppress(BehindError, OSError, StoreUnavailableError):
        await recover(store, data_dir)


def print_json(value: object) -> None:
    """Print one JSON value; times in RFC 3339, everything else must be plain.

    What would steer a terminal is escaped: json leaves DEL and the C1 controls as they are.
    """
    import json  # noqa: PLC0415

    text = json.dumps(value, indent=2, ensure_ascii=False, default=_plain)
    usage.echo(_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str = "Nothing."
) -> None:
    """Print a table in aligned columns. Nothing is cut: on a terminal that is too narrow, the last
    column gets lines of its own.

    `empty` is what to say where there are no rows; it goes to standard error unless a person
    reads it, so that a script sees nothing where nothing is.
    """
    is_read = sys.stdout.isatty()
    if not rows:
        usage.echo(empty, err=not is_read)
        return
    shown = [[in_one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *shown, strict=True)]
    if is_read and sum(widths) + 2 * len(widths) - 2 > _columns():
        *widths, _ = widths
    head, *lines = [_line(cells, widths) for cells in (columns, *shown)]
    usage.echo(usage.style(head, bold=True) if is_read else head)
    for line in lines:
        usage.echo(line)


def _columns() -> int:
    """Return how many the terminal has; $COLUMNS says otherwise."""
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal():
        return int(said)
    return os.get_terminal_size(sys.stdout.fileno()).columns or _COLUMNS


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return cells in columns; one more than there are widths stands below them."""
    line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=False)).rstrip()
    below = cells[len(widths) :]
    return f"{line}\n    {below[0]}" if below and below[0] else line


def _plain(value: object) -> str:
    isoformat = getattr(value, "isoformat", None)
    return str(isoformat()) if isoformat else str(value)


def _fail_all(error: Exception) -> NoReturn:
    say_error(str(error))
    raise usage.Exit(WRONG)
