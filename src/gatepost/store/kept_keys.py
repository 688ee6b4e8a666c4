"""Idempotency keys: which submission stands for which, what every store promises."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gatepost.model.ids import AccountName, SubmissionId


@dataclass(frozen=True, slots=True)
class KeptKey:
    """A key that an account gave with a submission. `digest` is what the message must come to when
    the key comes again.
    """

    account: AccountName
    key: str
    digest: bytes
    submission_id: SubmissionId
    at: datetime


class ReadsKeptKeys(Protocol):
    """The reading half."""

    def kept_key(self, account: AccountName, key: str) -> KeptKey | None:
        """Return what an account's key stands for, however old."""
        ...


class ChangesKeptKeys(Protocol):
    """The changing half."""

    def keep_key(self, kept: KeptKey, *, forget_before: datetime) -> None:
        """Insert or replace; a few that are older than `forget_before` are forgotten with it."""
        ...
