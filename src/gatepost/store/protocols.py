"""What every store promises, whichever database is beneath it.

Writes are *jobs*: plain functions that get a Transaction and run in the store's writer thread.
Jobs that arrive together are committed together (group commit), and nobody hears of a job before
it would survive kill -9 and power loss. A job may be run twice (when a neighbour in its batch
failed), so it must have no effect but those through its Transaction.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from gatepost.model.delivery import Delivery, DeliveryState, Leased, Outcome
from gatepost.model.event import Event
from gatepost.model.ids import DeliveryId, SubmissionId
from gatepost.model.lane import LANES, Lane
from gatepost.model.submission import Submission
from gatepost.model.suppression import Suppression
from gatepost.store.account_protocols import ChangesAccounts, ReadsAccounts
from gatepost.store.api_keys import ChangesApiKeys, ReadsApiKeys
from gatepost.store.bulk import CountsBulk, ReadsBulk
from gatepost.store.domain_claims import ReadsDomainClaims, WritesDomainClaims
from gatepost.store.domain_looks import ReadsDomainLooks, WritesDomainLooks
from gatepost.store.domains import ChangesDomains, ReadsDomains
from gatepost.store.envelope import Envelope
from gatepost.store.foreign_uses import NotesForeignUses, ReadsForeignUses
from gatepost.store.guessing_protocols import ChangesGuesses, ReadsGuesses
from gatepost.store.history_protocols import HistoryChanges, HistoryReading
from gatepost.store.kept_keys import ChangesKeptKeys, ReadsKeptKeys
from gatepost.store.later import ReadsLater
from gatepost.store.leases import ANY_NODE, Held, Lease
from gatepost.store.notices import NoticeKind, ReadsNotices, StrikesNotices
from gatepost.store.outbox import AddsEvents, ReadsEvents
from gatepost.store.pauses import ChangesPauses, ReadsPauses
from gatepost.store.pools import LeasesOfPools, ReadsPools
from gatepost.store.presences import ChangesPresences, ReadsPresences
from gatepost.store.queue_view import Matching, QueueFilter, QueueRow, Stretch
from gatepost.store.quota_protocols import QuotaChanges, QuotaReading
from gatepost.store.readers import AdvancesReaders
from gatepost.store.suppressions import ChangesSuppressions, ReadsSuppressions
from gatepost.store.turns import LeasesInTurn, ReadsTurns
from gatepost.wire.values import value

T = TypeVar("T")


class StoreUnavailableError(Exception):
    """The store cannot be used now: locked, gone, read-only or broken. Worth a try later.

    `mend`: what its operator may do, where that is known.
    """

    def __init__(self, *said: str, mend: str = "") -> None:
        super().__init__(*said)
        self.mend = mend


class StoreAwayError(StoreUnavailableError):
    """Nobody answers for the store, or not yet: it may come by itself."""


class ContentAwayError(StoreUnavailableError):
    """No content at all can be read, though rows can: say its disk is not mounted."""


class DiskFullError(StoreUnavailableError):
    """No space (or no inode) left, or less than the reserve we keep."""


class NotLeasedError(StoreUnavailableError):
    """One job spends what its worker does not hold of a quota any more; its neighbours in a batch may go on."""


class NewerDatabaseError(Exception):
    """The database was written by a newer Gatepost; nothing was touched."""


@value(frozen=True, slots=True)
class Settlement:
    """What became of one leased delivery, written with its events in one transaction.

    `state` DUE means: again at `next_attempt_at`, because of `reason`. A final state closes the
    delivery; with the last one of a submission its content is let go. `notice` is what the sender
    is to be told (decision 11); WARNING marks the delivery as warned of.
    """

    held: Held
    state: DeliveryState
    outcome: Outcome | None
    events: Sequence[Event]
    next_attempt_at: datetime | None = None
    reason: str = ""
    notice: NoticeKind | None = None
    #: The recipient is gone for good: nothing is sent there again, unless it is listed already.
    suppression: Suppression | None = None
    #: Of which message it is, and where its recipient is; for those who are told what was settled.
    submission: Submission | None = None
    destination: str = ""


class Reading(
    ReadsAccounts,
    ReadsGuesses,
    ReadsForeignUses,
    ReadsTurns,
    ReadsDomainLooks,
    ReadsDomainClaims,
    QuotaReading,
    HistoryReading,
    ReadsSuppressions,
    ReadsBulk,
    ReadsKeptKeys,
    ReadsApiKeys,
    ReadsPresences,
    ReadsLater,
    ReadsPools,
    ReadsPauses,
    ReadsNotices,
    ReadsDomains,
    ReadsEvents,
    Protocol,
):
    """What can be asked of a store. Also the reading half of a Transaction."""

    def submission(self, submission_id: SubmissionId) -> Submission | None:
        """Return one submission, finished ones included while retention keeps them."""
        ...

    def deliveries(
        self, which: QueueFilter, *, limit: int, after: DeliveryId | None = None
    ) -> list[QueueRow]:
        """Return matching deliveries in order of their ids (oldest first), finished ones too
        when `which.states` names a final state or `which.id` names one. `after` pages on."""
        ...

    def matching(self, which: QueueFilter) -> Matching:
        """Count matching deliveries that are not finished."""
        ...

    def stretch(
        self, which: QueueFilter, *, after: DeliveryId | None, until: DeliveryId, limit: int
    ) -> Stretch:
        """Return the next matching deliveries that are not finished, behind `after` up to `until`,
        `limit` at most. It looks at some thousands of the queue at most, however few match."""
        ...

    def queue_depth(self) -> dict[DeliveryState, int]:
        """Return how many deliveries stand in each state that is not final, and CAPTURED."""
        ...

    def next_due_at(
        self, lanes: Iterable[Lane] = LANES, pools: Sequence[str] = ANY_NODE
    ) -> datetime | None:
        """Return when the next delivery of these lanes and pools falls due; None where none waits."""
        ...

    def content(self, submission_id: SubmissionId) -> bytes | None:
        """Return the stored octets, None when they are gone. Raises ContentDamagedError when
        the checksum does not hold, ContentUnreadableError, ContentAwayError."""
        ...

    def find_submissions(self, text: str, *, limit: int = 20) -> list[SubmissionId]:
        """Return submissions whose id begins with, or whose Message-ID or a recipient is, `text`;
        newest first."""
        ...


class Transaction(
    Reading,
    ChangesAccounts,
    ChangesGuesses,
    NotesForeignUses,
    LeasesInTurn,
    WritesDomainLooks,
    WritesDomainClaims,
    QuotaChanges,
    HistoryChanges,
    ChangesSuppressions,
    CountsBulk,
    ChangesKeptKeys,
    ChangesApiKeys,
    ChangesPresences,
    AdvancesReaders,
    LeasesOfPools,
    ChangesPauses,
    StrikesNotices,
    ChangesDomains,
    AddsEvents,
    Protocol,
):
    """What a job may change. All of it happens, or none."""

    # -- rooms 4 and 5
    def add_deliveries(
        self, submission: Submission, deliveries: Sequence[Delivery], lease: Lease | None = None
    ) -> list[Leased]:
        """Add a submission's row and its deliveries; its content was given to `Store.write`.

        With `lease` the DUE ones among them are handed straight to that worker and returned as
        Leased (leases=1); one whose state is final is closed at once. A submission id that is
        already there changes nothing and returns [].
        """
        ...

    def lease_due(
        self,
        now: datetime,
        lease: Lease,
        *,
        limit: int,
        within: Mapping[Lane, int] | None = None,
        ended: bool = True,
    ) -> list[Leased]:
        """Lease deliveries that are due (or, with `ended`, whose lease has ended): by lane as `deal`
        deals them, the most urgent first, and within a lane oldest due first, each of the lease's
        pools having an equal share. `within` bounds each lane.
        """
        ...

    def begin_attempts(self, held: Iterable[Held]) -> set[DeliveryId]:
        """Count an attempt for each delivery still held; return which are."""
        ...

    def renew(self, held: Iterable[Held], until: datetime) -> set[DeliveryId]:
        """Prolong leases; return those still held."""
        ...

    def give_back(self, held: Iterable[Held], at: datetime, reason: str) -> None:
        """Hand deliveries back unattempted: due again at `at`, because of `reason`."""
        ...

    def free_leases(self, worker_prefix: str) -> int:
        """Make due at once what workers whose id begins with `worker_prefix` held; how many."""
        ...

    def hasten(self, later_than: datetime, at: datetime) -> int:
        """Make due at `at` what was tried and is due only after `later_than`, further ahead than
        any retry is: a clock was set back. Return how many."""
        ...

    def settle(self, settlements: Iterable[Settlement]) -> set[DeliveryId]:
        """Write outcomes with their events; return those whose lease was still ours. A lost
        lease changes nothing and writes no event; but what was delivered is so while nobody has
        leased it since (held meanwhile, or free again), and is told of what was cancelled.
        """
        ...

    # -- operator verbs on the queue
    def change_queue(
        self,
        ids: Sequence[DeliveryId],
        states: Sequence[DeliveryState],
        to: DeliveryState,
        now: datetime,
    ) -> list[DeliveryId]:
        """Hold (DUE, LEASED -> HELD), release or retry (HELD, DUE -> DUE now), or cancel
        (not final -> CANCELLED) those deliveries that are in one of `states` still; return which
        they were, in order. A leased one that is held or cancelled loses its lease: the worker's
        settle will change nothing, but for what was delivered; released before that lease would have
        ended, it has it again. What was held past its time for trying has what
        it had left when it was due, an hour at least. What was never tried and waits for its time waits on when it was held; else
        it is due now, and is tried as long as it would have been. It costs a few statements,
        whatever the number of ids."""
        ...


class Store(Protocol):
    """One database, used from one event loop."""

    async def write(
        self,
        job: Callable[[Transaction], T],
        content: tuple[SubmissionId, Sequence[bytes]] | None = None,
        envelope: Envelope | None = None,
    ) -> T:
        """Run a job, committed with its neighbours, and return what it returned once durable.

        `content` (pieces in order) is made durable before the job's rows. Where it lies apart from
        them, `envelope` stands beside it, so that rows that are destroyed can be made anew.

        Raises:
            StoreUnavailableError: nothing of this job was written.
            Exception: whatever the job raised; nothing of it was written.

        """
        ...

    async def read(self, query: Callable[[Reading], T]) -> T:
        """Run a query on a consistent snapshot, off the event loop.

        Raises:
            StoreUnavailableError: the database cannot be read.

        """
        ...

    async def data_version(self) -> int:
        """Return a number that changes when *another* process has committed."""
        ...

    async def free_space(self) -> int:
        """Return the octets that may still be written before DiskFullError."""
        ...

    def gets_on(self) -> bool:
        """Tell whether what was given gets on, or waits for the world (a disk, a server, a lock that
        others hold). False again and again: it never will. To be asked about once a second.
        """
        ...

    async def rest(self) -> None:
        """Let go of a file of some age, so that housekeeping can empty it; `tidy` does so, too."""
        ...

    async def tidy(self, now: datetime) -> None:
        """Do the node's housekeeping if no neighbour does: retention, segments, checkpoints."""
        ...

    async def close(self) -> None:
        """Finish what was given, then close."""
        ...


class ContentDamagedError(Exception):
    """Stored content does not match its checksum, or its segment is missing."""


class ContentUnreadableError(ContentDamagedError):
    """The disk does not give this content, though it gives others: it may yet be mended."""
