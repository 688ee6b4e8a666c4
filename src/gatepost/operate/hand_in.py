"""Hand a message in without SMTP: by the same rules and the same door (`accept`) as on port 587.

A message is taken for all its recipients or for none: who calls sees each refusal at once.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from gatepost.delivery.routing import Routing
from gatepost.identity.directory import Directory
from gatepost.identity.histories import Histories
from gatepost.model.account import Account, Principal
from gatepost.model.api_key import ApiKey
from gatepost.model.event import Event, EventKind
from gatepost.model.ids import AccountName, CredentialId
from gatepost.model.quota import Limits
from gatepost.model.settings import Role
from gatepost.model.submission import Origin
from gatepost.net.clock import agreed, now
from gatepost.reception.accept import Acceptance, accept
from gatepost.reception.allowances import Allowances
from gatepost.reception.arrival import Arrival, Origination
from gatepost.reception.drawing import Drawing
from gatepost.reception.instructions import KEY_FIELD
from gatepost.reception.policy import Room, Standing, judge_mail, judge_rcpt
from gatepost.reception.relay import LocalDomains
from gatepost.reception.signing import Signer
from gatepost.reception.suppressed import SuppressionList
from gatepost.reception.unsubscribe import Links
from gatepost.store.protocols import Store
from gatepost.wire.smtp import replies
from gatepost.wire.smtp.commands import Mail, Rcpt
from gatepost.wire.smtp.extensions import Channel
from gatepost.wire.smtp.grammar import Mailbox, parse_mailbox
from gatepost.wire.smtp.replies import Reply

#: Refused recipients of one parcel that the journal tells.
_MOST_TOLD: Final = 20
_LONGEST_ADDRESS: Final = 320
#: Recipients that are judged before others have their turn.
_STRETCH: Final = 100
_NOT_PRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
#: An operator asks what would become of a message.
_NO_KEY: Final = CredentialId("api")


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message as a program hands it in.

    `reverse_path` "" is the null one. `client` is the IP address it came from, `key` the
    idempotency key or "", `by` the API key that it came with.
    """

    account: AccountName
    reverse_path: str
    recipients: Sequence[str]
    content: bytes
    client: str = ""
    key: str = ""
    by: ApiKey | None = None

    @property
    def credential(self) -> CredentialId:
        """Return with what it came."""
        return self.by.credential if self.by else _NO_KEY


@dataclass(frozen=True, slots=True)
class Intake:
    """What handing in needs of the world; `defaults` are the limits that settings give everybody,
    `free_space` the octets that may still be written; `histories` hears what keys do.
    """

    store: Store
    acceptance: Acceptance
    directory: Directory
    allowances: Allowances
    histories: Histories
    suppressed: SuppressionList
    links: Links
    signer: Signer
    routing: Routing
    local: LocalDomains
    recipients: int
    defaults: Limits = ()
    free_space: Callable[[], int] = field(default=lambda: 1 << 62)
    record: Callable[[Event], None] = field(default=lambda _: None)


@dataclass(frozen=True, slots=True)
class HandedIn:
    """What became of a parcel: the reply that a client of port 587 would have got, and the
    recipients that are in the way, each with its reply.
    """

    reply: Reply
    refused: Mapping[str, Reply] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A parcel's envelope, judged. `mail` is what is wrong with all of it; `refused` who may not
    get it; `dropped` whose mail is to be dropped, with why.
    """

    account: Account | None
    mail: Reply | None
    forward_paths: tuple[Mailbox, ...] = ()
    refused: Mapping[str, Reply] = field(default_factory=dict)
    dropped: Mapping[str, str] = field(default_factory=dict)


async def hand_in(parcel: Parcel, intake: Intake) -> HandedIn:
    """Accept a parcel, or say what is in the way; nothing is queued then.

    Raises:
        StoreUnavailableError: nothing was stored.

    """
    handed = await _hand_in(parcel, intake)
    for event in _refusals(handed, parcel):
        intake.record(event)
    return handed


async def _hand_in(parcel: Parcel, intake: Intake) -> HandedIn:
    if parcel.by:
        intake.histories.note_login(parcel.account, parcel.credential, parcel.client)
    envelope = await judge_envelope(parcel, intake)
    drawing = Drawing(intake.allowances)
    is_stored: bool | None = False
    try:
        refusal = envelope.mail or await drawing.begin(envelope.account, parcel.by)
        if refusal:
            return HandedIn(refusal)
        if envelope.refused:
            return HandedIn(replies.ALL_REFUSED, envelope.refused)
        for _ in envelope.forward_paths:
            if refusal := await drawing.recipient():
                return HandedIn(refusal)
        is_stored = None
        reply = await accept(arrival_of(parcel, envelope, drawing), intake.acceptance)
        queued = reply.text.startswith(replies.QUEUED.text)
        is_stored = queued or reply is replies.STORE_AWAY
        if queued and parcel.by:
            count = len(envelope.forward_paths)
            intake.histories.note_accepted(parcel.account, parcel.credential, count)
        return HandedIn(reply)
    finally:
        drawing.end(is_stored=is_stored)


def _refusals(handed: HandedIn, parcel: Parcel) -> list[Event]:
    """Return the events of what was in the way of a parcel."""
    if handed.reply.accepts:
        return []
    found = handed.refused or {parcel.reverse_path or "<>": handed.reply}
    return [
        Event(
            EventKind.REFUSED_AT_DOOR,
            now(),
            account=parcel.account,
            facts={
                "code": reply.code,
                "status": reply.status or "",
                "text": reply.text,
                "client": parcel.client,
                # The journal is text for other programs, too; what was refused may hold anything.
                "address": _NOT_PRINTABLE.sub("?", address[:_LONGEST_ADDRESS]),
            },
        )
        for address, reply in islice(found.items(), _MOST_TOLD)
    ]


async def judge_envelope(parcel: Parcel, intake: Intake) -> Envelope:
    """Ask every rule of MAIL and RCPT (decision 28) but the quotas.

    Raises:
        StoreUnavailableError: there is no telling.

    """
    entry = await intake.directory.find(parcel.account)
    account = entry.account if entry else None
    principal = Principal(parcel.account, parcel.credential, "")
    tags = intake.acceptance.tags
    is_held = bool(entry and entry.hold(parcel.credential))
    standing = Standing(Role.SUBMISSION, Channel.TLS, principal, account, tags, is_held)
    reverse_path = parse_mailbox(parcel.reverse_path) if parcel.reverse_path else None
    if parcel.reverse_path and reverse_path is None:
        return Envelope(account, replies.BAD_SENDER_SYNTAX)
    size = len(parcel.content)
    refusal = judge_mail(
        Mail(reverse_path, size),
        standing,
        message_size=intake.acceptance.message_size,
        room=Room(intake.free_space(), 1 << 62),
    )
    if refusal or account is None:
        return Envelope(account, refusal or replies.SUSPENDED_MEANWHILE)
    if not parcel.recipients:
        return Envelope(account, replies.NO_RECIPIENTS)
    if len(set(parcel.recipients)) > intake.recipients:
        words = f"at most {intake.recipients}"
        return Envelope(account, replies.TOO_MANY_RECIPIENTS.about(words))
    return await _judge_recipients(parcel, intake, standing, account)


async def _judge_recipients(
    parcel: Parcel, intake: Intake, standing: Standing, account: Account
) -> Envelope:
    forward_paths: list[Mailbox] = []
    refused: dict[str, Reply] = {}
    dropped: dict[str, str] = {}
    rule = intake.suppressed.rule(account.name)
    for number, text in enumerate(dict.fromkeys(parcel.recipients)):
        if number % _STRETCH == 0:
            await asyncio.sleep(0)
        mailbox = parse_mailbox(text)
        if mailbox is None:
            refused[text] = replies.BAD_RECIPIENT_SYNTAX
            continue
        refusal = judge_rcpt(
            Rcpt(mailbox),
            standing,
            intake.local,
            already=len(forward_paths),
            recipients=intake.recipients,
        )
        found = await intake.suppressed.find(mailbox.text, account.name, rule.stream)
        if refusal is None and found and rule.drops:
            dropped[mailbox.text] = found.words
        elif refusal is None and found:
            refusal = replies.SUPPRESSED.about(found.words)
        if refusal:
            refused[text] = refusal
        else:
            forward_paths.append(mailbox)
    return Envelope(account, None, tuple(forward_paths), refused, dropped)


def arrival_of(parcel: Parcel, envelope: Envelope, drawing: Drawing | None = None) -> Arrival:
    """Return the message as `accept` takes it."""
    instructions = {KEY_FIELD: parcel.key.encode("latin-1", "replace")} if parcel.key else {}
    reverse_path = parse_mailbox(parcel.reverse_path) if parcel.reverse_path else None
    return Arrival(
        origination=Origination(
            origin=Origin.SUBMISSION,
            client_name=f"[{parcel.client}]",
            client_address=parcel.client,
            protocol="HTTP",
            account=envelope.account,
            credential=parcel.credential if parcel.by else None,
        ),
        reverse_path=reverse_path.text if reverse_path else "",
        forward_paths=envelope.forward_paths,
        pieces=(parcel.content,),
        size=len(parcel.content),
        eight_bit=not parcel.content.isascii(),
        utf8=not "".join((parcel.reverse_path, *parcel.recipients)).isascii(),
        spendings=drawing.spendings(agreed()) if drawing else (),
        dropped=envelope.dropped,
        instructions=instructions,
    )
