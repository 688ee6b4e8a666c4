"""A dry run: what would become of a message, rule by rule, without queueing it or spending quota."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gatepost.model.delivery import DeliveryState
from gatepost.model.route import (
    Via,
    ViaCapture,
    ViaDiscard,
    ViaHold,
    ViaLmtp,
    ViaMaildir,
    ViaMx,
    ViaSmtp,
)
from gatepost.net.clock import now
from gatepost.operate.hand_in import Envelope, Intake, Parcel, arrival_of, judge_envelope
from gatepost.operate.limits import Limited, limited, limited_json
from gatepost.reception.accept import Accepted, judge_beside, ready_to_keep
from gatepost.wire.message.header import HeaderFault, scan, spell
from gatepost.wire.message.line_ends import with_clean_line_ends
from gatepost.wire.smtp import replies
from gatepost.wire.smtp.replies import Reply


@dataclass(frozen=True, slots=True)
class Step:
    """One rule and what it says: `reply` is None where nothing is in the way."""

    rule: str
    words: str
    reply: Reply | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """Where one recipient's mail would go, or why it may not."""

    recipient: str
    route: str
    reply: Reply | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What would become of a message. `added` and `removed` are names of header fields."""

    steps: tuple[Step, ...]
    ways: tuple[Way, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    signers: tuple[str, ...] = ()
    alignment: str = ""
    size: int = 0
    limits: tuple[Limited, ...] = field(default=())

    @property
    def would_be_queued(self) -> bool:
        """Tell whether it would be queued, for all its recipients."""
        refusals = [step.reply for step in self.steps] + [way.reply for way in self.ways]
        return not any(refusals)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "would_be_queued": self.would_be_queued,
            "rules": [
                {"rule": s.rule, "words": s.words, "reply": _reply_json(s.reply)}
                for s in self.steps
            ],
            "recipients": [
                {"recipient": w.recipient, "route": w.route, "reply": _reply_json(w.reply)}
                for w in self.ways
            ],
            "added": list(self.added),
            "removed": list(self.removed),
            "signed_by": list(self.signers),
            "alignment": self.alignment or None,
            "size": self.size,
            "quotas": [limited_json(each) for each in self.limits],
        }


async def judge(parcel: Parcel, intake: Intake) -> Judgement:
    """Judge a parcel by every rule that it would meet.

    Raises:
        StoreUnavailableError: there is no telling.

    """
    envelope = await judge_envelope(parcel, intake)
    sender = Step("reverse-path", parcel.reverse_path or "<>", envelope.mail)
    if envelope.mail or envelope.account is None:
        return Judgement((sender,))
    account, at = envelope.account, now()
    limits = await intake.store.read(
        lambda reading: limited(reading, account, (), intake.defaults, at)
    )
    steps = [sender, *(_quota_step(each) for each in limits)]
    arrival = arrival_of(parcel, envelope)
    judged = await judge_beside(arrival, intake.acceptance, at)
    if not isinstance(judged, Reply):
        steps.append(Step("content", "header, From and Sender are in order"))
        judged = await ready_to_keep(arrival, judged, intake.acceptance)
    ways = _ways(parcel, envelope, intake)
    if isinstance(judged, Reply):
        steps.append(Step("content", judged.text, judged))
        return Judgement(tuple(steps), ways, limits=limits)
    return _favourable(parcel, judged, steps, ways, limits)


def _favourable(
    parcel: Parcel,
    judged: Accepted,
    steps: Sequence[Step],
    ways: tuple[Way, ...],
    limits: tuple[Limited, ...],
) -> Judgement:
    facts = judged.event.facts
    before, after = _names(with_clean_line_ends(parcel.content)), _names(b"".join(judged.pieces))
    return Judgement(
        steps=tuple(steps),
        ways=ways,
        added=tuple(n for n in after if after[n] > before.get(n, 0)),
        removed=tuple(n for n in before if before[n] > after.get(n, 0)),
        signers=tuple(str(facts.get("signed", "")).split()),
        alignment=str(facts.get("alignment", "")),
        size=judged.submission.size,
        limits=limits,
    )


def _quota_step(each: Limited) -> Step:
    use = each.use
    words = f"{use.used} of {use.most} {use.unit.value} in {use.window.words}"
    full = use.most is not None and use.used >= use.most
    return Step("quota", words, replies.QUOTA_SPENT.about(words) if full else None)


def _ways(parcel: Parcel, envelope: Envelope, intake: Intake) -> tuple[Way, ...]:
    ways = [Way(text, "", reply) for text, reply in envelope.refused.items()]
    for mailbox in envelope.forward_paths:
        if reason := envelope.dropped.get(mailbox.text):
            ways.append(Way(mailbox.text, f"dropped: {reason}"))
            continue
        held = intake.routing.placement(mailbox.domain) is DeliveryState.HELD
        hop = intake.routing.hop(mailbox.text, mailbox.domain)
        words = "held until somebody releases it" if held else _via_words(hop.via)
        ways.append(Way(mailbox.text, words))
    order = {text: number for number, text in enumerate(parcel.recipients)}
    return tuple(sorted(ways, key=lambda way: order.get(way.recipient, len(order))))


def _via_words(via: Via) -> str:
    match via:
        case ViaMx():
            return "its MX"
        case ViaSmtp(host, port):
            return f"smtp:{host}:{port}"
        case ViaLmtp(host, port):
            return f"lmtp:{host}:{port}"
        case ViaMaildir(directory):
            return f"maildir:{directory}"
        case ViaCapture():
            return "capture"
        case ViaDiscard():
            return "discard"
        case ViaHold():
            return "hold"


def _names(content: bytes) -> Mapping[str, int]:
    """Return how often each header field occurs, by name."""
    header = scan(content)
    if isinstance(header, HeaderFault):
        return {}
    counts: dict[str, int] = {}
    for name in header.names:
        counts[spell(name)] = counts.get(spell(name), 0) + 1
    return counts


def _reply_json(reply: Reply | None) -> dict[str, Any] | None:
    if reply is None:
        return None
    return {"code": reply.code, "status": reply.status, "text": reply.text}
