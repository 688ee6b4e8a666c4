"""Who speaks in a session: proven once, and looked at again for as long as the session lasts (decision 5)."""

from typing import Final

from gatepost.identity.foreign import Everybody
from gatepost.model.account import Account, Credential, Principal
from gatepost.net.clock import now

#: Seconds within which a change of an account takes effect.
TAKES_EFFECT: Final = 1.0


class Speaker:
    """`principal` is None before a login; `account` and `credential` are as they were at the last look,
    None where they are no more; `is_held`: the credential sends nothing now.
    """

    __slots__ = ("_directory", "_looked_at", "account", "credential", "is_held", "principal")

    def __init__(self, directory: Everybody) -> None:
        self._directory = directory
        self._looked_at = 0.0
        self.principal: Principal | None = None
        self.account: Account | None = None
        self.credential: Credential | None = None
        self.is_held = False

    def is_known(self, at: float) -> bool:
        """Tell whether what is known of the account counts still at `at`: seconds of one clock."""
        return self.principal is None or at - self._looked_at < TAKES_EFFECT

    async def look_again(self, at: float) -> None:
        """Fetch the account as it is now: suspended meanwhile means no more mail.

        Raises:
            StoreUnavailableError, DirectoryAwayError, BusyError: nobody can say.

        """
        self._looked_at = at
        principal = self.principal
        if principal is None:
            return
        directory = self._directory
        entry = directory.cached(principal.account) or await directory.find(principal.account)
        self.account = entry.speaking_by(principal.credential, now()) if entry else None
        self.credential = entry.credential(principal.credential) if entry else None
        self.is_held = bool(entry and entry.hold(principal.credential))
