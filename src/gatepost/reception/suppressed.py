"""Is a recipient suppressed? Asked at each RCPT, so it must cost nearly nothing.

A worker keeps a Bloom filter (Bloom 1970) of all suppressed subjects: 2 octets each, less than a
microsecond to ask. What it does not hold is not suppressed; what it may hold (a suppressed one,
or one of a thousand others) is looked up in the store. It is kept up to date by what was added
since; what was removed only costs a look-up in vain.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Final

from gatepost.model.delivery import Delivery, DeliveryState
from gatepost.model.event import Event, EventKind
from gatepost.model.ids import AccountName, DeliveryId
from gatepost.model.submission import Submission
from gatepost.model.suppression import Suppression
from gatepost.model.suppression_subject import subjects_of
from gatepost.store.freshness import Freshness
from gatepost.store.protocols import Reading, Settlement, Store, StoreUnavailableError
from gatepost.store.suppressions import AccountRule

#: With the poll's 0.2 s and the time of a read, a change is heard of within 1 s (decision 5).
_STALE_AFTER: Final = 0.6
_PAGE: Final = 20_000
#: 16 bits and 7 places for each subject: one of 1 000 strangers is taken for one.
_BITS: Final = 16
_PLACES: Final = 7
_LEAST: Final = 4096


class SubjectFilter:
    """May a subject be in it? False is certain."""

    __slots__ = ("_bits", "_count", "_mask", "_most")

    def __init__(self, subjects: int) -> None:
        """Make room for so many, and as many again."""
        self._most = max(_LEAST, 2 * subjects)
        bits = 1 << (self._most * _BITS - 1).bit_length()
        self._bits = bytearray(bits // 8)
        self._mask = bits - 1
        self._count = 0

    @property
    def is_full(self) -> bool:
        """Tell whether it should be made anew, larger."""
        return self._count > self._most

    def add(self, subject: str) -> None:
        """Hold a subject from now on."""
        self._count += 1
        place, step = _halves(subject)
        for _ in range(_PLACES):
            self._bits[(place & self._mask) >> 3] |= 1 << (place & 7)
            place += step

    def __contains__(self, subject: str) -> bool:
        place, step = _halves(subject)
        bits, mask = self._bits, self._mask
        for _ in range(_PLACES):
            if not bits[(place & mask) >> 3] >> (place & 7) & 1:
                return False
            place += step
        return True

    def __len__(self) -> int:
        return self._count


def _halves(subject: str) -> tuple[int, int]:
    """Return two halves of one digest: they stand for seven (Kirsch and Mitzenmacher 2006)."""
    number = int.from_bytes(blake2b(subject.encode("utf-8", "replace"), digest_size=8).digest())
    return number >> 32, number & 0xFFFFFFFF | 1


class SuppressionList:
    """What a worker knows of suppressions. Used from one event loop."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._filter = SubjectFilter(0)
        self._number = 0
        self._rules: Mapping[AccountName, AccountRule] = {}
        self._freshness = Freshness(_STALE_AFTER, clock)

    async def note_version(self, data_version: int) -> None:
        """Pass on what `Store.data_version` says; what is new is read after a change.

        Raises:
            StoreUnavailableError: the store cannot be read.

        """
        if self._freshness.is_due(data_version):
            await self.refresh()

    async def refresh(self) -> None:
        """Read what is new.

        Raises:
            StoreUnavailableError: the store cannot be read.

        """
        self._freshness.reading()
        try:
            rules = await self._store.read(lambda reading: reading.account_rules())
            self._rules = {rule.account: rule for rule in rules}
            self._number = await self._fill(self._filter, self._number)
            if self._filter.is_full:
                larger = SubjectFilter(len(self._filter))  # the old one serves meanwhile
                self._number = await self._fill(larger, 0)
                self._filter = larger
        except StoreUnavailableError:
            self._freshness.failed()
            raise

    def settled(self, settlements: Sequence[Settlement], ours: set[DeliveryId]) -> None:
        """Take what this worker has just written itself: its own commits change no version."""
        for settlement in settlements:
            if settlement.suppression is not None and settlement.held.id in ours:
                self._filter.add(settlement.suppression.subject)

    def rule(self, account: AccountName) -> AccountRule:
        """Return what an account wants."""
        return self._rules.get(account) or AccountRule(account)

    def may_hold(self, address: str) -> bool:
        """Tell whether `find` is needed: False when the recipient surely is not suppressed."""
        if not len(self._filter):
            return False
        held = self._filter
        return any(subject in held for subject in subjects_of(address))

    async def find(
        self, address: str, account: AccountName, stream: str = ""
    ) -> Suppression | None:
        """Return what suppresses a recipient for an account's mail of a stream, None for nothing.

        Raises:
            StoreUnavailableError: the store cannot be read.

        """
        if not self.may_hold(address):
            return None
        subjects = subjects_of(address)
        found = await self._store.read(lambda reading: reading.suppressions_of(subjects, account))
        return next((each for each in found if each.stream in {"", stream}), None)

    async def _fill(self, into: SubjectFilter, after: int) -> int:
        """Add what has a number behind `after`; return the last number."""
        while page := await self._store.read(_page_behind(after)):
            for number, subject in page:
                into.add(subject)
                after = number
                if not number % 1000:
                    await asyncio.sleep(0)  # sessions go on meanwhile
        return after


def _page_behind(number: int) -> Callable[[Reading], list[tuple[int, str]]]:
    return lambda reading: reading.suppressed_subjects(number, _PAGE)


def dropped(delivery: Delivery, reasons: Mapping[str, str]) -> Delivery:
    """Return a delivery that is never tried, where its recipient is to be dropped."""
    reason = reasons.get(delivery.forward_path)
    if reason is None:
        return delivery
    return replace(delivery, state=DeliveryState.CANCELLED, reason=f"suppressed: {reason}")


def drop_events(deliveries: Sequence[Delivery], submission: Submission) -> tuple[Event, ...]:
    """Return the events of deliveries that are never tried."""
    return tuple(
        Event(
            EventKind.SUPPRESSED,
            submission.received_at,
            submission.id,
            delivery.id,
            submission.account,
            {"recipient": delivery.forward_path, "reason": delivery.reason},
        )
        for delivery in deliveries
        if delivery.state is DeliveryState.CANCELLED
    )
