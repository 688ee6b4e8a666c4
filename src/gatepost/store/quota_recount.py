"""Messages that were accepted, and whose counts a damaged database has lost with their rows, count anew."""

from collections.abc import Sequence
from typing import Any, Final

import apsw

from gatepost.model.ids import WorkerId
from gatepost.model.quota import Subject
from gatepost.store.envelope import Envelope
from gatepost.store.quota_protocols import Spending
from gatepost.store.quota_table import TALLIES, Standing, write_spendings
from gatepost.store.rows import Row, as_json

#: Whose lease it is taken from: who drew it is gone, and a node that starts frees what he held.
NOBODY: Final = WorkerId("")
#: Messages that are counted together.
_AT_ONCE: Final = 1000


def spendings_of(envelope: Envelope) -> list[Spending]:
    """Return what a message that comes back counts, as its envelope says, at the time of its acceptance."""
    at, cost = envelope.submission.received_at, len(envelope.deliveries)
    return [Spending(subject, NOBODY, at, 1, cost) for subject in envelope.counted]


class Recount:
    """Counts in `target`, within its transaction."""

    def __init__(self, target: apsw.Connection) -> None:
        self._target = target
        self._waiting: list[Spending] = []

    def add(self, envelope: Envelope) -> None:
        """Count a message. Raises apsw.Error."""
        self._waiting += spendings_of(envelope)
        if len(self._waiting) >= _AT_ONCE:
            self.write()

    def write(self) -> None:
        """Write what was added. Raises apsw.Error."""
        if self._waiting:
            write_spendings(self._standing, self._execute, self._waiting)
            self._waiting = []

    def _standing(self, subjects: list[Subject]) -> Standing:
        return Standing(self._execute(TALLIES, (as_json(subjects),)), ())

    def _execute(self, sql: str, bindings: Sequence[Any]) -> Sequence[Row]:
        return self._target.execute(sql, bindings).fetchall()
