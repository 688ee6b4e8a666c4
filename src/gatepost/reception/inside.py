"""Recipients that the server behind us would refuse are refused in the dialogue, not by a report.

What was accepted and is refused behind us can only be reported to the reverse-path, which a spammer
chooses. So that server is asked at RCPT (`delivery.call_forward`) for mail without a login, where its
domain's settings say so. No sender waits for it for more than a moment: nobody knows means yes.
"""

import asyncio
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from gatepost.model.settings import LocalDomainSettings
from gatepost.wire.smtp import replies
from gatepost.wire.smtp.grammar import Mailbox
from gatepost.wire.smtp.replies import Reply

_log = logging.getLogger(__name__)

#: Takes a forward-path and its domain; says whether the server behind takes it, None: nobody knows.
Ask = Callable[[str, str], Awaitable[bool | None]]

#: Seconds that a client waits at RCPT at most (Postfix: 6); the question goes on for the next one.
_PATIENCE: Final = 3.0
#: Seconds for which an answer is believed. (Exim: a day, and two hours; Postfix: 31 days, and 3.) A
#: server behind us is near, and a new mailbox of its must not be refused for long.
_TAKES: Final = 3600.0
_REFUSES: Final = 300.0
#: Answers of each sort that are kept: asking for made-up names pushes no real one out.
_MOST: Final = 20_000
#: Questions under way.
_AT_ONCE: Final = 500
_POSTMASTER: Final = "postmaster"


class Answers:
    """Answers of one sort, each for a while; the oldest goes when there are too many."""

    def __init__(self, lifetime: float, most: int = _MOST) -> None:
        self._lifetime = lifetime
        self._most = most
        self._until: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._until)

    def has(self, key: str, now: float) -> bool:
        """Tell whether this was the answer a while ago."""
        until = self._until.get(key)
        if until is not None and until <= now:
            del self._until[key]
            return False
        return until is not None

    def add(self, key: str, now: float) -> None:
        """Keep one."""
        self._until[key] = now + self._lifetime
        self._until.move_to_end(key)
        if len(self._until) > self._most:
            self._until.popitem(last=False)


class Inside:
    """Judges recipients of domains whose server is asked. One per worker."""

    def __init__(
        self,
        domains: Iterable[LocalDomainSettings],
        ask: Ask,
        *,
        patience: float = _PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._domains = frozenset(d.name.lower() for d in domains if d.asks_behind)
        self._ask = ask
        self._patience = patience
        self._clock = clock
        self._taken = Answers(_TAKES)
        self._refused = Answers(_REFUSES)
        self._under_way: dict[str, asyncio.Task[bool | None]] = {}
        #: Questions that were waited for in vain, and have no answer yet, by domain.
        self._overdue: Counter[str] = Counter()

    async def judge(self, mailbox: Mailbox) -> Reply | None:
        """Return the refusal of a recipient that the server behind us does not have; None for all
        others, and where nobody can say in time. Postmaster always is (RFC 5321 §4.5.1).
        """
        if mailbox.domain not in self._domains or mailbox.folded == _POSTMASTER:
            return None
        key, now = mailbox.text, self._clock()
        if self._taken.has(key, now):
            return None
        if not self._refused.has(key, now) and await self._answer(key, mailbox.domain) is not False:
            return None
        return replies.NO_MAILBOX_BEHIND.about(key)

    async def _answer(self, key: str, domain: str) -> bool | None:
        task = self._under_way.get(key)
        if task is None:
            if len(self._under_way) >= _AT_ONCE:
                return None
            task = asyncio.get_running_loop().create_task(self._learn(key, domain))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        # Once in vain is enough: a client may have a hundred recipients there.
        patience = 0.0 if self._overdue[domain] else self._patience
        done, _ = await asyncio.wait((task,), timeout=patience)
        if done:
            return task.result()
        self._overdue[domain] += 1
        task.add_done_callback(lambda _: self._overdue.subtract((domain,)))
        return None

    async def _learn(self, key: str, domain: str) -> bool | None:
        try:
            answer = await self._ask(key, domain)
        except Exception:  # noqa: BLE001 - the top of a task: mail is taken all the same
            _log.exception("nobody was asked for %s", key)
            return None
        if answer is not None:
            (self._taken if answer else self._refused).add(key, self._clock())
        return answer
