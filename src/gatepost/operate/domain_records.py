"""What the DNS must say for a sending domain: its records, as values and as lines of a zone.

SPF (RFC 7208), DKIM (RFC 6376), DMARC (RFC 9989), MTA-STS (RFC 8461), TLS-RPT (RFC 8460).
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from gatepost.events.journal import time_text
from gatepost.model.domain import DkimKey, Domain
from gatepost.model.domain_claim import DomainClaim
from gatepost.model.domain_look import DomainLook, Finding
from gatepost.model.settings import Role, Settings
from gatepost.model.source import DEFAULT, Source
from gatepost.queue.presence import heard
from gatepost.store.protocols import Reading
from gatepost.wire.records.dkim_key import dkim_key_text, key_name
from gatepost.wire.records.txt import txt_strings

TTL: Final = 3600
#: Seconds for which senders keep a policy: a week, until all is known to work (RFC 8461 §3.2).
_POLICY_AGE: Final = 604_800


class Purpose(StrEnum):
    """What a record is for."""

    SPF = "SPF"
    DKIM = "DKIM"
    DMARC = "DMARC"
    MX = "MX"
    MTA_STS = "MTA-STS"
    TLS_RPT = "TLS-RPT"


@dataclass(frozen=True, slots=True)
class Sending:
    """What records depend on besides the domain: the name that mail leaves from, the label of
    return paths' domains, the domains whose mail we take, and the addresses that mail leaves from
    where they are chosen. `of_hostname`: some leaves as the system chooses.
    """

    hostname: str
    return_path: str = "bounces"
    receives: frozenset[str] = frozenset()
    addresses: tuple[str, ...] = ()
    of_hostname: bool = True

    @property
    def spf_terms(self) -> tuple[str, ...]:
        """Return what SPF records must allow (RFC 7208 §5.3, §5.6)."""
        named = (f"a:{self.hostname}",) if self.of_hostname or not self.addresses else ()
        return (*named, *(f"ip{6 if ':' in each else 4}:{each}" for each in self.addresses))

    @property
    def senders(self) -> str:
        """Return in words who sends."""
        named = (self.hostname,) if self.of_hostname or not self.addresses else ()
        return ", ".join((*named, *self.addresses))


@dataclass(frozen=True, slots=True)
class Record:
    """One record to publish: `name` is absolute, without the final dot; `text` a TXT record's, its
    strings joined, or an MX record's "10 relay.example."; `why` says in a line what it does.
    `optional`: good to have, nothing is wrong without it.
    """

    purpose: Purpose
    name: str
    text: str
    why: str
    kind: str = "TXT"
    optional: bool = False


@dataclass(frozen=True, slots=True)
class StsPolicy:
    """A policy to be served at `url` with a certificate that is good for its host (RFC 8461 §3.3)."""

    url: str
    text: str


def sending_from(settings: Settings, elsewhere: Iterable[Source] = ()) -> Sending:
    """Return what records depend on, out of the settings, and of what other nodes call from."""
    takes_mail = any(listener.role is Role.MX for listener in settings.listeners)
    local = frozenset(domain.name for domain in settings.local_domains) if takes_mail else ()
    ours = [each.source for each in settings.egress]
    sources = dict.fromkeys(a for each in (*ours, *elsewhere) for a in each.addresses)
    return Sending(
        settings.hostname,
        settings.domains.return_path,
        frozenset(local),
        tuple(sources),
        of_hostname=not any(DEFAULT in each.pools for each in ours),
    )


def announced_sources(reading: Reading) -> tuple[Source, ...]:
    """Return what nodes that run call from."""
    alive = heard(reading.presences(), reading.time())
    return tuple(dict.fromkeys(each.source for one in alive for each in one.sources))


def records_of(domain: Domain, sending: Sending) -> tuple[Record, ...]:
    """Return everything to publish, what is needed first."""
    name = domain.name
    needed = (
        Record(
            Purpose.SPF,
            name,
            f"v=spf1 {' '.join(sending.spf_terms)} ~all",
            f"{sending.senders} may send mail with this domain in its return path",
        ),
        *(key_record(domain, key) for key in domain.keys),
        Record(
            Purpose.DMARC,
            f"_dmarc.{name}",
            "v=DMARC1; p=none",
            "large receivers want a policy; make it stricter when all your mail passes. Not needed"
            " where a domain above has one",
        ),
    )
    inbound = (each for host in inbound_hosts(domain, sending) for each in _inbound(host, sending))
    return (*needed, *inbound)


def inbound_hosts(domain: Domain, sending: Sending) -> tuple[str, ...]:
    """Return the domains, at or below this one, whose mail comes to us: the return path's, and
    those that we take mail for.
    """
    local = (h for h in sorted(sending.receives) if f".{h}".endswith(f".{domain.name}"))
    return tuple(dict.fromkeys((f"{sending.return_path}.{domain.name}", *local)))


def _inbound(host: str, sending: Sending) -> Iterator[Record]:
    optional = host not in sending.receives
    if host.startswith(f"{sending.return_path}."):
        yield Record(
            Purpose.SPF,
            host,
            f"v=spf1 {' '.join(sending.spf_terms)} -all",
            "the same for a return path of its own",
            optional=optional,
        )
    why = f"mail for {host}, such as bounces to a return path there, comes to this relay"
    mx = f"10 {sending.hostname}."
    yield Record(Purpose.MX, host, mx, why, kind="MX", optional=optional)
    policy = sts_policy(host, sending)
    yield Record(
        Purpose.MTA_STS,
        f"_mta-sts.{host}",
        f"v=STSv1; id={hashlib.sha256(policy.text.encode()).hexdigest()[:20]}",
        f"others shall use TLS for mail to {host}; the policy is to be served at {policy.url}",
        optional=True,
    )
    yield Record(
        Purpose.TLS_RPT,
        f"_smtp._tls.{host}",
        f"v=TLSRPTv1; rua=mailto:postmaster@{host}",
        "others report to whom their TLS failed",
        optional=True,
    )


def sts_policy(host: str, sending: Sending) -> StsPolicy:
    """Return the policy for a domain whose mail comes to us; lines end with CRLF (RFC 8461 §3.2)."""
    lines = (
        "version: STSv1", "mode: testing", f"mx: {sending.hostname}", f"max_age: {_POLICY_AGE}",
    )  # fmt: skip
    url = f"https://mta-sts.{host}/.well-known/mta-sts.txt"
    return StsPolicy(url, "".join(f"{line}\r\n" for line in lines))


def key_record(domain: Domain, key: DkimKey) -> Record:
    """Return the record of one key."""
    return Record(
        Purpose.DKIM,
        key_name(key.selector, domain.name),
        dkim_key_text(key.algorithm, key.public),
        f"{key.algorithm.value} key, {key.state.value}",
    )


def zone_line(record: Record) -> str:
    """Return a record as a line of a zone file, long texts in strings of 255 octets (BIND)."""
    text = record.text
    if record.kind == "TXT":
        strings = txt_strings(text)
        text = strings[0]
        if len(strings) > 1:
            text = "( " + "\n    ".join(strings) + " )"
    return f"{record.name}. {TTL} IN {record.kind} {text}"


def zone_snippet(records: Iterable[Record]) -> str:
    """Return the records as lines of a zone file, each with what it is for."""
    lines = []
    for record in records:
        word = " (optional)" if record.optional else ""
        lines.append(f"; {record.purpose}{word}: {record.why}\n{zone_line(record)}")
    return "\n".join(lines)


def domain_json(
    domain: Domain,
    sending: Sending,
    look: DomainLook | None = None,
    claims: Iterable[DomainClaim] = (),
) -> dict[str, Any]:
    """Return a domain as plain values, the shape of `--json`; no private key among them. `look` is
    the last look at the DNS.
    """
    records = records_of(domain, sending)
    policies = [sts_policy(host, sending) for host in inbound_hosts(domain, sending)]
    return {
        "name": domain.name,
        "created_at": time_text(domain.created_at),
        "unpublished_key": domain.unpublished,
        "keys": [
            {
                "selector": key.selector,
                "algorithm": key.algorithm.value,
                "state": key.state.value,
                "created_at": time_text(key.created_at),
                "retired_at": time_text(key.retired_at) if key.retired_at else None,
                "published": key.selector in look.published if look else None,
            }
            for key in domain.keys
        ],
        "records": [_record_json(record) for record in records],
        "mta_sts": [{"url": policy.url, "policy": policy.text} for policy in policies],
        "zone": zone_snippet(records),
        "last_look": _look_json(look) if look else None,
        "unproven": domain.unproven,
        "claims": [claim_json(claim) for claim in claims],
    }


def claim_json(claim: DomainClaim) -> dict[str, Any]:
    """Return an account's claim as plain values, with the record that proves it."""
    return {
        "account": claim.account,
        "name": claim.record_name,
        "text": claim.record_text,
        "created_at": time_text(claim.created_at),
        "proven_at": time_text(claim.proven_at) if claim.proven_at else None,
        "missing_since": time_text(claim.missing_since) if claim.missing_since else None,
    }


def _look_json(look: DomainLook) -> dict[str, Any]:
    return {
        "looked_at": time_text(look.looked_at),
        "health": look.health.value,
        "since": time_text(look.since),
        "findings": [finding_json(finding) for finding in look.findings],
    }


def finding_json(finding: Finding) -> dict[str, Any]:
    """Return a finding as plain values."""
    return {
        "purpose": finding.purpose,
        "name": finding.name,
        "standing": finding.standing.value,
        "what": finding.what,
        "mend": finding.mend,
    }


def _record_json(record: Record) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "purpose": record.purpose.value,
        "type": record.kind,
        "name": record.name,
        "text": record.text,
        "why": record.why,
        "optional": record.optional,
    }
    if record.kind == "TXT":
        shown["strings"] = [string[1:-1] for string in txt_strings(record.text)]
    return shown
