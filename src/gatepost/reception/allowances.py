"""What a worker may let in without asking: portions of quotas, drawn from the store in advance.

Drawn at MAIL (messages) and RCPT (recipients), given back when a transaction comes to nothing, and
counted in the commit that stores the message. An account without limits costs a look at two empty
tuples; one with limits asks the store once for many messages.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from gatepost.model.account import Account
from gatepost.model.ids import WorkerId
from gatepost.model.quota import Limits, Subject, Unit, account_subject
from gatepost.model.spender import Spender, subject_of, words_for
from gatepost.net.clock import agreed_seconds
from gatepost.reception.quota import Use, effective
from gatepost.reception.quota_leases import Granted, Holder, Span, Surrender, draw, give_back
from gatepost.store.protocols import Store, StoreUnavailableError, Transaction
from gatepost.store.quota_protocols import Spending

_log = logging.getLogger(__name__)

#: Seconds for which a lease holds when its worker says no more, and after which it is renewed.
_HELD: Final = 30.0
_RENEWED: Final = 10.0
#: Seconds after which what nobody uses goes back, and between two looks for that.
_IDLE: Final = 1.0
#: Seconds for which "nothing left" is believed, and a store that was away is left alone: a client
#: that tries again and again asks the store once.
_BELIEVED: Final = 1.0
#: Seconds that neighbours get to give back what they do not use (they look every 0.2 s), twice.
_RECALL: Final[Sequence[float]] = (0.3, 0.3)


@dataclass(slots=True)
class _Purse:
    """What this worker holds of one subject: `free` to spend, `owed` to be given back. `open`
    counts the transactions that drew from it, `since` how often all of it became void.
    """

    holder: Holder
    restricts: frozenset[Unit]
    until: float
    used_at: float
    free: dict[Unit, int] = field(default_factory=lambda: dict.fromkeys(Unit, 0))
    owed: dict[Unit, int] = field(default_factory=dict)
    waiting: dict[Unit, int] = field(default_factory=lambda: dict.fromkeys(Unit, 0))
    spent: dict[Unit, tuple[Use, float]] = field(default_factory=dict)
    away_until: float = 0.0
    open: int = 0
    since: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def empty(self) -> None:
        """Owe all that is free."""
        for unit, count in self.free.items():
            self.owe(unit, count)
            self.free[unit] = 0

    def owe(self, unit: Unit, count: int) -> None:
        """Give back a little later."""
        if count:
            self.owed[unit] = self.owed.get(unit, 0) + count

    def refund(self, unit: Unit, count: int, since: int) -> None:
        """Take back what came to nothing: to spend again, unless all is void meanwhile."""
        if since == self.since:
            self.free[unit] += count
        else:
            self.owe(unit, count)

    def surrender(self) -> Surrender:
        """Return what is owed, and owe it no more."""
        owed, self.owed = self.owed, {}
        return Surrender(self.holder, owed)


@dataclass(slots=True)
class _Part:
    """One purse as a transaction drew from it."""

    purse: _Purse
    since: int
    drawn: dict[Unit, int]


class Ticket:
    """What one transaction has drawn. End it once: `settle` when its message was stored, or
    perhaps was, `give_back` when it was not.
    """

    __slots__ = ("_parts", "_worker", "recipients")

    def __init__(self, worker: WorkerId, parts: tuple[_Part, ...] = ()) -> None:
        self._worker = worker
        self._parts = parts
        self.recipients = 0

    @property
    def parts(self) -> tuple[_Part, ...]:
        """Return what was drawn from whom."""
        return self._parts

    def spendings(self, at: datetime) -> tuple[Spending, ...]:
        """Return what the message costs, to be counted in the commit that stores it."""
        return tuple(
            Spending(
                part.purse.holder.subject,
                self._worker,
                at,
                1,
                self.recipients,
                part.drawn.get(Unit.MESSAGES, 0),
                part.drawn.get(Unit.RECIPIENTS, 0),
            )
            for part in self._parts
        )

    def settle(self) -> None:
        """Let go of what was spent."""
        for part in self._parts:
            part.purse.open -= 1
        self._parts = ()

    def give_back(self) -> None:
        """Give back all that was drawn: nothing came of it."""
        for part in self._parts:
            for unit, count in part.drawn.items():
                part.purse.refund(unit, count, part.since)
        self.settle()


class Allowances:
    """All purses of one worker. `run` gives back what is not needed.

    Args:
        store: where the counts are.
        worker: who we are.
        defaults: the limits of accounts that have none of their own for a unit and window.
        clock: seconds since the Unix epoch.

    """

    def __init__(
        self,
        store: Store,
        worker: WorkerId,
        defaults: Limits = (),
        *,
        clock: Callable[[], float] = agreed_seconds,
    ) -> None:
        self._store = store
        self._worker = worker
        self._defaults = defaults
        self._clock = clock
        self._purses: dict[Subject, _Purse] = {}
        self._version: int | None = None
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._purses)

    async def draw_message(self, account: Account, spender: Spender | None) -> Ticket | Use:
        """Draw one message for a transaction that begins; a Use says which limit is spent.

        Raises:
            StoreUnavailableError: nothing at hand, and no telling whether there is more.

        """
        holders = self._holders(account, spender)
        if not holders:
            return Ticket(self._worker)
        ticket = Ticket(self._worker, tuple(self._part(holder) for holder in holders))
        try:
            spent = await self._take(ticket, Unit.MESSAGES)
        except BaseException:
            ticket.give_back()
            raise
        if spent is not None:
            ticket.give_back()
            return spent
        return ticket

    async def draw_recipient(self, ticket: Ticket) -> Use | None:
        """Draw one more recipient; a Use says which limit is spent.

        Raises:
            StoreUnavailableError: nothing at hand, and no telling whether there is more.

        """
        spent = await self._take(ticket, Unit.RECIPIENTS) if ticket.parts else None
        if spent is None:
            ticket.recipients += 1
        return spent

    async def note_version(self, data_version: int) -> None:
        """Give back what neighbours ask for, if `Store.data_version` has changed.

        Raises:
            StoreUnavailableError: nothing was given.

        """
        if data_version == self._version:
            return
        if any(any(purse.free.values()) for purse in self._purses.values()):
            worker = self._worker
            asked = await self._store.read(lambda reading: reading.recalled(worker))
            purses = [self._purses[subject] for subject in asked if subject in self._purses]
            for purse in purses:
                purse.empty()
            await self._surrender([purse.surrender() for purse in purses])
        self._version = data_version

    async def run(self) -> None:
        """Give back what nobody uses, until cancelled; then all."""
        try:
            while True:
                await self._wake.wait()
                await asyncio.sleep(_IDLE)
                await self._try_tidy()
                if not self._purses:
                    self._wake.clear()
        finally:
            worker = self._worker
            with contextlib.suppress(StoreUnavailableError):
                await self._store.write(lambda tx: tx.free_quota_leases(worker))

    async def tidy(self) -> None:
        """Give back what nobody has used for a second, and prolong what is held.

        Raises:
            StoreUnavailableError: leases end by themselves then.

        """
        now = self._clock()
        surrenders, prolonged = [], []
        for subject, purse in list(self._purses.items()):
            is_idle = not any(purse.waiting.values()) and now - purse.used_at >= _IDLE
            if is_idle and not purse.open and not purse.lock.locked():
                del self._purses[subject]
                surrenders.append(Surrender(purse.holder, is_last=True))
                continue
            if is_idle:
                purse.empty()
            if self._has_ended(purse) or purse.owed or purse.until - now < _HELD - _RENEWED:
                surrenders.append(purse.surrender())
                prolonged.append(purse)
        await self._surrender(surrenders)
        for purse in prolonged:  # not before the store has heard of it
            purse.until = now + _HELD

    async def _try_tidy(self) -> None:
        try:
            await self.tidy()
        except StoreUnavailableError as trouble:
            _log.warning("unused quota is not given back: %s", trouble)
        except Exception:  # noqa: BLE001 - the top of a task: leases end by themselves
            _log.exception("unused quota is not given back")

    # -- within

    def _holders(self, account: Account, spender: Spender | None) -> list[Holder]:
        holders = []
        if account.limits or self._defaults:
            limits = effective(self._defaults, account.limits)
            if limits:
                holders.append(Holder(account_subject(account.name), account.name, limits))
        if spender is not None and spender.limits and (limits := effective((), spender.limits)):
            holders.append(Holder(subject_of(spender), account.name, limits, words_for(spender)))
        return holders

    def _part(self, holder: Holder) -> _Part:
        now = self._clock()
        purse = self._purses.get(holder.subject)
        restricts = frozenset(limit.unit for limit in holder.limits)
        if purse is None:
            purse = _Purse(holder, restricts, now + _HELD, now)
            self._purses[holder.subject] = purse
            self._wake.set()
        elif purse.holder.limits != holder.limits:
            purse.empty()  # it was drawn under other limits
            purse.holder, purse.restricts = holder, restricts
            purse.spent = {}
            purse.since += 1
        purse.open += 1
        purse.used_at = now
        return _Part(purse, purse.since, {})

    async def _take(self, ticket: Ticket, unit: Unit) -> Use | None:
        taken: list[_Part] = []
        for part in ticket.parts:
            purse = part.purse
            if unit not in purse.restricts:
                continue
            if purse.free[unit] <= 0 or self._has_ended(purse):
                spent = await self._fill(purse, unit)
                if spent is not None:
                    for other in taken:
                        other.drawn[unit] -= 1
                        other.purse.refund(unit, 1, other.since)
                    return spent
                if unit not in purse.restricts:
                    continue  # lifted meanwhile
            purse.free[unit] -= 1
            part.drawn[unit] = part.drawn.get(unit, 0) + 1
            taken.append(part)
        return None

    def _has_ended(self, purse: _Purse) -> bool:
        """Tell whether a lease has run out, because this worker stood still: others may have it."""
        if purse.until > self._clock():
            return False
        purse.empty()
        purse.since += 1
        return True

    async def _fill(self, purse: _Purse, unit: Unit) -> Use | None:
        """Return once there is one at hand, or the limit that is spent. Who comes meanwhile waits
        for the same answer.
        """
        purse.waiting[unit] += 1
        try:
            async with purse.lock:
                while purse.free[unit] <= 0 and unit in purse.restricts:
                    if spent := self._known_spent(purse, unit):
                        return spent
                    await self._draw(purse, unit)
        finally:
            purse.waiting[unit] -= 1
        return None

    def _known_spent(self, purse: _Purse, unit: Unit) -> Use | None:
        if self._is_believed(purse.away_until):
            msg = "the store was away a moment ago"
            raise StoreUnavailableError(msg)
        use, until = purse.spent.get(unit, (None, 0.0))
        return use if self._is_believed(until) else None

    def _is_believed(self, until: float) -> bool:
        """Tell whether something still counts; never for longer than a moment, though the clock
        be set back by hours meanwhile.
        """
        return 0 < until - self._clock() < 2 * _BELIEVED

    async def _draw(self, purse: _Purse, unit: Unit) -> None:
        """Draw a portion; wait a little for what neighbours hold, if there is none left."""
        for pause in (*_RECALL, 0.0):
            granted = await self._ask(purse)
            if granted.counts.get(unit) or not granted.elsewhere or not pause:
                break
            await asyncio.sleep(pause)
        believed = self._clock() + _BELIEVED
        purse.spent = {each: (use, believed) for each, use in granted.spent.items()}

    async def _ask(self, purse: _Purse) -> Granted:
        now = self._clock()
        span = Span(self._worker, now, now + _HELD)
        back, since = purse.surrender(), purse.since
        wanted = {each: purse.waiting[each] for each in purse.restricts if purse.free[each] <= 0}

        def job(transaction: Transaction) -> Granted:
            if back.counts:
                give_back(transaction, (back,), span)
            return draw(transaction, back.holder, wanted, span)

        try:
            granted = await self._store.write(job)
        except StoreUnavailableError:
            purse.away_until = self._clock() + _BELIEVED
            raise
        purse.until = span.until
        for unit, count in granted.counts.items():
            purse.refund(unit, count, since)
        # Where limits have changed meanwhile, nothing is known yet.
        return granted if purse.since == since else Granted({})

    async def _surrender(self, surrenders: list[Surrender]) -> None:
        if surrenders:
            now = self._clock()
            span = Span(self._worker, now, now + _HELD)
            await self._store.write(lambda tx: give_back(tx, surrenders, span))
