"""Room 6: from which source address a delivery leaves for its site."""

import asyncio
from collections.abc import Callable, Sequence

from gatepost.delivery.parcel import Item, Parcel
from gatepost.delivery.pool import Pool
from gatepost.delivery.site import Kind, Site
from gatepost.egress.sources import NoSourceError, Sources
from gatepost.model.route import ViaMx, ViaSmtp
from gatepost.model.source import Source


class Leaving:
    """Queues deliveries for their sites, each from its source.

    `without` is told of those that have none now, together, and why.
    """

    def __init__(
        self, pool: Pool, sources: Sources, without: Callable[[list[Item], str], None]
    ) -> None:
        self._pool = pool
        self._sources = sources
        self._without = without
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, list[Item]] = {}

    def put(self, site: Site, item: Item, pieces: Sequence[bytes] | None) -> None:
        """Queue one; `pieces` is its content, if it is at hand."""
        try:
            source = source_for(item, site, self._sources)
        except NoSourceError as none:
            if not self._waiting:
                self._loop.call_soon(self._tell)
            self._waiting.setdefault(str(none), []).append(item)
            return
        self._pool.add(site, item, pieces, source)

    def put_anew(self, site: Site, parcels: Sequence[Parcel]) -> None:
        """Queue parcels again whose source may not be used any more."""
        for parcel in parcels:
            for item in parcel.items:
                self.put(site, item, parcel.pieces)

    def change(self) -> None:
        """Queue all that waits for sources again which may not be used as they were."""
        for site, parcel in self._pool.retire(self._sources.may_use, self._sources.is_missing):
            self.put_anew(site, (parcel,))

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for why, items in waiting.items():
            self._without(items, why)


def source_for(item: Item, site: Site, sources: Sources) -> Source | None:
    """Return from where a delivery leaves for its site; None: as the system chooses.

    Raises:
        NoSourceError: there is nothing to call from.

    """
    via = item.hop.via
    if site.kind is not Kind.SMTP or not isinstance(via, ViaMx | ViaSmtp):
        return None
    leased = item.leased
    pool = via.pool or leased.delivery.pool
    if not pool and not sources.all:
        return None
    peers = [address for host in site.hosts for address in host.addresses]
    of = f"{leased.submission.account} {leased.delivery.forward_path}"
    return sources.choose(pool, of, peers)
