"""Room 7: dial or reuse, one pipelined transaction, an outcome for each recipient.

One `Courier` task serves one connection of a site: it claims parcels, has their attempts counted
durably, and carries one after the other.
"""

import asyncio
import logging
from collections.abc import Sequence

from gatepost.delivery.calls import OUR_FAULT, call_one
from gatepost.delivery.claim import Claim
from gatepost.delivery.contents import Content
from gatepost.delivery.depot import Depot
from gatepost.delivery.envelopes import are_ascii, envelope_of
from gatepost.delivery.fitting import Fitted, Unfit, fit, is_as_it_is
from gatepost.delivery.lending import Loans
from gatepost.delivery.link import Link
from gatepost.delivery.link_parts import LinkFailedError
from gatepost.delivery.maildir_transfer import store_in_maildirs
from gatepost.delivery.parcel import Parcel, lasts, within
from gatepost.delivery.resting import is_called_for, put_off
from gatepost.delivery.site import Kind
from gatepost.delivery.site_queue import SiteQueue
from gatepost.model.delivery import Outcome
from gatepost.net.dialer import SourceMissingError
from gatepost.returns.outcome import NEEDS_UTF8, came_to_nothing, refused
from gatepost.store.protocols import ContentAwayError, StoreUnavailableError
from gatepost.wire.smtp.extensions import NO_LIMITS, Limits

_log = logging.getLogger(__name__)

#: So many parcels that wait are asked whose they are.
_ASKED = 500


class _RetiredError(Exception):
    """The source of a session may not be used any more."""


class Courier:
    """Serves one connection of one site."""

    def __init__(self, queue: SiteQueue, depot: Depot) -> None:
        self._queue = queue
        self._depot = depot
        self._link: Link | None = None
        self._carried = 0
        self._is_dialling = False
        self._claim = Claim(queue, depot)
        self._loans = Loans(depot.lending)
        self._is_over = False

    async def run(self) -> None:
        """Work until there is nothing left to do."""
        queue = self._queue
        queue.dialling += 1
        self._is_dialling = True
        since = asyncio.get_running_loop().time()
        try:
            while not self._is_over:
                parcels = self._claim.take()
                if not parcels:
                    if self._link is None or not await queue.wait():
                        break
                    continue
                if self._link is None and self._rests(parcels):
                    continue
                try:
                    await self._carry_all(parcels)
                except Exception:  # noqa: BLE001 - whatever a stranger makes us trip over
                    _log.exception("deliveries to %s failed", queue.site.key)
                    self._put_aside(self._claim.parcels)
                finally:
                    self._loans.end()
                if queue.gives_way(since):
                    break
            if self._link is not None:
                await self._link.close()
        finally:
            self._dialled()
            if self._link is not None:
                self._link.abort()
                self._forget_link()

    def _forget_link(self) -> None:
        if self._link is not None:
            self._queue.links.remove(self._link)
            self._link = None
        self._carried = 0

    def _put_aside(self, parcels: list[Parcel]) -> None:
        """End the attempt of parcels that made us stumble: their leases must not outlive it.

        What was settled already stays settled, written or not.
        """
        if self._link is not None:
            self._link.abort()
            self._forget_link()
        for parcel in parcels:
            self._claim.settle(self._claim.open_items(parcel), OUR_FAULT)

    def _rests(self, parcels: list[Parcel]) -> bool:
        """Put off what is for a site that refused us a moment ago; False: it may be called."""
        at = asyncio.get_running_loop().time()
        now = self._depot.now()
        rest = self._depot.resting.rest(self._queue.key, at, now)
        items = [item for parcel in parcels for item in parcel.items]
        if rest is None or any(is_called_for(item.leased, rest) for item in items):
            return False
        self._depot.release([item for item in items if not item.is_ours], "")
        for item in items:
            if item.is_ours:
                self._depot.settle(put_off(item.leased, rest, now, counted=item.counted))
        return True

    def _dialled(self) -> None:
        if self._is_dialling:
            self._is_dialling = False
            self._queue.dialling -= 1

    async def _carry_all(self, parcels: list[Parcel]) -> None:
        ready = await self._prepare(parcels)
        for position, (parcel, content) in enumerate(ready):
            if self._queue.retired:
                self._leave_to_another([p for p, _ in ready[position:]])
                return
            if self._queue.closing:
                rest = [i for p, _ in ready[position:] for i in p.items]
                self._depot.release(rest, "this worker is stopping")
                return
            if self._gives_way(ready, position):
                for waiting, _ in reversed(ready[position:]):
                    self._queue.put_back(waiting)
                return
            if isinstance(content, Outcome):
                self._claim.settle(parcel.items, content)
                continue
            try:
                await self._carry(parcel, content)
            except LinkFailedError as failure:
                await self._fail([p for p, _ in ready[position:]], failure.outcome)
                return
            except (SourceMissingError, _RetiredError):
                self._leave_to_another([p for p, _ in ready[position:]])
                return

    async def _carry(self, parcel: Parcel, content: Sequence[bytes]) -> None:
        """Carry one parcel; one that makes us stumble takes no other with it."""
        try:
            if self._queue.site.kind is Kind.MAILDIR:
                self._dialled()
                await store_in_maildirs(parcel, content, self._queue.site, self._depot, self._claim)
            else:
                await self._transfer(parcel, content)
        except (LinkFailedError, SourceMissingError, _RetiredError):
            raise
        except Exception:  # noqa: BLE001 - whatever a stranger makes us trip over
            _log.exception("a message to %s failed", self._queue.site.key)
            self._put_aside([parcel])

    def _leave_to_another(self, parcels: list[Parcel]) -> None:
        """Give parcels to whoever serves the site from a source that may be used. An attempt that
        was counted for them is the one that will be made there.
        """
        self._is_over = True
        self._depot.place_anew(self._queue.site, parcels)

    def _gives_way(self, ready: list[tuple[Parcel, Content]], position: int) -> bool:
        """Tell whether the rest of a claim is put back, because something more urgent came.

        It is not to wait for a whole claim of bulk. Nobody starves: of each lane in a claim one
        transaction is made, and the next claim is dealt by weight.
        """
        lane = ready[position][0].lane
        if not position or ready[position - 1][0].lane is not lane:
            return False
        return self._queue.holds_more_urgent(than=lane)

    async def _prepare(self, parcels: list[Parcel]) -> list[tuple[Parcel, Content]]:
        """Count attempts and fetch contents; drop what is no longer ours."""
        store_away = "the store is away"
        self._claim.end_expired(parcels)
        parcels = await self._borrow(parcels)
        try:
            await self._claim.count(parcels)
            missing = [p.submission.id for p in parcels if p.pieces is None and p.items]
            contents = await self._loans.contents(missing, self._depot.contents.of)
        except ContentAwayError as away:
            self._claim.put_off_without_contents(parcels, f"no stored content can be read: {away}")
            return []
        except StoreUnavailableError:
            self._depot.untried([i for p in parcels for i in p.items], store_away)
            return []
        ready = []
        for parcel in parcels:
            lost = [i for i in parcel.items if not i.is_ours]
            if lost:
                self._depot.release(lost, "")
                parcel.items = [i for i in parcel.items if i.is_ours]
            if parcel.items:
                pieces = parcel.pieces
                ready.append((parcel, contents[parcel.submission.id] if pieces is None else pieces))
        return ready

    async def _borrow(self, parcels: list[Parcel]) -> list[Parcel]:
        """Return those parcels for whose contents there is room; the others wait for it."""
        lots = await self._loans.lots(parcels)
        for parcel in reversed(lots.behind):
            self._claim.put_back(parcel)
        for parcel in lots.without:
            self._claim.put_off_without_room(parcel)
        return lots.ready

    async def _transfer(self, parcel: Parcel, content: Sequence[bytes]) -> None:
        link = await self._usable_link(fresh=parcel.fresh)
        reused = link.transactions > 0
        self._keep_within(link.offers.limits, parcel)
        fitted = await self._fit(parcel, content, link)
        if fitted is None or not parcel.items:
            return
        try:
            verdicts = await link.verdicts(
                envelope_of(parcel, fitted),
                fitted.pieces,
                lambda: self._depot.is_heard() and _is_ours(parcel),
            )
        except asyncio.CancelledError:  # this worker stops
            # Perhaps it was taken: as where a connection is lost then, it is not due at once.
            if verdicts := link.verdicts_so_far():
                self._claim.settle_each(parcel, verdicts, link)
            raise
        if reused and not parcel.fresh and not link.is_usable and came_to_nothing(verdicts):
            # The other side had hung up before it read a word: that is no failure (RFC 5321
            # §4.5.3.2.7), and the attempt has been counted.
            parcel.fresh = True
            self._claim.put_back(parcel)
            return
        self._carried += 1
        if self._queue.is_strange and link.is_usable:
            self._queue.is_no_stranger()
        again = self._claim.settle_each(parcel, verdicts, link)
        if again:
            parcel.items = again
            for item in again:
                item.counted = False
            self._claim.put_back(parcel)
        if not (reused or link.is_usable) and came_to_nothing(verdicts):
            if self._queue.barren.note(parcel.account, self._whose()):
                raise LinkFailedError(link.outcome(verdicts[0]))
        else:
            self._queue.barren.clear()

    def _whose(self) -> set[str]:
        """Return whose mail waits here, of the first that wait, or is in this claim."""
        owners = self._queue.owners(_ASKED)
        mine = {parcel.account for parcel in self._claim.parcels}
        return {owner.account for owner in owners} | mine

    def _keep_within(self, limits: Limits, parcel: Parcel) -> None:
        """Leave those recipients for another transaction that this one may not have."""
        if limits is NO_LIMITS or (count := within(limits, parcel.items)) >= len(parcel.items):
            return
        self._queue.put_back(Parcel(parcel.submission, parcel.items[count:], parcel.pieces))
        parcel.items = parcel.items[:count]

    async def _fit(self, parcel: Parcel, content: Sequence[bytes], link: Link) -> Fitted | None:
        """Return the content as this next hop can take it; settle whom it cannot reach so."""
        if not link.offers.utf8 and not are_ascii(parcel):
            foreign = [i for i in parcel.items if not i.hop.forward_path.isascii()]
            words = "the next hop takes no address that is not ASCII (SMTPUTF8)"
            self._claim.settle(foreign, refused(NEEDS_UTF8, words, link.spoken))
            parcel.items = [i for i in parcel.items if i.hop.forward_path.isascii()]
        is_copied = not is_as_it_is(parcel.submission, link.offers)
        if is_copied and not await self._loans.copy(parcel.submission):
            self._claim.put_off_without_room(parcel)
            return None
        fitted = await fit(parcel.submission, content, link.offers, self._depot.sign_again)
        if isinstance(fitted, Unfit):
            self._claim.settle(parcel.items, refused(fitted.status, fitted.words, link.spoken))
            return None
        return fitted

    async def _usable_link(self, *, fresh: bool) -> Link:
        """Return a session for one more transaction. Raises as `call_one` does, and _RetiredError."""
        link = self._link
        if link is not None:
            most = self._queue.bounds.messages_per_session
            worn = self._carried >= min(most, link.offers.limits.messages or most)
            if link.is_usable and not worn and not fresh:
                return link
            self._forget_link()
            await link.close()
        self._link = link = await call_one(self._queue, self._depot)
        self._queue.is_lost = False
        self._dialled()
        if self._queue.retired:
            raise _RetiredError
        return link

    async def _fail(self, parcels: list[Parcel], outcome: Outcome) -> None:
        """Leave it to the site's other connections; or, without any, settle all that wait.

        No session was to be had, for none of them: else each would dial in vain.
        """
        for parcel in parcels:
            parcel.items = self._claim.open_items(parcel)
        parcels = [parcel for parcel in parcels if parcel.items]
        if self._queue.retired:
            self._leave_to_another(parcels)
            return
        at = asyncio.get_running_loop().time()
        if self._queue.leave_to_others(at):
            for parcel in reversed(parcels):
                self._queue.put_back(parcel)
            self._is_over = True
            return
        self._queue.is_lost = True
        self._depot.resting.note(self._queue.key, outcome, at)
        await self._claim.settle_all_waiting(parcels, outcome)


def _is_ours(parcel: Parcel) -> bool:
    """Tell, before the final dot, whether anybody's lease still lasts (decision 10)."""
    return any(map(lasts, parcel.items))
