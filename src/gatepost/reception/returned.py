"""Accepting what we write ourselves: reports to senders (RFC 3464)."""

from typing import Final

from gatepost.model.event import Event, EventKind, Fact
from gatepost.model.submission import Origin, Submission
from gatepost.net.clock import now
from gatepost.reception.accept import Acceptance, Accepted, keep, signed
from gatepost.reception.deliveries import deliveries_for
from gatepost.returns.notify import NotOwedError, ReturnMessage, StrikeOut
from gatepost.wire.smtp.grammar import parse_mailbox
from gatepost.wire.smtp.notification import Notify, RecipientWishes
from gatepost.wire.smtp.replies import Reply
from gatepost.wire.values import changed

#: RFC 3461 §6.1: nobody is to be told of a report that cannot be delivered.
_NOT_A_WORD: Final = RecipientWishes(Notify.NEVER)


async def accept_return(message: ReturnMessage, strike_out: StrikeOut, to: Acceptance) -> bool:
    """Store a return of ours, under the id it brings, and strike out what it tells of with it.

    Returns False when its forward-path is none, so that it can never be accepted.

    Raises:
        NotOwedError: nothing was stored: what it tells of was told of before.
        StoreUnavailableError: nothing was stored.

    """
    mailbox = parse_mailbox(message.forward_path)
    if mailbox is None:
        return False
    at = now()
    submission = Submission(
        id=message.submission_id,
        reverse_path="",
        size=len(message.content),
        received_at=at,
        origin=Origin.RETURN,
        utf8=not mailbox.is_ascii,
        eight_bit=not message.content.isascii(),
        priority=message.priority,
    )
    deliveries = deliveries_for(
        submission,
        (mailbox,),
        message.lane,
        {mailbox.text: _NOT_A_WORD},
        placement=to.placement,
        lasting=to.give_up,
    )
    facts: dict[str, Fact] = {"from": "", "recipients": 1, "size": submission.size}
    accepted = Accepted(
        submission=submission,
        deliveries=tuple(changed(each, account=message.account) for each in deliveries),
        pieces=(message.content,),
        event=Event(EventKind.ACCEPTED, at, submission.id, facts=facts),
        authors=(f"MAILER-DAEMON@{to.hostname}",),
    )
    accepted = to.pooled(accepted, None)
    with_signature = await signed(accepted, to)
    ready = accepted if isinstance(with_signature, Reply) else with_signature
    if await keep(ready, to, strike_out) is None:
        raise NotOwedError
    return True
