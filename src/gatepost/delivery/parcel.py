"""What a worker holds: deliveries in its hands, and those that travel in one transaction."""

import asyncio
from collections.abc import Sequence

from gatepost.delivery.routing import Hop
from gatepost.model.delivery import Leased
from gatepost.model.ids import DeliveryId
from gatepost.model.submission import Submission
from gatepost.store.leases import Held
from gatepost.wire.smtp.extensions import Limits


class Shelf:
    """Content in memory, and for how many deliveries it is kept there."""

    __slots__ = ("_count", "_octets")

    def __init__(self, octets: int, count: int) -> None:
        self._octets = octets
        self._count = count

    def take_one(self) -> int:
        """Note that one delivery needs it no more; return the octets that this sets free."""
        self._count -= 1
        return 0 if self._count else self._octets


class Item:
    """One leased delivery on its way.

    `until`: loop time up to which the lease surely lasts. `is_ours`: False once it was lost.
    """

    __slots__ = ("counted", "hop", "is_ours", "leased", "shelf", "until")

    def __init__(self, leased: Leased, hop: Hop, until: float) -> None:
        self.leased = leased
        self.hop = hop
        self.until = until
        self.counted = False
        self.is_ours = True
        self.shelf: Shelf | None = None

    @property
    def id(self) -> DeliveryId:
        """Return the delivery's id."""
        return self.leased.delivery.id

    @property
    def held(self) -> Held:
        """Return what the store asks for."""
        return Held(self.leased.delivery.id, self.leased.fence)


def lasts(item: Item) -> bool:
    """Tell whether a lease is ours and surely lasts."""
    return item.is_ours and asyncio.get_running_loop().time() < item.until


class Parcel:
    """The recipients of one submission at one site: one transaction.

    `pieces` is the content where it is still in memory. `fresh` is set when a transaction failed
    on a session that had grown old: the next try is made on a new one.
    """

    __slots__ = ("account", "fresh", "items", "lane", "pieces", "submission")

    def __init__(
        self, submission: Submission, items: list[Item], pieces: Sequence[bytes] | None
    ) -> None:
        self.submission = submission
        self.items = items
        self.pieces = pieces
        self.fresh = False
        #: A message's deliveries are all of one lane, and take one account's share.
        self.lane = items[0].leased.delivery.lane
        self.account = items[0].leased.account


def within(limits: Limits, items: Sequence[Item]) -> int:
    """Return how many of `items`, from the first on, one transaction may have (RFC 9422)."""
    count = len(items) if limits.recipients is None else min(len(items), limits.recipients)
    if limits.domains is None:
        return count
    domains: set[str] = set()
    for at, item in enumerate(items[:count]):
        domains.add(item.hop.destination)
        if len(domains) > limits.domains:
            return at
    return count
