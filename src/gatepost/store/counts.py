"""How much waits, counted by what it has in common: what an operator asks first when mail is stuck."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from gatepost.model.delivery import DeliveryState
from gatepost.model.ids import AccountName, DeliveryId
from gatepost.store.queue_view import QueueFilter


class GroupBy(StrEnum):
    """What deliveries may be counted by. `HOST`: the next hop that answered last."""

    DESTINATION = "destination"
    HOST = "host"
    ACCOUNT = "account"
    REASON = "reason"
    LANE = "lane"


@dataclass(frozen=True, slots=True)
class Group:
    """Deliveries with the same `key` ("" for none): how many by state, how many of them were tried, and
    the id of the oldest (which tells its age).
    """

    key: str
    states: Mapping[DeliveryState, int]
    tried: int
    oldest: DeliveryId

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.states.values())


@dataclass(frozen=True, slots=True)
class Sender:
    """What one account has handed in: messages, their recipients, and their octets."""

    account: AccountName
    messages: int
    recipients: int
    octets: int


class ReadsCounts(Protocol):
    """The questions."""

    def queue_groups(self, which: QueueFilter, by: GroupBy, *, limit: int) -> list[Group]:
        """Return the largest groups of matching deliveries that are not finished, largest first. All
        rows of the queue are gone through."""
        ...

    def senders(self, since: datetime) -> list[Sender]:
        """Return the accounts whose messages were accepted since then, most recipients first. All those
        messages are gone through."""
        ...
