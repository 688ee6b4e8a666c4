"""Will DMARC let this through? Asked before a message leaves, by what it will show (design §7).

Verdicts are kept by what they depend on (the author's domain, who signs, where returns go), so that
nearly every message costs one look into a table. The DNS holds up the first of a kind for a moment
at most; what it does not say is `unknown`, and goes out.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gatepost.model.event import Event, EventKind, Fact
from gatepost.model.settings import AlignmentSettings
from gatepost.net.dns_steps import evaluated
from gatepost.net.resolver import Resolver
from gatepost.reception.accept import Accepted
from gatepost.reception.brought import verdicts as signatures
from gatepost.wire.dkim.verify import DkimResult
from gatepost.wire.message.addresses import a_labels
from gatepost.wire.records.dmarc_foresight import Alignment, Departure, Foreseen, foresee
from gatepost.wire.smtp.replies import NOT_ALIGNED, Reply
from gatepost.wire.values import changed

#: Seconds that acceptance waits for the DNS at most.
PATIENCE: Final = 2.0
#: Seconds that a verdict is believed; one that could not be had is tried again sooner.
_BELIEVED: Final = 300.0
_UNKNOWN_FOR: Final = 30.0
#: Seconds in which an older verdict still serves while a new one is asked for.
_STALE: Final = 600.0
#: Seconds between two warnings about the same thing.
_WARNED_FOR: Final = 3600.0
_MOST_KEPT: Final = 10_000
#: From with authors in more domains is judged by the first of them.
_MOST_AUTHORS: Final = 4
_WORST_FIRST: Final = (Alignment.UNALIGNED, Alignment.UNKNOWN, Alignment.ALIGNED)


@dataclass(slots=True)
class _Kept:
    """A verdict, the author's organisational domain as providers will count it, until when both are
    believed, and from when one may warn of it again.
    """

    foreseen: Foreseen
    organizational: str
    until: float
    warn_from: float = 0.0


class Gate:
    """Judges submissions. One per worker, used from one event loop."""

    def __init__(
        self,
        resolver: Resolver,
        settings: AlignmentSettings,
        hostname: str,
        record: Callable[[Event], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        patience: float = PATIENCE,
    ) -> None:
        """Take what writes events that belong to no transaction."""
        self._resolver = resolver
        self._settings = settings
        self._hostname = hostname
        self._record = record
        self._clock = clock
        self._patience = patience
        self._kept: dict[Departure, _Kept] = {}
        self._flights: dict[Departure, asyncio.Task[_Kept]] = {}

    async def judge(self, accepted: Accepted) -> Accepted | Reply:
        """Return a submission, its event telling what DMARC will see, or the reply that refuses it
        where its author's domain is held to alignment.
        """
        departures = self._departures(accepted)
        if not departures:
            return accepted
        verdicts = [await self._kept_or_new(departure) for departure in departures]
        worst = _worst(verdicts)
        if accepted.brought and worst.foreseen.alignment is not Alignment.ALIGNED:
            worst = await self._with_brought(accepted, departures, worst)
        foreseen = worst.foreseen
        if foreseen.alignment is Alignment.UNALIGNED:
            mode = self._settings.mode_for(foreseen.departure.author)
            if mode == "enforce":
                return refusal(foreseen)
            if mode == "warn" and not accepted.is_trial:
                self._warn(accepted, worst)
        facts = {**accepted.event.facts, "alignment": foreseen.words}
        return changed(
            accepted,
            event=changed(accepted.event, facts=facts),
            organizational=verdicts[0].organizational,
        )

    async def _with_brought(
        self, accepted: Accepted, departures: list[Departure], worst: _Kept
    ) -> _Kept:
        """Return the verdict with those signatures that came with the message and hold. They are
        looked at only where they decide; where nobody knows their keys now, neither do we.
        """
        loop = asyncio.get_running_loop()
        pieces = accepted.pieces[1:] if accepted.signed_by else accepted.pieces  # without ours
        now = int(accepted.submission.received_at.timestamp())
        found = await signatures(
            b"".join(pieces), self._resolver, now, loop.time() + self._patience
        )
        good = [v.signature.domain for v in found if v.signature and v.result is DkimResult.PASS]
        if good:
            worst = _worst([await self._kept_or_new(_also(each, good)) for each in departures])
        unsure = [
            v.signature.domain for v in found if v.signature and v.result is DkimResult.TEMPORARY
        ]
        if not unsure or worst.foreseen.alignment is not Alignment.UNALIGNED:
            return worst
        perhaps = [await self._kept_or_new(_also(d, [*good, *unsure])) for d in departures]
        if _worst(perhaps).foreseen.alignment is Alignment.UNALIGNED:
            return worst
        return replace(worst, foreseen=replace(worst.foreseen, alignment=Alignment.UNKNOWN))

    async def _kept_or_new(self, departure: Departure) -> _Kept:
        """Return the verdict. Only the first message of a kind waits for it: later ones take the
        former verdict while a newer one is on its way.
        """
        kept, at = self._kept.get(departure), self._clock()
        if kept is not None and kept.until > at:
            return kept
        flight = self._flights.get(departure)
        if flight is None:
            flight = asyncio.get_running_loop().create_task(self._ask(departure))
            self._flights[departure] = flight
            flight.add_done_callback(lambda _: self._flights.pop(departure, None))
        if kept is not None and kept.until + _STALE > at:
            return kept
        return await asyncio.shield(flight)

    async def _ask(self, departure: Departure) -> _Kept:
        try:
            async with asyncio.timeout(self._patience):
                foreseen = await evaluated(foresee(departure), self._resolver)
        except TimeoutError:
            foreseen = Foreseen(Alignment.UNKNOWN, departure)
        known = foreseen.alignment is not Alignment.UNKNOWN
        until = self._clock() + (_BELIEVED if known else _UNKNOWN_FOR)
        former = self._kept.get(departure)
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        fresh = _Kept(
            foreseen, _organizational(foreseen), until, former.warn_from if former else 0.0
        )
        self._kept[departure] = fresh
        return fresh

    def _warn(self, accepted: Accepted, kept: _Kept) -> None:
        at = self._clock()
        if kept.warn_from > at:
            return
        kept.warn_from = at + _WARNED_FOR
        submission, foreseen = accepted.submission, kept.foreseen
        facts: dict[str, Fact] = {
            "domain": foreseen.departure.author,
            "reason": foreseen.words,
            "mend": foreseen.mend,
        }
        self._record(
            Event(
                EventKind.ALIGNMENT_WARNED,
                submission.received_at,
                submission.id,
                account=submission.account,
                facts=facts,
            )
        )

    def _departures(self, accepted: Accepted) -> list[Departure]:
        """Return what the message will show, once for each of its authors' domains."""
        if not accepted.authors or accepted.submission.account is None:
            return []
        # A null reverse-path is checked by the name in EHLO (RFC 7208 §2.4), which is ours.
        returns = _domain(accepted.submission.reverse_path) or self._hostname
        authors = dict.fromkeys(map(_domain, accepted.authors[:_MOST_AUTHORS]))
        return [Departure(author, accepted.signed_by, returns) for author in authors if author]


def _worst(verdicts: list[_Kept]) -> _Kept:
    return min(verdicts, key=lambda kept: _WORST_FIRST.index(kept.foreseen.alignment))


def _also(departure: Departure, domains: Sequence[str]) -> Departure:
    return changed(departure, dkim=tuple(dict.fromkeys((*departure.dkim, *domains))))


def _organizational(foreseen: Foreseen) -> str:
    """Return the author's organisational domain by DMARC's records; without any, the sending domain
    that signs, or the author's own.
    """
    if foreseen.applicable is not None:
        return foreseen.organizational
    author, signers = foreseen.departure.author, foreseen.departure.dkim
    return next((d for d in signers if f".{author}".endswith(f".{d}")), author)


def refusal(foreseen: Foreseen) -> Reply:
    """Return the reply that names what is not aligned, and what to publish."""
    seen = foreseen.departure
    signed = ", ".join(seen.dkim) or "nobody"
    about = f"From {seen.author}, signed by {signed}, returns to {seen.return_path}"
    first = NOT_ALIGNED.about(about)
    return first.say(f"{first.text}\n{foreseen.mend}"[:480])


def _domain(address: str) -> str:
    name = address.rpartition("@")[2]
    return name.lower() if name.isascii() else (a_labels(name) or "")
