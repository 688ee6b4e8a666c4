"""Events and deliveries in sentences, for `trace` and everybody who reads over its shoulder.

Pure: what happened and the present time in, words out. Times are UTC.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from gatepost.events.crowd import MANY
from gatepost.model.delivery import Delivery, DeliveryState
from gatepost.model.event import Event, EventKind, Fact, LaterKind
from gatepost.model.quantities import duration_words, size_words
from gatepost.wire.smtp.reply_reader import Answered

_Facts = Mapping[str, Fact]
#: What is due for longer is worth a word: it should have been on its way.
_LATE: Final = timedelta(minutes=1)

#: What a refusal answered, where that is more than one recipient.
_ANSWERED: Final[Mapping[str, str]] = {
    Answered.SESSION: "the connection",
    Answered.MAIL: "MAIL",
    Answered.DATA: "DATA",
    Answered.CONTENT: "the whole message",
}


def sentence(event: Event, now: datetime) -> str:
    """Return one event in one sentence, without its time and without a full stop."""
    if isinstance(event.kind, LaterKind):
        return f"{event.kind.value} (only a newer Gatepost knows what that is)"
    return _SENTENCES[event.kind](event, now)


def standing(delivery: Delivery, now: datetime) -> str:
    """Return where a delivery stands now: for one that waits, until when and why."""
    if delivery.state is DeliveryState.DUE:
        return _waiting(delivery, now)
    if delivery.state is DeliveryState.LEASED:
        return "is being delivered" if delivery.attempts else "is on its way to its first attempt"
    if delivery.state is DeliveryState.HELD:
        return _because("is held until somebody releases it", delivery.reason)
    words = {
        DeliveryState.DELIVERED: "was delivered",
        DeliveryState.CAPTURED: "was captured: it is kept here, and left nowhere",
        DeliveryState.REFUSED: "was refused for good",
        DeliveryState.EXPIRED: "was given up: the time for trying is over",
        DeliveryState.CANCELLED: "was cancelled",
    }[delivery.state]
    outcome = delivery.last_outcome
    return f"{words}: {outcome.words}" if outcome and outcome.words else words


def time_words(at: datetime, now: datetime) -> str:
    """Return "12:05 UTC (in 5 min)", with the date where it is another day's."""
    same_day = at.date() == now.date()
    clock = at.strftime("%H:%M UTC" if same_day else "%Y-%m-%d %H:%M UTC")
    if abs(at - now) < timedelta(seconds=1):
        return f"{clock} (now)"
    span = duration_words(at - now)
    return f"{clock} (in {span})" if at > now else f"{clock} ({span} ago)"


def _waiting(delivery: Delivery, now: datetime) -> str:
    if delivery.next_attempt_at <= now:
        is_late = now - delivery.next_attempt_at >= _LATE
        since = f"since {time_words(delivery.next_attempt_at, now)}" if is_late else "now"
        words = f"is due {since}" if delivery.attempts else f"is due {since} for its first attempt"
    else:
        words = f"waits until {time_words(delivery.next_attempt_at, now)}"
    outcome = delivery.last_outcome
    reason = delivery.reason
    if not reason and outcome and delivery.attempts:
        reason = f"attempt {delivery.attempts} was deferred: {outcome.words}"
    return _because(words, reason)


def _because(words: str, reason: Fact | None) -> str:
    return f"{words}: {reason}" if reason else words


def _accepted(event: Event, now: datetime) -> str:
    facts = event.facts
    words = ["accepted"]
    if event.account:
        words.append(f"from account {event.account}")
    if client := facts.get("client"):
        words.append(f"at {client}")
    if mechanism := facts.get("mechanism"):
        words.append(f"by AUTH {mechanism}")
    if tls := facts.get("tls"):
        words.append(f"over {tls}")
    about = _about(facts, now)
    told = " ".join(words) + (f" ({', '.join(about)})" if about else "")
    return f"{told}; held: {facts['held']}" if facts.get("held") else told


def _about(facts: _Facts, now: datetime) -> list[str]:
    """Return what is told of an accepted message behind who brought it."""
    size, recipients = facts.get("size"), facts.get("recipients")
    about = []
    if isinstance(size, int):
        about.append(size_words(size))
    if isinstance(recipients, int):
        about.append(f"{recipients} recipient" + ("" if recipients == 1 else "s"))
    if lane := facts.get("lane"):
        about.append(f"lane {lane}")
    if pool := facts.get("pool"):
        about.append(f"pool {pool}")
    if stream := facts.get("stream"):
        about.append(f"stream {stream}, {facts.get('unsubscribe', '')}")
    if release_at := _time(facts.get("release_at")):
        about.append(f"to be sent at {time_words(release_at, now)}")
    if signed := facts.get("signed"):
        about.append(f"signed by {signed}")
    if alignment := facts.get("alignment"):
        about.append(f"DMARC: {alignment}")
    about += [f"{name.upper()} {facts[name]}" for name in ("spf", "dkim", "dmarc") if name in facts]
    return about


def _refused_at_door(event: Event, now: datetime) -> str:  # noqa: ARG001
    facts = event.facts
    who = f" {event.account}" if event.account else ""
    client = f" at {facts['client']}" if facts.get("client") else ""
    about = f" about {facts['address']}" if facts.get("address") else ""
    return _because(f"we refused{who}{client}{about}", _reply(facts))


def _attempted(event: Event, now: datetime) -> str:  # noqa: ARG001
    number = f"attempt {event.facts['attempt']}" if event.facts.get("attempt") else "attempt"
    return f"{number} begins{_to(event.facts)}"


def _handed_over(event: Event, now: datetime) -> str:  # noqa: ARG001
    facts = event.facts
    tls = f" over {facts['tls']}" if facts.get("tls") else ""
    return _because(f"delivered{_by(facts, 'to')}{tls}", _reply(facts))


def _deferred(event: Event, now: datetime) -> str:
    facts = event.facts
    attempt = f"attempt {facts['attempt']} was " if facts.get("attempt") else ""
    words = _because(f"{attempt}deferred{_by(facts)}{_what(facts)}", _reply(facts))
    if facts.get("reason") and facts["reason"] != facts.get("text"):
        words += f" - {facts['reason']}"
    again = _time(facts.get("next_attempt_at"))
    waits = "waits" if again and again > now else "waited"
    return f"{words}; {waits} until {time_words(again, now)}" if again else words


def _refused(event: Event, now: datetime) -> str:  # noqa: ARG001
    return _because(f"refused{_by(event.facts)}{_what(event.facts)}", _reply(event.facts))


def _expired(event: Event, now: datetime) -> str:  # noqa: ARG001
    facts = event.facts
    after = f" after {facts['attempt']} attempts" if facts.get("attempt") else ""
    said = _reply(facts)
    return f"given up{after}" + (f"; the last answer was: {said}" if said else "")


def _delayed(event: Event, now: datetime) -> str:  # noqa: ARG001
    return _because("the sender is told that it is delayed", event.facts.get("reason"))


def _returned(event: Event, now: datetime) -> str:  # noqa: ARG001
    to = f" to {event.facts['to']}" if event.facts.get("to") else ""
    what = {"success": "a report of success", "warning": "a notice of the delay"}
    sent = what.get(str(event.facts.get("about")), "a return")
    return _because(f"{sent} was sent{to}", event.facts.get("reason"))


def _return_dropped(event: Event, now: datetime) -> str:  # noqa: ARG001
    return _because("no return is sent", event.facts.get("reason") or "there is no reverse-path")


def _login(words: str) -> "Callable[[Event, datetime], str]":
    def told(event: Event, now: datetime) -> str:  # noqa: ARG001
        facts = event.facts
        who = event.account or facts.get("authcid") or "somebody"
        by = f" by {facts['mechanism']}" if facts.get("mechanism") else ""
        client = f" from {facts['client']}" if facts.get("client") else ""
        tag = f" [{facts['tag']}]" if facts.get("tag") not in {None, "", MANY} else ""
        return _because(f"{who} {words}{by}{client}{tag}", facts.get("reason"))

    return told


def _plain(words: str) -> "Callable[[Event, datetime], str]":
    def told(event: Event, now: datetime) -> str:  # noqa: ARG001
        by = f" by {event.facts['by']}" if event.facts.get("by") else ""
        return _because(words.format(account=event.account or "") + by, event.facts.get("reason"))

    return told


def _quota_warned(event: Event, now: datetime) -> str:  # noqa: ARG001
    facts = event.facts
    whose = f"{event.account} ({facts['credential']})" if "credential" in facts else event.account
    used, most, unit, window = (facts.get(k, "") for k in ("used", "limit", "unit", "window"))
    words = f"{used} of {most} {unit} per {window}"
    return f"{whose} has used {facts.get('percent', 80)} % of what it may send: {words}"


def _tls_broken(event: Event, now: datetime) -> str:  # noqa: ARG001
    length = event.facts.get("clear_for", 0)
    span = duration_words(timedelta(seconds=length)) if isinstance(length, int) else length
    words = f"TLS{_by(event.facts, 'with')} did not come about: it gets clear text for {span}"
    return _because(words, event.facts.get("text"))


def _worker_lost(event: Event, now: datetime) -> str:  # noqa: ARG001
    worker, silent, count = (event.facts.get(k, "") for k in ("worker", "silent", "deliveries"))
    return f"{worker} was not heard for {silent} s; {count} deliveries that it held are due again"


def _certificate(event: Event, now: datetime) -> str:  # noqa: ARG001
    return f"certificate {event.facts.get('file', '')}: {event.facts.get('reason', 'look at it')}"


def _clock_turned(event: Event, now: datetime) -> str:  # noqa: ARG001
    off = event.facts.get("off", 0)
    if not off:
        return "the clock is followed again"
    return f"the clock was set by {off:+} s; mail goes by the time that really passes"


def _hold(verb: str) -> "Callable[[Event, datetime], str]":
    def told(event: Event, now: datetime) -> str:  # noqa: ARG001
        facts = event.facts
        by = f" by {facts['by']}" if facts.get("by") else ""
        what = f'credential "{facts.get("credential", "")}" of {event.account}'
        return _because(f"{what} was {verb}{by}", facts.get("reason"))

    return told


def _egress(verb: str) -> "Callable[[Event, datetime], str]":
    def told(event: Event, now: datetime) -> str:  # noqa: ARG001
        facts = event.facts
        by = f" by {facts['by']}" if facts.get("by") else ""
        words = f"source address {facts.get('source', '')} {verb}{by}"
        return _because(words, facts.get("reason"))

    return told


def _unlocked(event: Event, now: datetime) -> str:  # noqa: ARG001
    facts = event.facts
    by = f" by {facts['by']}" if facts.get("by") else ""
    return f"logins of {facts.get('what', 'somebody')} were unlocked{by}"


def _alignment_warned(event: Event, now: datetime) -> str:  # noqa: ARG001
    facts = event.facts
    words = f"mail of {facts.get('domain', '')} will not pass DMARC"
    mend = f"; {facts['mend']}" if facts.get("mend") else ""
    return _because(words, facts.get("reason")) + mend


def _looked(words: str) -> "Callable[[Event, datetime], str]":
    def told(event: Event, now: datetime) -> str:  # noqa: ARG001
        facts = event.facts
        return _because(f"sending domain {facts.get('domain', '')} {words}", facts.get("reason"))

    return told


def _proof(words: str) -> "Callable[[Event, datetime], str]":
    def told(event: Event, now: datetime) -> str:  # noqa: ARG001
        facts = event.facts
        said = words.format(until=facts.get("until", ""))
        return f"the proof of {event.account} for {facts.get('domain', '')} {said}"

    return told


def _signature_broken(event: Event, now: datetime) -> str:  # noqa: ARG001
    facts = event.facts
    words = f"a signature of ours by {facts.get('signed', 'somebody')} did not verify"
    return _because(words, facts.get("reason"))


def _bulk_neared(event: Event, now: datetime) -> str:  # noqa: ARG001
    facts = event.facts
    return (
        f"{facts.get('domain', '')} has written to {facts.get('count', '')} recipients at"
        f" {facts.get('provider', '')} today; from {facts.get('limit', '')} on it is a bulk sender"
    )


def _domain(verb: str) -> "Callable[[Event, datetime], str]":
    def told(event: Event, now: datetime) -> str:  # noqa: ARG001
        facts = event.facts
        by = f" by {facts['by']}" if facts.get("by") else ""
        return _because(
            f"sending domain {facts.get('domain', '')} was {verb}{by}", facts.get("change")
        )

    return told


def _suppressed(event: Event, now: datetime) -> str:  # noqa: ARG001
    recipient = event.facts.get("recipient", "a recipient")
    return _because(f"{recipient} was dropped, as the account wants it", event.facts.get("reason"))


def _suppression(verb: str) -> "Callable[[Event, datetime], str]":
    def told(event: Event, now: datetime) -> str:  # noqa: ARG001
        facts = event.facts
        whose = f" for {event.account}" if event.account else ""
        kind = f" as {facts['class']}" if facts.get("class") else ""
        kind += f" from {facts['stream']}" if facts.get("stream") else ""
        by = f" by {facts['by']}" if facts.get("by") else ""
        subject = facts.get("subject") or f"a list of {facts.get('count', 0)}"
        return _because(f"{subject} {verb}{whose}{kind}{by}", facts.get("reason"))

    return told


def _reply(facts: _Facts) -> str:
    return " ".join(str(facts[k]) for k in ("code", "status", "text") if facts.get(k))


def _by(facts: _Facts, preposition: str = "by") -> str:
    host, address = facts.get("host"), facts.get("address")
    ours = " from {}" if preposition == "to" else " (called from {})"
    source = ours.format(facts["source"]) if facts.get("source") else ""
    if not host and not address:
        return source
    where = f"{host} [{_ip(str(address))}]{_port(str(address))}" if address and host else ""
    return f" {preposition} {where or host or address}{source}"


def _what(facts: _Facts) -> str:
    """Return what of ours was refused, where that is not the recipient alone."""
    answered = _ANSWERED.get(str(facts.get("answered", "")))
    return f" in reply to {answered}" if answered else ""


def _to(facts: _Facts) -> str:
    return _by(facts, "to")


def _ip(address: str) -> str:
    return address.rpartition(":")[0].strip("[]") or address


def _port(address: str) -> str:
    head, _, port = address.rpartition(":")
    return f":{port}" if head else ""


def _time(fact: Fact | None) -> datetime | None:
    try:
        return datetime.fromisoformat(fact) if isinstance(fact, str) else None
    except ValueError:
        return None


_SENTENCES: Final[Mapping[EventKind, Callable[[Event, datetime], str]]] = {
    EventKind.ACCEPTED: _accepted,
    EventKind.REPEATED: _plain("sent again under its idempotency key: nothing more was queued"),
    EventKind.REFUSED_AT_DOOR: _refused_at_door,
    EventKind.ATTEMPTED: _attempted,
    EventKind.DELIVERED: _handed_over,
    EventKind.CAPTURED: _plain("captured: kept here for looking at, nothing left the machine"),
    EventKind.DISCARDED: _plain("discarded, as the route says"),
    EventKind.DEFERRED: _deferred,
    EventKind.REFUSED: _refused,
    EventKind.EXPIRED: _expired,
    EventKind.DELAYED: _delayed,
    EventKind.HELD: _plain("held"),
    EventKind.RELEASED: _plain("released"),
    EventKind.RETRIED: _plain("sent for another attempt now"),
    EventKind.CANCELLED: _plain("cancelled"),
    EventKind.RESTORED: _plain("its row was made anew"),
    EventKind.RETURNED: _returned,
    EventKind.RETURN_DROPPED: _return_dropped,
    EventKind.ALIGNMENT_WARNED: _alignment_warned,
    EventKind.BULK_NEARED: _bulk_neared,
    EventKind.LOGIN_SUCCEEDED: _login("logged in"),
    EventKind.LOGIN_REFUSED: _login("was refused a login"),
    EventKind.LOGIN_UNLOCKED: _unlocked,
    EventKind.ACCOUNT_ADDED: _plain("account {account} was added"),
    EventKind.ACCOUNT_CHANGED: _plain("account {account} was changed"),
    EventKind.ACCOUNT_EXPOSED: _plain(
        "a password of account {account} came in clear, and was right"
    ),
    EventKind.ACCOUNT_REMOVED: _plain("account {account} was removed"),
    EventKind.QUOTA_WARNED: _quota_warned,
    EventKind.SUPPRESSED: _suppressed,
    EventKind.SUPPRESSION_ADDED: _suppression("was suppressed"),
    EventKind.SUPPRESSION_REMOVED: _suppression("is suppressed no longer"),
    EventKind.SUPPRESSION_IMPORTED: _suppression("was suppressed"),
    EventKind.CREDENTIAL_HELD: _hold("held"),
    EventKind.CREDENTIAL_RELEASED: _hold("released"),
    EventKind.API_KEY_ADDED: _plain("an API key was added"),
    EventKind.API_KEY_REVOKED: _plain("an API key was revoked"),
    EventKind.DOMAIN_ADDED: _domain("added"),
    EventKind.DOMAIN_CHANGED: _domain("changed"),
    EventKind.DOMAIN_REMOVED: _domain("removed"),
    EventKind.DOMAIN_FAILING: _looked("lacks something in the DNS"),
    EventKind.DOMAIN_PASSING: _looked("has all that it needs in the DNS"),
    EventKind.DOMAIN_PROOF_MISSING: _proof("is gone from the DNS; it may send until {until}"),
    EventKind.DOMAIN_PROOF_LAPSED: _proof("stayed away: it may not send as it any more"),
    EventKind.SIGNATURE_BROKEN: _signature_broken,
    EventKind.EGRESS_PAUSED: _egress("was paused"),
    EventKind.EGRESS_RESUMED: _egress("was resumed"),
    EventKind.TLS_BROKEN: _tls_broken,
    EventKind.WORKER_LOST: _worker_lost,
    EventKind.CLOCK_TURNED: _clock_turned,
    EventKind.CERTIFICATE_EXPIRING: _certificate,
}
