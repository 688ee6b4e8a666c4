"""Tell of certificates that end soon, as long as a node runs: a renewal that stays away is silent."""

import logging
from datetime import datetime, timedelta
from typing import Final

from gatepost.model.event import Event, EventKind
from gatepost.net import clock
from gatepost.net.counters import WorkerCounters
from gatepost.net.tls import FrontContexts
from gatepost.node.parts import Parts

_log = logging.getLogger(__name__)

#: Between two times that the same is told.
_AGAIN: Final = timedelta(days=1)


class CertificateWatch:
    """Looks for a whole node, in one of its workers, at what is shown there now."""

    def __init__(self, fronts: FrontContexts, counters: WorkerCounters, parts: Parts) -> None:
        self._fronts = fronts
        self._counters = counters
        self._parts = parts
        self._told: dict[str, datetime] = {}

    async def look(self) -> None:
        """Look once."""
        now = clock.now()
        shown = self._fronts.certificates
        self._counters.note_expiry(int(min(each.expires_at for each in shown).timestamp()))
        warned = {each.file: (each, words) for each in shown if (words := each.warning(now))}
        self._told = {file: at for file, at in self._told.items() if file in warned}
        for file, (each, words) in warned.items():
            if file in self._told and now - self._told[file] < _AGAIN:
                continue
            self._told[file] = now
            _log.warning("certificate %s", words)
            facts = {
                "file": file,
                "until": each.expires_at.isoformat(),
                "reason": words.removeprefix(f"{file}: "),
            }
            self._parts.recorder.record(Event(EventKind.CERTIFICATE_EXPIRING, now, facts=facts))
