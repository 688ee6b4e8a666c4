"""Sudden change in what a credential does: volume, addresses that do not exist, new networks.

Pure: a history and what is new in, a history and perhaps the reason for a hold out. It is compared
with the credential's own busiest hours of the last 30 days, so that a campaign like the last one
trips nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from gatepost.model.delivery import Outcome
from gatepost.model.history import Busiest, Gone, History, Hold

_MINUTE: Final = 60
_DAY: Final = 86_400
#: Days that are remembered, and networks.
DAYS: Final = 30
NETWORKS: Final = 256
#: Organisations whose refusals are remembered for an hour. (Each counts one at least: long before so
#: many, `Bounds.refused` of the default is reached.)
_ORGANISATIONS: Final = 256
_HOUR: Final = 60
#: Of so many at least they must be for a hold: no fewer are a list that somebody bought, or guessed.
_ORGANISATIONS_AT_LEAST: Final = 10
#: RFC 3463 §3.2: the reverse-path's mailbox, and its domain, are what is wrong.
_OF_THE_SENDER: Final = frozenset({"5.1.7", "5.1.8"})
#: A surge that began before midnight must not be measured by itself.
_SAME_SURGE: Final = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Bounds:
    """When a credential is held. `recipients`, `refused` and `networks` are how many in an hour
    nobody is held for; `factor` is how many times its busiest hour is sudden; `share` is which
    part of what ended was refused, in percent; `known_for` is how old a history is that tells
    what is usual.
    """

    recipients: int = 1000
    factor: int = 10
    refused: int = 100
    share: int = 30
    networks: int = 20
    known_for: timedelta = timedelta(days=7)

    @property
    def share_of_one(self) -> int:
        """How many recipients of one organisation, in an hour, count as refused: else whoever owns a
        domain could hold a shop's login, by typing addresses that he does not have into its forms.
        """
        return max(1, -(-self.refused // _ORGANISATIONS_AT_LEAST))


_BOUNDS: Final = Bounds()


@dataclass(slots=True)
class News:
    """What a credential did since its history was written. `refused`: recipients that do not exist,
    by their organisation (`organisation_of`).
    """

    recipients: int = 0
    ended: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    networks: set[str] = field(default_factory=set)

    def note_refused(self, whose: str, count: int = 1) -> None:
        """Take note of recipients of one organisation that do not exist."""
        self.refused[whose] = self.refused.get(whose, 0) + count

    def plus(self, later: "News") -> "News":
        """Return both together."""
        both = News(
            self.recipients + later.recipients,
            self.ended + later.ended,
            dict(self.refused),
            self.networks | later.networks,
        )
        for whose, count in later.refused.items():
            both.note_refused(whose, count)
        return both


def learn(history: History, news: News, at: datetime, bounds: Bounds = _BOUNDS) -> History:
    """Return the history with what is new in it."""
    seconds = int(at.timestamp())
    minute, day = seconds // _MINUTE, seconds // _DAY
    strange = news.networks - history.networks.keys()
    gone, refused = _counted(history.gone, news.refused, minute, bounds.share_of_one)
    beyond = sum(news.refused.values()) - refused
    learned = replace(
        history,
        recipients=history.recipients.plus(minute, news.recipients),
        ended=history.ended.plus(minute, max(0, news.ended - beyond)),
        refused=history.refused.plus(minute, refused),
        gone=gone,
        strange=history.strange.plus(minute, len(strange)),
        networks=_seen(history.networks, news.networks, day),
    )
    return replace(learned, days=_busiest(learned, minute, day))


def _counted(
    gone: Mapping[str, Gone], refused: Mapping[str, int], minute: int, most: int
) -> tuple[dict[str, Gone], int]:
    """Return how much of each organisation's share is used now, and how many of `refused` count."""
    kept = {whose: each for whose, each in gone.items() if 0 <= minute - each.since < _HOUR}
    counted = 0
    for whose, count in refused.items():
        former = kept.pop(whose, None) or Gone(minute, 0)
        new = min(count, max(most - former.count, 0))
        kept[whose] = Gone(former.since, former.count + new)
        counted += new
    return dict(list(kept.items())[-_ORGANISATIONS:]), counted


def alarm(history: History, at: datetime, bounds: Bounds) -> str | None:
    """Return why this credential should be held, in words; None: it does what it usually does."""
    minute = int(at.timestamp()) // _MINUTE
    ended, refused = history.ended.used(minute), history.refused.used(minute)
    if refused >= bounds.refused and refused * 100 >= bounds.share * ended:
        return f"{refused} of {ended} recipients in an hour do not exist"
    if at - history.first_at < bounds.known_for:
        return None
    usual = _usual(history, at)
    sent = history.recipients.used(minute)
    if sent > max(bounds.recipients, bounds.factor * usual.recipients):
        return f"{sent} recipients in an hour, its busiest was {usual.recipients}"
    strange = history.strange.used(minute)
    if strange > max(bounds.networks, bounds.factor * usual.networks):
        return f"{strange} new networks in an hour, its most were {usual.networks}"
    return None


def released(history: History, at: datetime) -> History:
    """Return a history after somebody has said that all is well: what was sudden is usual now."""
    minute = int(at.timestamp()) // _MINUTE
    day = int((at - _SAME_SURGE).timestamp()) // _DAY - 1
    usual = Busiest(day, history.recipients.used(minute), history.strange.used(minute))
    days = tuple(each for each in history.days if each.day != day)
    before = next((each for each in history.days if each.day == day), Busiest(day))
    empty = History(history.credential, history.account, history.first_at)
    days = tuple(sorted((*days, _larger(before, usual)), key=lambda each: each.day))
    return replace(empty, days=days[-DAYS:], networks=history.networks)


def held(history: History, because: str, at: datetime) -> History:
    """Return a history with a hold."""
    return replace(history, hold=Hold(at, because))


def is_no_address(outcome: Outcome | None) -> bool:
    """Tell whether a recipient was refused because there is no such address (RFC 3463 §3.2), and
    not because of us or of the message.
    """
    if outcome is None or not (outcome.is_about_recipient and 500 <= outcome.code < 600):
        return False
    if outcome.status in _OF_THE_SENDER:
        return False
    return outcome.status.startswith("5.1.") or outcome.status == "5.2.1"


def _usual(history: History, at: datetime) -> Busiest:
    """Return the busiest hours before today."""
    today = int((at - _SAME_SURGE).timestamp()) // _DAY
    usual = Busiest(today)
    for day in history.days:
        if today - DAYS <= day.day < today:
            usual = _larger(usual, day)
    return usual


def _busiest(history: History, minute: int, day: int) -> tuple[Busiest, ...]:
    now = Busiest(day, history.recipients.used(minute), history.strange.used(minute))
    if history.days and history.days[-1].day == day:
        return (*history.days[:-1], _larger(history.days[-1], now))
    return (*history.days, now)[-DAYS:]


def _larger(one: Busiest, other: Busiest) -> Busiest:
    recipients = max(one.recipients, other.recipients)
    return Busiest(one.day, recipients, max(one.networks, other.networks))


def _seen(known: Mapping[str, int], new: set[str], day: int) -> Mapping[str, int]:
    """Remember networks; those seen longest ago are forgotten first."""
    if not new:
        return known
    seen = {**known, **dict.fromkeys(new, day)}
    latest = sorted(seen, key=seen.__getitem__)[-NETWORKS:]
    return {network: seen[network] for network in latest if seen[network] > day - DAYS}
