"""Large contents in the hands of connections: each in memory once, and of no account's more than it leaves.

One message of 25 MiB to hosts that take its first octets and no more would be in memory once for each
connection, gigabytes of it. So a worker's connections borrow what is large: what several of them send is
there once; an account has no more than it leaves free (Choudhury and Hahne, Dynamic Queue Length Thresholds,
1998), but always one. Who may not borrow waits a moment, and then for a turn later. What is small is no matter: 500
connections with 8 messages of 64 KiB each have 256 MiB.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple

from gatepost.delivery.contents import Content
from gatepost.delivery.parcel import Parcel
from gatepost.model.ids import SubmissionId
from gatepost.model.submission import Submission

#: Octets from which on a content counts.
LARGE: Final = 64 * 1024
#: Every account may have one in any case until all of them have so many times what there is.
_BEYOND: Final = 2
#: Seconds that a connection waits for others to give something back.
_PATIENCE: Final = 5.0

#: Fetches contents.
Read = Callable[[Sequence[SubmissionId]], Awaitable[Mapping[SubmissionId, Content]]]


class Spent(NamedTuple):
    """Octets of an account."""

    account: str
    octets: int


class _Lent:
    """A content, how many have it, and who pays for it."""

    __slots__ = ("account", "content", "count", "octets")

    def __init__(self, account: str, octets: int) -> None:
        self.account = account
        self.octets = octets
        self.count = 0
        self.content: Content | None = None


class Room:
    """About so many octets of memory, and how many of them accounts have."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[str, int] = {}
        self.octets = 0
        self._returned = asyncio.Event()

    def take(self, account: str, octets: int) -> bool:
        """Count octets that an account has in memory; False where it has enough."""
        mine = self._held.get(account, 0)
        free = self._most - self.octets - octets
        if mine + octets > free and (mine or self.octets >= _BEYOND * self._most):
            return False
        self._held[account] = mine + octets
        self.octets += octets
        return True

    def give(self, account: str, octets: int) -> None:
        """Count them off."""
        self.octets -= octets
        self._held[account] -= octets
        if not self._held[account]:
            del self._held[account]
        self._returned.set()
        self._returned = asyncio.Event()

    async def has(self, take: Callable[[], bool]) -> bool:
        """Wait a moment until `take` finds room; False where it does not."""
        try:
            async with asyncio.timeout(_PATIENCE):
                while not take():
                    await self._returned.wait()
        except TimeoutError:
            return False
        return True


class Lending:
    """What is lent, of about so many octets, and as many of what is written anew for one host: apart,
    else those who wait for the second would keep the first from each other. Used from one event loop.
    """

    def __init__(self, most: int) -> None:
        self.room = Room(most)
        self.copies = Room(most)
        self._lent: dict[SubmissionId, _Lent] = {}
        self._reading = asyncio.Lock()

    def borrow(self, submission: Submission) -> bool:
        """Have a share in a message's content, until `give`; False where there is no room for it."""
        lent = self._lent.get(submission.id)
        if lent is None:
            account = submission.account or ""
            if not self.room.take(account, submission.size):
                return False
            lent = self._lent[submission.id] = _Lent(account, submission.size)
        lent.count += 1
        return True

    def give(self, submission: SubmissionId) -> None:
        """Give a share back; with the last one the content goes."""
        lent = self._lent[submission]
        lent.count -= 1
        if not lent.count:
            del self._lent[submission]
            self.room.give(lent.account, lent.octets)

    async def contents(
        self, wanted: Sequence[SubmissionId], read: Read
    ) -> dict[SubmissionId, Content]:
        """Return what was borrowed; `read` fetches what nobody has yet. Raises what `read` does."""
        async with self._reading:  # who wants the same waits for it
            missing = [each for each in wanted if self._lent[each].content is None]
            for identifier, content in (await read(missing) if missing else {}).items():
                self._lent[identifier].content = content
        found = ((each, self._lent[each].content) for each in wanted)
        return {each: content for each, content in found if content is not None}


class Lots(NamedTuple):
    """Parcels of a claim: those that there is room for; those that wait `behind` them; those that wait
    for others'.
    """

    ready: list[Parcel]
    behind: list[Parcel]
    without: list[Parcel]


class Loans:
    """What one connection has borrowed for its present claim."""

    def __init__(self, lending: Lending) -> None:
        self._lending = lending
        self._borrowed: list[SubmissionId] = []
        self._copies: list[Spent] = []

    @property
    def has_any(self) -> bool:
        """Whether anything is borrowed."""
        return bool(self._borrowed)

    async def borrow(self, submission: Submission) -> bool:
        """Borrow a message's content, if it is large; False where there is no room for it. Only who
        has nothing waits for some.
        """
        if submission.size <= LARGE:
            return True
        lending = self._lending
        if not lending.borrow(submission) and (
            self.has_any or not await lending.room.has(lambda: lending.borrow(submission))
        ):
            return False
        self._borrowed.append(submission.id)
        return True

    async def lots(self, parcels: Sequence[Parcel]) -> Lots:
        """Borrow what a claim needs that is not at hand, and tell for what there was room."""
        lots = Lots([], [], [])
        for position, parcel in enumerate(parcels):
            is_at_hand = parcel.pieces is not None or not parcel.items
            if is_at_hand or await self.borrow(parcel.submission):
                lots.ready.append(parcel)
            elif self.has_any:
                lots.behind.extend(each for each in parcels[position:] if each.items)
                break
            else:
                lots.without.append(parcel)
        return lots

    async def copy(self, submission: Submission) -> bool:
        """Have room for a content written anew, which is nobody else's; False where there is none."""
        account, octets = submission.account or "", submission.size * 3 // 2
        if submission.size <= LARGE:
            return True
        copies = self._lending.copies
        if not await copies.has(lambda: copies.take(account, octets)):
            return False
        self._copies.append(Spent(account, octets))
        return True

    async def contents(
        self, wanted: Sequence[SubmissionId], read: Read
    ) -> dict[SubmissionId, Content]:
        """Return contents: what was borrowed as it is lent, what is small as it is read. Raises what
        `read` does.
        """
        large = [each for each in wanted if each in self._borrowed]
        small = [each for each in wanted if each not in self._borrowed]
        found = dict(await read(small)) if small else {}
        return found | await self._lending.contents(large, read) if large else found

    def end(self) -> None:
        """Give everything back."""
        for submission in self._borrowed:
            self._lending.give(submission)
        for spent in self._copies:
            self._lending.copies.give(spent.account, spent.octets)
        self._borrowed.clear()
        self._copies.clear()
