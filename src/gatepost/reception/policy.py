"""What may be sent, stage by stage (decision 28): small pure rules, each with its reply.

None means: go on. The order of the calls in `judge_mail` and `judge_rcpt` is the order of the
answers a client sees. Content has its own stage in `accept`.
"""

from gatepost.model.account import Account, AccountState, Principal
from gatepost.model.grant import TAG
from gatepost.model.settings import Role
from gatepost.reception.ownership import judge_addressee, judge_reverse_path
from gatepost.reception.relay import LocalDomains, judge_forward_path
from gatepost.wire.smtp import replies
from gatepost.wire.smtp.commands import Mail, Rcpt
from gatepost.wire.smtp.extensions import Channel
from gatepost.wire.smtp.grammar import is_qualified
from gatepost.wire.smtp.replies import Reply
from gatepost.wire.values import value


@value(frozen=True, slots=True)
class Standing:
    """Who asks, and over what: all that a rule may look at.

    `account` is the principal's account as it is now, None when nobody logged in or when it was
    removed meanwhile; `tags` are the characters that part a tag from a local part. `is_held`: the
    credential that it logged in with sends nothing now.
    """

    role: Role
    channel: Channel
    principal: Principal | None
    account: Account | None
    tags: str = TAG
    is_held: bool = False


@value(frozen=True, slots=True)
class Room:
    """What is left on this node, in octets: disk, and memory for content under way."""

    disk: int
    memory: int


def judge_mail(mail: Mail, standing: Standing, *, message_size: int, room: Room) -> Reply | None:
    """Decide on MAIL: TLS, login, account state, reverse-path, size, room (RFC 6409 §4.3, §6.1)."""
    if refusal := judge_login(standing):
        return refusal
    if mail.size > message_size:
        return replies.MESSAGE_TOO_LARGE.about(f"at most {message_size} octets")
    if standing.principal and (refusal := _judge_sender(mail, standing)):
        return refusal
    if room.disk <= mail.size:
        return replies.DISK_NEARLY_FULL
    return replies.NO_MEMORY if room.memory <= mail.size else None


def judge_rcpt(
    rcpt: Rcpt, standing: Standing, local: LocalDomains, *, already: int, recipients: int
) -> Reply | None:
    """Decide on RCPT: the relay rule, whom the account may write to, then the number of recipients
    so far (`already`).
    """
    refusal = judge_forward_path(rcpt.forward_path, standing.principal, local)
    if refusal is None and standing.principal and standing.account:
        refusal = judge_addressee(standing.account, rcpt.forward_path, standing.tags)
    if refusal:
        return refusal
    return replies.TOO_MANY_RECIPIENTS if already >= recipients else None


def judge_login(standing: Standing) -> Reply | None:
    """Decide whether who asks may send at all now: TLS, login, account state."""
    if standing.role is Role.MX:
        return None
    if standing.channel is Channel.CLEAR:
        return replies.TLS_REQUIRED
    if standing.principal is None:
        return replies.AUTH_REQUIRED
    if standing.account is None or standing.account.state is AccountState.SUSPENDED:
        return replies.SUSPENDED_MEANWHILE
    return replies.CREDENTIAL_HELD if standing.is_held else None


def _judge_sender(mail: Mail, standing: Standing) -> Reply | None:
    if mail.reverse_path is None or standing.account is None:
        return None  # RFC 6409 §3.2: <> is never refused for being <>
    if not is_qualified(mail.reverse_path.domain):
        return replies.SENDER_NOT_QUALIFIED.about(mail.reverse_path.domain)
    foreign = judge_reverse_path(standing.account, mail.reverse_path.text, standing.tags)
    return foreign.reply if foreign else None
