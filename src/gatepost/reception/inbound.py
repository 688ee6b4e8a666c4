"""Who really wrote this: SPF, DKIM and DMARC for mail that servers bring to local domains.

What was found stands in Authentication-Results before the message; forged ones in our name are
taken out (RFC 8601 §5). The author's domain may ask for more (RFC 9989): by setting, it gets it.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final

from gatepost.model.event import Fact
from gatepost.model.settings import InboundSettings
from gatepost.net.dns_shares import Shares
from gatepost.net.dns_steps import Knows, evaluated
from gatepost.net.resolver import Resolver
from gatepost.reception.accept import Accepted
from gatepost.reception.arrival import Arrival
from gatepost.reception.brought import verdicts
from gatepost.reception.fixups import without
from gatepost.wire.dkim.verify import DkimResult, DkimVerdict
from gatepost.wire.message.addresses import a_labels, authors_of
from gatepost.wire.message.authentication_results import Findings, forged_fields, results_field
from gatepost.wire.message.header import Header, HeaderFault, scan, value_of
from gatepost.wire.records.dmarc import DmarcResult, DmarcVerdict, Policy, evaluate
from gatepost.wire.records.spf import SpfResult
from gatepost.wire.records.spf_check import SpfFacts, SpfVerdict, check_host
from gatepost.wire.smtp.notification import Notify, RecipientWishes
from gatepost.wire.smtp.replies import BAD_CONTENT, CANNOT_VERIFY_AUTHOR, DMARC_REFUSED, Reply

#: Seconds for all look-ups of one message: RFC 7208 §4.6.4 asks for 20 at least, and RFC 6409 §5.3
#: leaves 120 until the reply.
PATIENCE: Final = 20.0
_NEVER: Final = RecipientWishes(Notify.NEVER)
#: From with authors in more domains than this is not judged by some of them: it is refused where
#: DMARC is enforced.
_MOST_AUTHORS: Final = 4
#: Worst first: what a message of several authors comes to.
_ORDER: Final = (DmarcResult.FAIL, DmarcResult.TEMPORARY, DmarcResult.NONE, DmarcResult.PASS)


@dataclass(frozen=True, slots=True)
class _Message:
    """A message as it came, its header scanned, and the domains of its authors in A-labels; `unclear`
    says why there are none.
    """

    content: bytes
    header: Header
    authors: tuple[str, ...]
    unclear: str = ""


class Inbound:
    """Examines mail for local domains. One per worker."""

    def __init__(
        self,
        resolver: Resolver,
        settings: InboundSettings,
        hostname: str,
        *,
        patience: float = PATIENCE,
    ) -> None:
        """Take a resolver that nobody else depends on: strangers decide what is asked."""
        self._shares = Shares(resolver)
        self._settings = settings
        self._hostname = hostname
        self._patience = patience

    async def examine(self, arrival: Arrival, accepted: Accepted) -> Accepted | Reply:
        """Return the message with our findings before it, or the reply that refuses it."""
        content = b"".join(accepted.pieces[1:])
        header = scan(content)
        if isinstance(header, HeaderFault):
            return accepted  # it was scanned before, and taken
        message = _message(content, header)
        forged = forged_fields(content, header, self._hostname)
        if not self._settings.verify:
            accepted = _unreported(accepted)
            return _with(accepted, b"", tuple(without(content, forged))) if forged else accepted
        findings = await self._find_out(arrival, accepted, message)
        if refusal := self._judge(findings, message):
            return refusal
        if not _is_proven(arrival.reverse_path, findings):
            accepted = _unreported(accepted)
        field = results_field(self._hostname, findings)
        pieces = tuple(without(content, forged)) if forged else (content,)
        examined = _with(accepted, field, pieces)
        facts = {**examined.event.facts, **_facts(findings)}
        return replace(examined, event=replace(examined.event, facts=facts))

    async def _find_out(self, arrival: Arrival, accepted: Accepted, message: _Message) -> Findings:
        until = asyncio.get_running_loop().time() + self._patience
        now = int(accepted.submission.received_at.timestamp())
        resolver = self._shares.on_behalf_of(arrival.origination.client_address)
        spf, dkim = await asyncio.gather(
            self._spf(arrival, resolver, now, until),
            verdicts(message.content, resolver, now, until),
        )
        passed = [v.signature.domain for v in dkim if v.result is DkimResult.PASS and v.signature]
        spf_domain = spf.domain if spf.result is SpfResult.PASS else ""
        unsure = spf.result is SpfResult.TEMPORARY or any(
            v.result is DkimResult.TEMPORARY for v in dkim
        )
        dmarc = await _dmarc(message.authors, (passed, spf_domain), resolver, until)
        if unsure and dmarc.result is DmarcResult.FAIL:
            dmarc = replace(dmarc, result=DmarcResult.TEMPORARY)
        return Findings(spf, dkim, dmarc, spf_is_of_helo=not arrival.reverse_path)

    async def _spf(self, arrival: Arrival, resolver: Knows, now: int, until: float) -> SpfVerdict:
        local_part, at, domain = arrival.reverse_path.rpartition("@")
        sender = f"{local_part}@{a_labels(domain) or domain}" if at else ""
        facts = SpfFacts(
            client=ip_address(arrival.origination.client_address),
            sender=sender,
            helo=arrival.origination.client_name,
            receiver=self._hostname,
            now=now,
        )
        try:
            async with asyncio.timeout_at(until):
                return await evaluated(check_host(facts), resolver)
        except TimeoutError:
            return SpfVerdict(
                SpfResult.TEMPORARY, sender.rpartition("@")[2] or facts.helo, reason="no answer"
            )

    def _judge(self, findings: Findings, message: _Message) -> Reply | None:
        dmarc = findings.dmarc
        if dmarc.result is DmarcResult.TEMPORARY and self._settings.dns_trouble == "defer":
            return CANNOT_VERIFY_AUTHOR.about(dmarc.author)
        if self._settings.dmarc != "enforce":
            return None
        if dmarc.result is DmarcResult.PERMANENT:
            return BAD_CONTENT.about(message.unclear or "From has authors of too many domains")
        if dmarc.result is DmarcResult.FAIL and dmarc.policy is Policy.REJECT:
            return DMARC_REFUSED.about(
                f"neither SPF nor DKIM passes for {dmarc.author}, whose owner asks to refuse it"
            )
        return None


async def _dmarc(
    authors: Sequence[str], passed: tuple[Sequence[str], str], resolver: Knows, until: float
) -> DmarcVerdict:
    """Return the verdict, of several authors the worst; `passed` are the domains for which DKIM and
    SPF did.
    """
    if not 0 < len(authors) <= _MOST_AUTHORS:
        return DmarcVerdict(DmarcResult.PERMANENT, authors[0] if authors else "")
    judged = []
    for author in authors:
        try:
            async with asyncio.timeout_at(until):
                verdict = await evaluated(evaluate(author, *passed), resolver)
        except TimeoutError:
            verdict = DmarcVerdict(DmarcResult.TEMPORARY, author)
        judged.append(verdict)
    return min(judged, key=lambda v: (_ORDER.index(v.result), -list(Policy).index(v.policy)))


def _message(content: bytes, header: Header) -> _Message:
    """Return a message with the domains of From in A-labels, each once; none where that field can be
    read in several ways, or names nobody.
    """
    fields = header.named(b"from")
    found = authors_of(value_of(content, fields[0])) if len(fields) == 1 else ()
    if isinstance(found, HeaderFault):
        return _Message(content, header, (), HeaderFault(found.flaw, "From").words)
    labels = (a_labels(address.rpartition("@")[2]) for address in found)
    domains = tuple(dict.fromkeys(domain for domain in labels if domain))
    return _Message(content, header, domains, "" if domains else "From: names no address")


def _with(accepted: Accepted, field: bytes, content: tuple[bytes, ...]) -> Accepted:
    """Return a message with a field before its prefix and with this as its content."""
    pieces = (field + accepted.pieces[0], *content)
    size = sum(map(len, pieces))
    return replace(
        accepted,
        submission=replace(accepted.submission, size=size),
        pieces=pieces,
        event=replace(accepted.event, facts={**accepted.event.facts, "size": size}),
    )


def _is_proven(reverse_path: str, findings: Findings) -> bool:
    """Tell whether a report would go to whom the message came from: its reverse-path's domain lets this
    client send (SPF), or is the author's, for whom DMARC passed.
    """
    if findings.spf.result is SpfResult.PASS and not findings.spf_is_of_helo:
        return True
    domain = reverse_path.rpartition("@")[2]
    return findings.dmarc.result is DmarcResult.PASS and findings.dmarc.author == domain


def _unreported(accepted: Accepted) -> Accepted:
    """Return a message of which nobody hears again, here or behind a next hop that knows DSN: a
    report to a forged reverse-path would be mail that its owner never asked for (RFC 5321 §6.2).
    """
    deliveries = tuple(replace(each, wishes=_NEVER) for each in accepted.deliveries)
    return replace(accepted, deliveries=deliveries)


def _facts(findings: Findings) -> dict[str, Fact]:
    dmarc = findings.dmarc
    asked = f" (policy {dmarc.policy.value})" if dmarc.applicable else ""
    return {
        "spf": f"{findings.spf.result.value} {findings.spf.domain}".strip(),
        "dkim": _dkim_words(findings.dkim),
        "dmarc": f"{dmarc.result.value} {dmarc.author}".strip() + asked,
    }


def _dkim_words(verdicts: Iterable[DkimVerdict]) -> str:
    words = (
        f"{v.result.value} {v.signature.domain}" if v.signature else v.result.value
        for v in verdicts
    )
    return ", ".join(dict.fromkeys(words)) or "none"
