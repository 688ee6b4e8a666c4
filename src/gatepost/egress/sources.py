"""The source addresses of a node as a worker knows them: which of them may be used now.

An operator pauses addresses in the store, whichever node has them. Whether the machine has one is
told by bind(): an address may come late (duplicate address detection) or move to another machine.
"""

import logging
import time
from collections.abc import Callable, Collection, Sequence

from gatepost.egress.choice import ABSENT, choose, in_pool, pause_words, served, usable, why_none
from gatepost.model.source import DEFAULT, SYSTEM, Source
from gatepost.net.dialer import has_address
from gatepost.store.freshness import Freshness
from gatepost.store.pauses import Pause
from gatepost.store.presences import Announced
from gatepost.store.protocols import Store

_log = logging.getLogger(__name__)

#: Seconds between two looks whether the machine has its addresses, and between two readings of pauses.
LOOK_EVERY = 5.0
_STALE_AFTER = 0.2


class NoSourceError(Exception):
    """Nothing can leave for a pool now; why, in words for a person."""


class Sources:
    """Used from one event loop.

    Args:
        sources: what the settings name; none: the system chooses.
        store: where pauses are.
        tells: whether to log what comes and goes; one worker of a node does.
        has: whether the machine has an address.
        clock: seconds.

    """

    def __init__(
        self,
        sources: Sequence[Source],
        store: Store,
        *,
        tells: bool = False,
        has: Callable[[str], bool] = has_address,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.all = tuple(sources)
        self._store = store
        self._tells = tells
        self._has = has
        self._pauses: dict[str, Pause] = {}
        self._absent: frozenset[str] = frozenset()
        self._changed: Callable[[], None] | None = None
        self._freshness = Freshness(_STALE_AFTER, clock)
        self._settle()

    # -- what is asked

    @property
    def pools(self) -> tuple[str, ...]:
        """The pools that this node sends for, "" among them."""
        return self._pools

    def serves(self, pools: Collection[str]) -> bool:
        """Tell whether this node sends for all of these."""
        return all(pool in self._pools for pool in pools)

    def choose(self, pool: str, of: str, peers: Sequence[str]) -> Source | None:
        """Return from where to call one of `peers` (IP addresses); None: as the system chooses.

        Args:
            pool: "" is the default one.
            of: for equal texts the choice is equal.
            peers: see `egress.choice`.

        Raises:
            NoSourceError: there is nothing to call from.

        """
        if pool == SYSTEM or ((pool or DEFAULT) == DEFAULT and not in_pool(self.all, DEFAULT)):
            return None
        if candidates := in_pool(self._usable, pool):
            return choose(candidates, of, peers)
        raise NoSourceError(why_none(self.all, pool, self._out()))

    def may_use(self, source: Source) -> bool:
        """Tell whether all its addresses may be used still, and none that it lacks may again."""
        return source in self._usable

    def announced(self) -> tuple[Announced, ...]:
        """Return what this node's neighbours are to know."""
        return tuple(
            Announced(one, tuple(a for a in one.addresses if a in self._absent)) for one in self.all
        )

    # -- what changes

    def on_change(self, changed: Callable[[], None]) -> None:
        """Have `changed` called when other addresses may be used."""
        self._changed = changed

    def is_missing(self, address: str) -> bool:
        """Tell whether the machine lacks an address."""
        return address in self._absent

    def missing(self, address: str) -> None:
        """Hear that bind() did not find an address; it is looked for again."""
        self._set_absent(self._absent | {address})

    async def look(self) -> None:
        """Look whether the machine has the addresses."""
        if self.all:
            each = [address for source in self.all for address in source.addresses]
            self._set_absent(frozenset(a for a in each if not self._has(a)))

    async def note_version(self, data_version: int) -> None:
        """Pass on what `Store.data_version` says; pauses are read after a change.

        Raises:
            StoreUnavailableError: the store cannot be read.

        """
        if not self.all:
            return
        if self._freshness.is_due(data_version):
            await self.refresh()

    async def refresh(self) -> None:
        """Read which addresses are paused.

        Raises:
            StoreUnavailableError: the store cannot be read.

        """
        if not self.all:
            return
        self._freshness.reading()
        try:
            found = await self._store.read(lambda reading: reading.pauses())
        except BaseException:
            self._freshness.failed()
            raise
        pauses = {pause.address: pause for pause in found}
        if pauses != self._pauses:
            self._pauses = pauses
            self._settle()

    def _set_absent(self, absent: frozenset[str]) -> None:
        if absent == self._absent:
            return
        if self._tells:
            for address in sorted(absent - self._absent):
                words = "source address %s %s: its mail goes over others of its pools, or waits"
                _log.error(words, address, ABSENT)
            for address in sorted(self._absent - absent):
                _log.info("source address %s is there again", address)
        self._absent = absent
        self._settle()

    def _settle(self) -> None:
        out = self._out()
        self._usable = usable(self.all, out)
        self._pools = served(self.all, out)
        if self._changed is not None:
            self._changed()

    def _out(self) -> dict[str, str]:
        out = dict.fromkeys(self._absent, ABSENT)
        out |= {address: pause_words(pause.reason) for address, pause in self._pauses.items()}
        return out
