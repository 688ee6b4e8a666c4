"""Mail that its sender wants to go out later (RFC 4865): for how long, and how much of it."""

from dataclasses import dataclass
from datetime import timedelta

from gatepost.model.account import Account
from gatepost.model.ids import AccountName
from gatepost.model.submission import Submission
from gatepost.net.clock import now
from gatepost.reception.handling import judge_hold
from gatepost.store.later import LEAST_COUNTED
from gatepost.store.protocols import Store
from gatepost.wire.smtp.commands import Mail
from gatepost.wire.smtp.replies import LATER_FULL, Reply


@dataclass(frozen=True, slots=True)
class Later:
    """How far ahead a message may be released, and how many octets of an account's may wait."""

    store: Store
    furthest: timedelta
    storage: int

    async def judge_mail(self, mail: Mail, account: Account | None) -> Reply | None:
        """Refuse MAIL that asks for too long a wait, or has no room to wait in (RFC 4865 §4.2, §6).

        Raises:
            StoreUnavailableError: there is no telling.

        """
        if mail.hold is None:
            return None
        refusal = judge_hold(mail.hold, now(), self.furthest)
        if refusal or account is None:
            return refusal
        return await self._judge(account.name, mail.size)

    async def judge(self, submission: Submission) -> Reply | None:
        """Refuse a message for which there is no room to wait in, whoever asked for it.

        Raises:
            StoreUnavailableError: there is no telling.

        """
        if submission.release_at is None or submission.account is None:
            return None
        return await self._judge(submission.account, submission.size)

    async def _judge(self, account: AccountName, size: int) -> Reply | None:
        at = now()
        used = await self.store.read(lambda reading: reading.stored_for_later(account, at))
        if used + max(size, LEAST_COUNTED) <= self.storage:
            return None
        return LATER_FULL.about(f"{used} of {self.storage} octets")
