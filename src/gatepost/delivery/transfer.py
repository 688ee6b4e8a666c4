"""Room 7: dial or reuse, one pipelined transaction, an outcome for each recipient.

One `Courier` task serves one connection of a site: it claims parcels, has their attempts counted
durably, and carries one after the other.
"""

import asyncio
import logging
from collections.abc import Sequence

from gatepost.delivery import maildir
from gatepost.delivery.calls import OUR_FAULT, call_one
from gatepost.delivery.contents import Content
from gatepost.delivery.depot import Depot
from gatepost.delivery.envelopes import are_ascii, envelope_of
from gatepost.delivery.fitting import (
    OF_MAILDIR,
    Fitted,
    Unfit,
    fit,
    is_as_it_is,
)
from gatepost.delivery.lending import Loans
from gatepost.delivery.link import Link
from gatepost.delivery.link_parts import LinkFailedError
from gatepost.delivery.parcel import Item, Parcel, within
from gatepost.delivery.resting import is_called_for, put_off
from gatepost.delivery.site import Kind
from gatepost.delivery.site_queue import SiteQueue
from gatepost.model.delivery import Outcome, OutcomeKind
from gatepost.model.ids import DeliveryId
from gatepost.net.dialer import SourceMissingError
from gatepost.queue.expiry import is_expired
from gatepost.returns.outcome import (
    LOCAL_TROUBLE,
    NEEDS_UTF8,
    came_to_nothing,
    deferred,
    refused,
    says_too_many_recipients,
)
from gatepost.returns.settlement import Result
from gatepost.store.protocols import ContentAwayError, StoreUnavailableError
from gatepost.wire.smtp.client_events import Verdict
from gatepost.wire.smtp.extensions import NO_LIMITS, Limits
from gatepost.wire.smtp.reply_reader import ServerReply

_log = logging.getLogger(__name__)

#: So many parcels that wait are asked whose they are.
_ASKED = 500

#: As where a session ends before its final dot: what neighbours may have taken waits for its turn.
_IN_DOUBT = deferred(LOCAL_TROUBLE, "a neighbour may have taken it over; nothing was stored")


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
        self._claimed: list[Parcel] = []
        #: What of the present claim has its outcome, or is queued again.
        self._ended: set[DeliveryId] = set()
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
                self._claimed = parcels = queue.claim()
                if not parcels:
                    if self._link is None or not await queue.wait():
                        break
                    continue
                self._ended.clear()
                if self._link is None and self._rests(parcels):
                    continue
                try:
                    await self._carry_all(parcels)
                except Exception:  # noqa: BLE001 - whatever a stranger makes us trip over
                    _log.exception("deliveries to %s failed", queue.site.key)
                    self._put_aside(self._claimed)
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
            self._settle([i for i in parcel.items if i.id not in self._ended], OUR_FAULT)

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
                self._settle(parcel.items, content)
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
                await self._store_in_maildirs(parcel, content)
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
        self._end_expired(parcels)
        parcels = await self._borrow(parcels)
        try:
            await self._count([i for p in parcels for i in p.items if not i.counted])
            missing = [p.submission.id for p in parcels if p.pieces is None and p.items]
            contents = await self._loans.contents(missing, self._depot.contents.of)
        except ContentAwayError as away:
            self._without_contents(parcels, f"no stored content can be read: {away}")
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

    def _without_contents(self, parcels: list[Parcel], why: str) -> None:
        """Put off what no content is to be had for; end it where that, and its time, is long over."""
        if self._depot.contents.are_lost:
            at = self._depot.now()
            for parcel in parcels:
                self._end(parcel, [i for i in parcel.items if i.leased.delivery.expires_at <= at])
        self._depot.untried([i for p in parcels for i in p.items], why)

    async def _borrow(self, parcels: list[Parcel]) -> list[Parcel]:
        """Return those parcels for whose contents there is room; the others wait for it."""
        lots = await self._loans.lots(parcels)
        for parcel in reversed(lots.behind):
            self._put_back(parcel)
        for parcel in lots.without:
            self._without_room(parcel)
        return lots.ready

    def _without_room(self, parcel: Parcel) -> None:
        """Put off a large message while its account has many of them in memory."""
        self._ended.update(item.id for item in parcel.items)
        self._depot.untried(parcel.items, "large messages of its account are on their way")
        parcel.items = []

    def _end_expired(self, parcels: list[Parcel]) -> None:
        """End what has waited here beyond its time: a slow site must not make old mail older."""
        at = self._depot.now()
        for parcel in parcels:
            self._end(parcel, [i for i in parcel.items if is_expired(i.leased.delivery, at)])

    def _end(self, parcel: Parcel, late: list[Item]) -> None:
        for item in late:
            self._ended.add(item.id)
            self._depot.settle(Result(item.leased, None, attempted=False, expired=True))
        if late:
            parcel.items = [i for i in parcel.items if i not in late]

    async def _count(self, items: list[Item]) -> None:
        ours: set[DeliveryId] = await self._depot.attempts.begin([i.held for i in items])
        for item in items:
            item.counted = True
            item.is_ours = item.is_ours and item.id in ours

    # -- SMTP and LMTP

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
                self._settle_each(parcel, verdicts, link)
            raise
        if reused and not parcel.fresh and not link.is_usable and came_to_nothing(verdicts):
            # The other side had hung up before it read a word: that is no failure (RFC 5321
            # §4.5.3.2.7), and the attempt has been counted.
            parcel.fresh = True
            self._put_back(parcel)
            return
        self._carried += 1
        if self._queue.is_strange and link.is_usable:
            self._queue.is_no_stranger()
        again = self._settle_each(parcel, verdicts, link)
        if again:
            parcel.items = again
            for item in again:
                item.counted = False
            self._put_back(parcel)
        if not (reused or link.is_usable) and came_to_nothing(verdicts):
            if self._queue.barren.note(parcel.submission.account or "", self._whose()):
                raise LinkFailedError(link.outcome(verdicts[0]))
        else:
            self._queue.barren.clear()

    def _whose(self) -> set[str]:
        """Return whose mail waits here, of the first that wait, or is in this claim."""
        owners = self._queue.owners(_ASKED)
        mine = {parcel.submission.account or "" for parcel in self._claimed}
        return {owner.account for owner in owners} | mine

    def _put_back(self, parcel: Parcel) -> None:
        """Queue a parcel again; what becomes of it is no matter of this claim any more."""
        self._ended.update(item.id for item in parcel.items)
        self._queue.put_back(parcel)

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
            self._settle(foreign, refused(NEEDS_UTF8, words, link.spoken))
            parcel.items = [i for i in parcel.items if i.hop.forward_path.isascii()]
        is_copied = not is_as_it_is(parcel.submission, link.offers)
        if is_copied and not await self._loans.copy(parcel.submission):
            self._without_room(parcel)
            return None
        fitted = await fit(parcel.submission, content, link.offers, self._depot.sign_again)
        if isinstance(fitted, Unfit):
            self._settle(parcel.items, refused(fitted.status, fitted.words, link.spoken))
            return None
        return fitted

    def _settle_each(self, parcel: Parcel, verdicts: Sequence[Verdict], link: Link) -> list[Item]:
        """Settle each recipient; return those that only lacked room in this transaction."""
        again: list[Item] = []
        took_some = any(isinstance(v, ServerReply) and v.code // 100 == 2 for v in verdicts)
        for item, verdict in zip(parcel.items, verdicts, strict=True):
            if took_some and isinstance(verdict, ServerReply) and says_too_many_recipients(verdict):
                again.append(item)
            else:
                self._ended.add(item.id)
                self._depot.settle(Result(item.leased, link.outcome(verdict)))
        return again

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
            parcel.items = [item for item in parcel.items if item.id not in self._ended]
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
        waiting = self._queue.claim_all()
        self._claimed += waiting
        try:
            await self._count([i for p in waiting for i in p.items if not i.counted])
        except StoreUnavailableError:
            self._depot.release([i for p in waiting for i in p.items], "the store is away")
            waiting = []
        for parcel in (*parcels, *waiting):
            self._settle(parcel.items, outcome)

    def _settle(self, items: Sequence[Item], outcome: Outcome) -> None:
        for item in items:
            self._ended.add(item.id)
            if item.is_ours or outcome.kind is OutcomeKind.DELIVERED:
                self._depot.settle(Result(item.leased, outcome))
            else:
                self._depot.release((item,), "")

    # -- maildirs

    async def _store_in_maildirs(self, parcel: Parcel, content: Sequence[bytes]) -> None:
        loop = asyncio.get_running_loop()
        self._dialled()
        hostname = self._depot.around.ourselves.hostname
        fitted = await fit(parcel.submission, content, OF_MAILDIR, self._depot.sign_again)
        if isinstance(fitted, Unfit):
            self._settle(parcel.items, refused(fitted.status, fitted.words))
            return
        for position, item in enumerate(parcel.items):
            if not (self._depot.is_heard() and _lasts(item)):
                self._settle(parcel.items[position:], _IN_DOUBT)
                return
            lines = maildir.header_lines(
                parcel.submission.reverse_path, item.leased.delivery.forward_path
            )
            name = f"{item.id}.{hostname}"
            outcome = await loop.run_in_executor(
                self._depot.files,
                maildir.deliver,
                self._queue.site.directory,
                item.hop.mailbox,
                name,
                lines,
                fitted.pieces,
            )
            self._settle((item,), outcome)


def _is_ours(parcel: Parcel) -> bool:
    """Tell, before the final dot, whether anybody's lease still lasts (decision 10)."""
    return any(map(_lasts, parcel.items))


def _lasts(item: Item) -> bool:
    """Tell whether a lease is ours and surely lasts."""
    return item.is_ours and asyncio.get_running_loop().time() < item.until
