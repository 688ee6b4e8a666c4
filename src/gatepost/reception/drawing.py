"""What one conversation draws of quotas: a message at MAIL, recipients at RCPT (decision 28)."""

from datetime import datetime

from gatepost.model.account import Account
from gatepost.model.spender import Spender
from gatepost.reception.allowances import Allowances, Ticket
from gatepost.store.quota_protocols import Spending
from gatepost.wire.smtp.replies import Reply


class Drawing:
    """The ticket of the transaction under way, if there is one."""

    __slots__ = ("_allowances", "_is_offered", "_ticket")

    def __init__(self, allowances: Allowances) -> None:
        self._allowances = allowances
        self._ticket: Ticket | None = None
        self._is_offered = False

    @property
    def is_open(self) -> bool:
        """Tell whether something was drawn that is neither spent nor given back."""
        return self._ticket is not None

    async def begin(self, account: Account | None, spender: Spender | None) -> Reply | None:
        """Draw a message; a reply says that there is none left.

        Raises:
            StoreUnavailableError: there is no telling.

        """
        self.end()
        if account is None:
            return None
        drawn = await self._allowances.draw_message(account, spender)
        if isinstance(drawn, Ticket):
            self._ticket = drawn
            return None
        return drawn.reply

    async def recipient(self) -> Reply | None:
        """Draw a recipient; a reply says that there is none left.

        Raises:
            StoreUnavailableError: there is no telling.

        """
        if self._ticket is None:
            return None
        spent = await self._allowances.draw_recipient(self._ticket)
        return spent.reply if spent else None

    def spendings(self, at: datetime) -> tuple[Spending, ...]:
        """Return what the message costs; from now on it may be stored."""
        self._is_offered = True
        return self._ticket.spendings(at) if self._ticket else ()

    def end(self, *, is_stored: bool | None = None) -> None:
        """Give back what was drawn, unless the message is stored, or (None) may be."""
        ticket, self._ticket = self._ticket, None
        if is_stored is None:
            is_stored = self._is_offered
        self._is_offered = False
        if ticket is None:
            return
        if is_stored:
            ticket.settle()
        else:
            ticket.give_back()
