"""Directories of others (LDAP, SQL, HTTP): what they say of accounts that are not ours.

A directory is asked when no account of ours has the name, in the order of the settings; the first
one that knows the name decides. What it said is good for `remember`: so long a right password is
not asked about again, and so long a change there may go unnoticed. While it is away, that alone is
what can be gone by.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final, Protocol

from gatepost.identity.directory import Directory, Entry
from gatepost.identity.foreign_account import Usual, completed
from gatepost.identity.turns import Turns
from gatepost.identity.verified import VerifiedCredentials
from gatepost.model.ids import AccountName
from gatepost.model.secret import Secret
from gatepost.wire.message.addresses import a_labels

#: Seconds: refusals are told at whole ones of these, so that their time does not tell who keeps
#: the name, if anybody does.
_STEP: Final = 1.0
#: Seconds for which a directory that did not answer is not asked again.
_REST: Final = 2.0
#: A session looks again at its account at each MAIL: not more often than this.
_LEAST: Final = timedelta(seconds=1)
_LONGEST_NAME: Final = 255
_NOTHING: Final = Secret("")


class DirectoryAwayError(Exception):
    """A directory cannot be asked, or says nothing that one can go by; says which and why."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who wants to know: a client takes its turns, and may have been locked out meanwhile."""

    client: str = ""
    outdated: Callable[[], bool] | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """What a directory says to a name and a password.

    `entry` is None where it does not say whose the name is; then the name is unknown to it, unless
    it `decides`: it will not tell wrong passwords from unknown names, and no other is to be asked.
    `words` are its own, for the operator.
    """

    entry: Entry | None
    right: bool = False
    words: str = ""
    decides: bool = False
    directory: str = ""


class ForeignDirectory(Protocol):
    """One directory. `label` is the name that the settings give it."""

    @property
    def label(self) -> str:
        """Return what the settings call it."""
        ...

    @property
    def can_look_up(self) -> bool:
        """Tell whether it finds accounts without their password."""
        ...

    @property
    def has_keys(self) -> bool:
        """Tell whether what it finds may hold SCRAM keys."""
        ...

    async def find(self, name: AccountName) -> Entry | None:
        """Return an account as it is now. Raises DirectoryAwayError, BusyError."""
        ...

    async def check(self, name: AccountName, password: str, asker: Asker) -> Heard:
        """Try a password (prepared, not empty). Raises DirectoryAwayError, BusyError,
        OutdatedError.
        """
        ...

    async def close(self) -> None:
        """Let go of connections and threads."""
        ...


@dataclass(frozen=True, slots=True)
class Placed:
    """A directory with its place in the order: which names it is asked for, and for how long it is
    believed. `match` as a route's: "example", "*.example", "*".
    """

    directory: ForeignDirectory
    match: tuple[str, ...] = ("*",)
    remember: timedelta = timedelta(minutes=5)
    usual: Usual = Usual()  # noqa: RUF009 - immutable

    def serves(self, name: AccountName) -> bool:
        """Tell whether a name is to be asked for here."""
        domain = a_labels(name.rpartition("@")[2]) if "@" in name else ""
        return any(_fits(pattern, domain or "") for pattern in self.match)


@dataclass(frozen=True, slots=True)
class _Remembered:
    entry: Entry
    label: str
    until: float
    right: VerifiedCredentials = field(repr=False)


class ForeignDirectories:
    """All of them, and what they said lately. One per worker."""

    def __init__(
        self,
        placed: Sequence[Placed],
        *,
        size: int = 20_000,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._placed = tuple(placed)
        self._size = size
        self._clock = clock
        self._sleep = sleep
        self._right = {
            p.directory.label: VerifiedCredentials(lifetime=p.remember, clock=clock) for p in placed
        }
        self._entries: OrderedDict[AccountName, _Remembered] = OrderedDict()

    async def check(self, name: AccountName, password: str, asker: Asker) -> Heard | None:
        """Try a password with whoever knows the name; None: nobody does.

        Raises:
            DirectoryAwayError, BusyError, OutdatedError: it was not tried.

        """
        if not password or not _can_be_asked(name):
            return None
        known = self._fresh(name)
        if known is not None and known.right.knows(name, password, _NOTHING):
            return Heard(known.entry, True, directory=known.label)
        for placed in self._placed:
            if not placed.serves(name):
                continue
            heard = await placed.directory.check(name, password, asker)
            if heard.entry is None and not heard.decides and not heard.right:
                continue
            label = placed.directory.label
            entry = completed(heard.entry, placed.usual) if heard.entry is not None else None
            if entry is not None and heard.right:
                self._keep(name, entry, placed)
                self._right[label].remember(name, password, _NOTHING)
            return Heard(entry, heard.right, heard.words, heard.decides, label)
        return None

    async def find(self, name: AccountName) -> Entry | None:
        """Return an account without its password: as it was told lately, else as it is now. One
        whose directory cannot say (it is away, or wants a password) stays as it was.

        Raises:
            DirectoryAwayError, BusyError: nobody can say, and nothing was said before.

        """
        if not _can_be_asked(name):
            return None
        if (fresh := self._fresh(name)) is not None:
            return fresh.entry
        before = self._entries.get(name)
        for placed in self._placed:
            if not placed.serves(name):
                continue
            directory = placed.directory
            if not directory.can_look_up:
                if before is not None and before.label == directory.label:
                    return before.entry
                continue
            try:
                entry = await directory.find(name)
            except DirectoryAwayError:
                if before is None:
                    raise
                return before.entry
            if entry is not None:
                entry = completed(entry, placed.usual)
                self._keep(name, entry, placed)
                return entry
        self._entries.pop(name, None)
        return None

    async def keys(self, name: AccountName) -> Entry | None:
        """Return an account whose directory keeps SCRAM keys, as it is now. All that do are asked,
        whoever has the name.

        Raises:
            DirectoryAwayError, BusyError: one could not be asked.

        """
        found = None
        for placed in self._placed:
            if placed.directory.has_keys and _can_be_asked(name) and placed.serves(name):
                entry = await placed.directory.find(name)
                if found is None and entry is not None:
                    found = completed(entry, placed.usual)
        return found

    def cached(self, name: AccountName) -> Entry | None:
        """Return an account that was told lately."""
        fresh = self._fresh(name)
        return fresh.entry if fresh is not None else None

    def labels_without_keys(self, name: AccountName) -> tuple[str, ...]:
        """Return the directories that may know a name, and cannot check it by SCRAM."""
        return tuple(
            p.directory.label for p in self._placed if not p.directory.has_keys and p.serves(name)
        )

    def now(self) -> float:
        """Return seconds on the clock of `pace`."""
        return self._clock()

    async def pace(self, begun: float) -> None:
        """Wait until a refusal that was begun at `begun` may be told."""
        took = self._clock() - begun
        await self._sleep(math.ceil(max(took, 0.001) / _STEP) * _STEP - took)

    async def close(self) -> None:
        """Let go of all connections and threads."""
        for placed in self._placed:
            await placed.directory.close()

    def _fresh(self, name: AccountName) -> _Remembered | None:
        known = self._entries.get(name)
        return known if known is not None and self._clock() < known.until else None

    def _keep(self, name: AccountName, entry: Entry, placed: Placed) -> None:
        label = placed.directory.label
        until = self._clock() + max(placed.remember, _LEAST).total_seconds()
        self._entries[name] = _Remembered(entry, label, until, self._right[label])
        self._entries.move_to_end(name)
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)


class Everybody:
    """Our own accounts and those of directories, for whoever has logged in."""

    def __init__(self, own: Directory, foreign: ForeignDirectories | None = None) -> None:
        self._own = own
        self._foreign = foreign

    def cached(self, name: AccountName) -> Entry | None:
        """Return an account without asking anybody; None where `find` is needed to know."""
        own = self._own.cached(name)
        holds = self._own.holds(name)
        if own is not None or self._foreign is None or holds is None:
            return own
        foreign = self._foreign.cached(name)
        return replace(foreign, holds=holds) if foreign and holds else foreign

    async def find(self, name: AccountName) -> Entry | None:
        """Return an account as it is now, of a directory as it was told lately.

        Raises:
            StoreUnavailableError, DirectoryAwayError, BusyError: nobody can say.

        """
        own = await self._own.find(name)
        if own is not None or self._foreign is None:
            return own
        foreign = await self._foreign.find(name)
        holds = self._own.holds(name)
        return replace(foreign, holds=holds) if foreign and holds else foreign


class Breaker:
    """Bounds how many ask a directory at once, and lets it rest when it did not answer: the others
    who wait hear so at once, and do not each wait for the same silence.
    """

    def __init__(
        self, label: str, at_once: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.turns = Turns(at_once)
        self._label = label
        self._clock = clock
        self._rests_until = 0.0
        self._trouble = ""

    def look(self) -> None:
        """Raise DirectoryAwayError while it rests."""
        if self._clock() < self._rests_until:
            raise DirectoryAwayError(self._trouble)

    def unclear(self, trouble: object) -> DirectoryAwayError:
        """Return what is to be raised about one name: others are asked on."""
        return DirectoryAwayError(f'directory "{self._label}": {trouble}')

    def broken(self, trouble: object) -> DirectoryAwayError:
        """Let it rest; return what is to be raised."""
        self._trouble = f'directory "{self._label}": {trouble}'
        self._rests_until = self._clock() + _REST
        return DirectoryAwayError(self._trouble)


def _can_be_asked(name: AccountName) -> bool:
    """Tell whether it is a name at all: what cannot be prepared comes here as it was sent."""
    return (
        0 < len(name.encode("utf-8", "surrogatepass")) <= _LONGEST_NAME
        and name.isprintable()
        and not any(c.isspace() for c in name)
    )


def _fits(pattern: str, domain: str) -> bool:
    if pattern == "*":
        return True
    if pattern.startswith("*."):
        return domain.endswith(pattern[1:])
    return domain == pattern
