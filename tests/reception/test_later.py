"""How much of an account's mail may wait for a time that its sender chose (RFC 4865 §6)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gatepost.model.account import Account
from gatepost.model.ids import AccountName, SubmissionId
from gatepost.model.submission import Submission
from gatepost.reception.later import Later
from gatepost.store.later import LEAST_COUNTED
from gatepost.wire.smtp.commands import Mail
from gatepost.wire.smtp.future_release import Hold
from gatepost.wire.smtp.replies import BAD_HOLD, LATER_FULL, Reply
from tests.support.reception import RememberingStore

NAME = AccountName("a@x.example")
AT = datetime.now(UTC)
ACCOUNT = Account(NAME, (NAME,), AT)
HOUR = timedelta(hours=1)


def waiting(size: int, *, release_at: datetime | None = AT + HOUR) -> Submission:
    return Submission(SubmissionId("s"), NAME, size, AT, account=NAME, release_at=release_at)


def later(*stored: int) -> Later:
    store = RememberingStore()
    store.submissions += [waiting(size) for size in stored]
    any_store: Any = store
    return Later(any_store, timedelta(days=30), 100_000)


def code(reply: Reply | None) -> str | None:
    return reply and f"{reply.code} {reply.status}"


@pytest.mark.rfc("4865#6")
@pytest.mark.parametrize(
    ("stored", "size", "refused"),
    [
        ((), 0, None),
        ((), 100_000, None),
        ((), 100_001, "552 5.7.16"),
        ((50_000,), 50_000, None),
        ((50_000,), 50_001, "552 5.7.16"),
        # small ones are not for nothing, and one without SIZE is a small one
        ((1,) * 5, 1, None),
        ((1,) * 6, 0, "552 5.7.16"),
        ((100_000 - LEAST_COUNTED + 1,), 0, "552 5.7.16"),
    ],
)
async def test_mail_that_has_no_room_to_wait_in_is_refused(
    stored: tuple[int, ...], size: int, refused: str | None
) -> None:
    mail = Mail(None, size, hold=Hold(seconds=3600))
    assert code(await later(*stored).judge_mail(mail, ACCOUNT)) == refused
    assert code(await later(*stored).judge(waiting(size))) == refused
    assert await later(*stored).judge(waiting(size, release_at=None)) is None


async def test_what_asks_for_no_wait_or_too_long_a_one() -> None:
    full = later(100_000)
    assert await full.judge_mail(Mail(None, 0), ACCOUNT) is None
    far = await full.judge_mail(Mail(None, 0, hold=Hold(seconds=31 * 86400)), ACCOUNT)
    assert code(far) == code(BAD_HOLD)
    told = await full.judge_mail(Mail(None, 0, hold=Hold(seconds=60)), ACCOUNT)
    assert told is not None
    assert told.text == f"{LATER_FULL.text}: 100000 of 100000 octets"
