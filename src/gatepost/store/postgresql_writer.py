"""The writer's hands in PostgreSQL: one connection, one transaction for each batch.

Statements that need no answer travel together (libpq's pipeline): a batch that only stores messages
costs one round trip, however many they are. Contents are rows of the same transaction.
"""

import logging
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

import psycopg
from psycopg import errors

from gatepost.model.ids import SubmissionId
from gatepost.store.envelope import Envelope
from gatepost.store.keeper import Content, Run
from gatepost.store.pending import Keeping
from gatepost.store.postgresql_clock import StoreClock
from gatepost.store.postgresql_connection import (
    TRY_AGAIN,
    Address,
    Connection,
    begin,
    connect,
    discard,
    said,
    store_trouble,
)
from gatepost.store.postgresql_doubt import Doubt, LostLeases, Traces
from gatepost.store.postgresql_lineage import is_of_an_old_primary
from gatepost.store.postgresql_pending import Kept, PostgresPending, kept
from gatepost.store.postgresql_positions import raise_positions
from gatepost.store.postgresql_still import end_still
from gatepost.store.postgresql_sweep import Swept
from gatepost.store.postgresql_transaction import PostgresTransaction
from gatepost.store.postgresql_watch import Watch
from gatepost.store.postgresql_words import statement, values
from gatepost.store.protocols import DiskFullError, StoreUnavailableError
from gatepost.store.rows import Row

_log = logging.getLogger(__name__)

#: How often a job is tried that others got in the way of.
_TRIES: Final = 6
_PAUSE: Final = 0.05
#: Seconds between looks for a transaction whose answer was lost: a server that lives ends it soon, a
#: standby takes over within a second or two.
_ASK_AGAIN: Final = (0.1, 0.3, 0.6)
_ASKED_FOR: Final = 2.0
#: Seconds after which a full disk is tried again.
_FULL_FOR: Final = 5.0
#: SQLSTATE of a warning that has no better one.
_WARNING: Final = "01000"


@dataclass(slots=True)
class Own:
    """How often this process has told news: those it need not hear. `lock` is held from before
    the commit until it is counted, and by who compares.
    """

    lock: Lock
    count: int = 0


class PostgresWriter:
    """`Keeper` over PostgreSQL. Opens its connection with its first batch."""

    def __init__(self, address: Address, keeping: Keeping, clock: StoreClock, watch: Watch) -> None:
        self._watch = watch
        self._address = address
        self._keeping = keeping
        self._clock = clock
        self._connection: Connection | None = None
        self._base = 0
        self._known_tables: set[str] = set()
        self.own = Own(Lock())
        self._full_until = 0.0
        #: The transaction whose COMMIT is on its way.
        self._doubt: Doubt | None = None
        self._last = Traces()
        self._lost = LostLeases()
        self._swept = Swept()
        self._unsure = ""

    @property
    def is_full(self) -> bool:
        """Whether the database has said lately that its disk is full."""
        return time.monotonic() < self._full_until

    # -- phase 1
    def keep(
        self, contents: Sequence[Content], _envelopes: Sequence[Envelope | None]
    ) -> Mapping[SubmissionId, Kept]:
        """Make contents ready to be written with their rows, beside which no envelope is needed."""
        if self.is_full:
            msg = "the database's disk is full"
            raise DiskFullError(msg)
        return {content[0]: kept(content[1]) for content in contents}

    # -- phase 2
    def commit(
        self, runs: Sequence[Run], places: Mapping[SubmissionId, Kept], *, is_logged: bool = False
    ) -> list[Any]:
        """Run jobs in one transaction, contents and all (so nothing is `is_logged` apart). Raises
        StoreUnavailableError, or what a job raised.
        """
        del is_logged
        for number in range(_TRIES):
            try:
                return self._commit(runs, places, is_careful=number > 0)
            except TRY_AGAIN as error:
                self._known_tables.clear()
                trouble: psycopg.Error = error
                if isinstance(error, errors.LockNotAvailable):
                    self._clear_the_way()
                if len(runs) > 1 and number:
                    raise  # each for itself, then
                if number:
                    time.sleep(random.uniform(0, _PAUSE * 2**number))  # noqa: S311 - no secret
            except psycopg.Error as error:
                if not number and is_of_an_old_primary(error):
                    self._forget()
                    trouble = error
                    continue
                doubt, self._doubt = self._doubt, None
                known = self._trouble(error)
                if doubt is not None and self._connection is None and self._took_place(doubt):
                    return doubt.results
                raise known from error
        raise StoreUnavailableError(said(trouble)) from trouble

    def _clear_the_way(self) -> None:
        """End whom we have waited for in vain, if it stands still."""
        connection = self._connection
        if connection is not None:
            try:
                with self._watch.over(connection):
                    end_still(connection)
            except psycopg.Error as error:
                _log.info("store: who holds what we wait for? %s", said(error))
                self._forget()

    def _took_place(self, doubt: Doubt) -> bool:
        """Find out whether a transaction was committed whose answer was lost with the connection."""
        end = time.monotonic() + _ASKED_FOR
        pauses = iter((0.0, *_ASK_AGAIN))
        while doubt.traces.are_plain and time.monotonic() < end:
            time.sleep(next(pauses, _ASK_AGAIN[-1]))
            try:
                connection = self._open()
                with self._watch.over(connection):
                    is_there = doubt.traces.are_in(connection) and self._outlives(connection)
                    if is_there:
                        self._await_standby(connection)
            except (psycopg.Error, StoreUnavailableError) as error:
                _log.info("store: what became of a commit? %s", said(error))
                self._forget()
                continue
            if is_there:
                _log.info("store: the answer to a commit was lost, and it had taken place")
                self._last = doubt.traces
                self._lost.found(doubt.traces.grants)
                return True
        self._lost.add(doubt.traces.grants)
        return False

    def _await_standby(self, connection: Connection) -> None:
        """Have what is there be as durable as a commit that was answered: what follows it is on the
        standby no sooner than it is. Raises psycopg.Error, StoreUnavailableError.
        """
        self._unsure = ""
        begin(connection)
        connection.execute(b"UPDATE counter SET value = value WHERE name = 'event'")
        connection.execute(b"COMMIT")
        self._insist(Traces())

    def _outlives(self, connection: Connection) -> bool:
        """Tell whether what is there is on the standby, too, if one is waited for: a commit is that
        comes behind it.
        """
        self._unsure = ""
        begin(connection)
        connection.execute(b"UPDATE counter SET value = value + 1 WHERE name = 'news'")
        connection.execute(b"COMMIT")
        return not self._unsure

    def disown(self) -> None:
        """Do nothing: what was kept and not committed is nowhere."""

    def sync(self) -> None:
        """Do nothing: what is committed is on the disk."""

    def sync_within(self) -> float | None:
        """Return None: all is on the disk."""
        return None

    def forsake(self, late: Sequence[int]) -> None:
        """Give back soon what was leased for jobs of the last commit that gave up."""
        self._lost.add(grant for number in late for grant in self._last.of_job(number))

    def _give_back_lost(self, connection: Connection) -> None:
        if self._lost.are_due:
            try:
                count = self._lost.give_back(connection)
            except BaseException:
                self._roll_back(connection)
                raise
            if count:
                _log.info("store: gave back %d leases that nobody knew of", count)

    def _trouble(self, error: psycopg.Error) -> Exception:
        trouble = store_trouble(error)
        if trouble is None:
            return error
        if isinstance(trouble, DiskFullError):
            self._full_until = time.monotonic() + _FULL_FOR
        self._forget()
        return trouble

    def _commit(
        self, runs: Sequence[Run], places: Mapping[SubmissionId, Kept], *, is_careful: bool
    ) -> list[Any]:
        self._address.lineage.await_look()
        connection = self._open()
        self._doubt = None
        with self._watch.over(connection):
            self._give_back_lost(connection)
            return self._run(connection, runs, places, is_careful=is_careful)

    def _run(
        self,
        connection: Connection,
        runs: Sequence[Run],
        places: Mapping[SubmissionId, Kept],
        *,
        is_careful: bool,
    ) -> list[Any]:
        wall, ahead = self._clock.now()
        self._unsure = ""
        try:
            with connection.pipeline():
                begin(connection)
                pending = PostgresPending(
                    self._execute,
                    self._base,
                    known_tables=self._known_tables,
                    now=wall + ahead,
                    keeping=self._keeping,
                )
                transaction = PostgresTransaction(pending, places, connection, ahead, self._swept)
                if is_careful:
                    transaction.look_for_known()
                results = [transaction.run(run) for run in runs]
                transaction.flush()
                if not transaction.told:
                    self._doubt = Doubt(transaction.traces, results)
                    connection.execute(b"COMMIT")
            if transaction.told:
                self._tell(connection, transaction, results)
            self._insist(transaction.traces)
        except BaseException:
            self._roll_back(connection)
            raise
        self._doubt, self._last = None, transaction.traces
        self._lost.found(transaction.traces.grants)
        return results

    def _hear(self, said: errors.Diagnostic) -> None:
        """Hear a warning. A commit whose wait for its standby was cancelled (by statement_timeout, or
        somebody's hand) ends well, with nothing but a warning.
        """
        if said.sqlstate == _WARNING:
            self._unsure = said.message_primary or "a warning"

    def _insist(self, traces: Traces) -> None:
        if self._unsure:
            self._lost.add(traces.grants)
            msg = f"PostgreSQL: the commit may not be on its standby: {self._unsure}"
            raise StoreUnavailableError(msg)

    def _tell(
        self, connection: Connection, transaction: PostgresTransaction, results: list[Any]
    ) -> None:
        with self.own.lock, connection.pipeline():
            transaction.tell()
            self._doubt = Doubt(transaction.traces, results)
            connection.execute(b"COMMIT")
            self.own.count += 1

    def _roll_back(self, connection: Connection) -> None:
        self._known_tables.clear()
        try:
            connection.execute(b"ROLLBACK")
        except psycopg.Error as error:
            _log.debug("store: rolling back: %s", said(error))
            self._forget()

    def _execute(self, sql: str, bindings: Iterable[Any]) -> Iterator[Row]:
        words = statement(sql)
        connection = self._open()
        return connection.rows(connection.execute(words.text, values(words, bindings)))

    def _open(self) -> Connection:
        if self._connection is None:
            connection = connect(self._address, self._watch)
            connection.add_notice_handler(self._hear)
            try:
                with self._watch.over(connection):
                    self._base = raise_positions(connection)
            except errors.UndefinedTable:
                discard(connection)
                # Made anew by no hand of ours, and mail would seem to be gone.
                msg = f"{self._address.where()} holds no tables of Gatepost"
                raise StoreUnavailableError(msg) from None
            except psycopg.Error:
                discard(connection)
                raise
            self._connection = connection
        return self._connection

    def _forget(self) -> None:
        """Close a connection that has had trouble: the next batch opens another."""
        connection, self._connection = self._connection, None
        self._known_tables.clear()
        discard(connection)

    def close(self) -> None:
        """Let go of everything."""
        self._forget()
