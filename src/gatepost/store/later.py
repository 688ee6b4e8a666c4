"""What waits for a time that its sender chose (RFC 4865): what every store promises."""

from datetime import datetime
from typing import Final, Protocol

from gatepost.model.ids import AccountName

#: Octets that a message counts for at least, whatever its size: its rows are worth something, too.
LEAST_COUNTED: Final = 16 * 1024


class ReadsLater(Protocol):
    """The reading half; there is no other."""

    def stored_for_later(self, account: AccountName, now: datetime) -> int:
        """Return how many octets of an account's unfinished messages are to be released after
        `now`, each counted as LEAST_COUNTED at least.
        """
        ...
