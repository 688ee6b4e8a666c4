"""Play a client against any mail server, and say what is in the way: no DATA, no message.

The dialogue is `probe_visit.py`, what was seen `probe_seen.py`, what it means `probe_findings.py`.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from gatepost.net.resolver import Resolver
from gatepost.operate.probe_finding import Finding, Grade
from gatepost.operate.probe_findings import Advice, advice, findings, provider_of
from gatepost.operate.probe_login import Login
from gatepost.operate.probe_names import look_up
from gatepost.operate.probe_seen import ALL_PORTS, PortSeen, Seen, Wanted
from gatepost.operate.probe_talk import Clock, Patience
from gatepost.operate.probe_texts import Provider, known_texts
from gatepost.operate.probe_transcript import Veil
from gatepost.operate.probe_visit import Visit, visit
from gatepost.wire.smtp.client_events import Envelope


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What to probe. `port` None: 587, 465 and 25 at once.

    `reverse_path` and `forward_path` None: the name one logs in with, where it is an address and
    the login is accepted; else no rehearsal. `authorities`: a PEM file of the authorities to trust
    instead of the system's.
    """

    host: str
    port: int | None = None
    login: Login | None = None
    reverse_path: str | None = None
    forward_path: str | None = None
    authorities: Path | None = None
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True, slots=True)
class Probed:
    """What was seen, what it means, and what to set in a client (None: nothing works)."""

    seen: Seen
    findings: tuple[Finding, ...]
    provider: Provider | None
    advice: Advice | None

    @property
    def is_well(self) -> bool:
        """Whether no problem was found."""
        return all(finding.grade is not Grade.PROBLEM for finding in self.findings)


async def probe(
    inquiry: Inquiry, *, now: datetime, resolver: Resolver, ports: Sequence[int] = ALL_PORTS
) -> Probed:
    """Look, and explain. Whatever a server does is an answer, within `patience.total` seconds.

    Args:
        inquiry: what to probe.
        now: the time by which certificates are judged.
        resolver: the one that is asked for the host; the caller closes it.
        ports: what is tried where the inquiry names none.

    """
    clock = Clock(inquiry.patience)
    names = await look_up(inquiry.host, resolver, clock)
    chosen = tuple(ports) if inquiry.port is None else (inquiry.port,)
    seen = Seen(_wanted(inquiry), names)
    if names.addresses:
        seen = replace(seen, ports=await _visit_all(inquiry, names.addresses, chosen, clock))
    seen = replace(seen, took=clock.now() - clock.start)
    texts = known_texts()
    veil = _veil(inquiry)
    found = (replace(f, heard=veil.over(f.heard)) for f in findings(seen, texts, now))
    return Probed(seen, tuple(found), provider_of(seen, texts), advice(seen))


async def _visit_all(
    inquiry: Inquiry, addresses: Sequence[str], ports: Sequence[int], clock: Clock
) -> tuple[PortSeen, ...]:
    """Visit the ports at once, and log in at one of them only: failures are counted there."""
    first = ports[0]
    seen = await asyncio.gather(
        *(visit(_visit(inquiry, addresses, p, logs_in=p == first), clock) for p in ports)
    )
    by_port = dict(zip(ports, seen, strict=True))
    if inquiry.login is not None:
        for port in ports[1:]:
            if any(s.login is not None and s.login.withheld is None for s in by_port.values()):
                break
            if by_port[port].mechanisms:
                again = _visit(inquiry, addresses, port, logs_in=True)
                by_port[port] = await visit(again, clock)
    return tuple(by_port.values())


def _visit(inquiry: Inquiry, addresses: Sequence[str], port: int, *, logs_in: bool) -> Visit:
    login = inquiry.login if logs_in else None
    asked = inquiry.reverse_path is not None or inquiry.forward_path is not None
    own = _own_address(inquiry.login)
    reverse = inquiry.reverse_path if inquiry.reverse_path is not None else own
    forward = inquiry.forward_path or own
    envelope = None
    if (asked or login is not None) and (reverse is not None or asked):
        envelope = Envelope(reverse or "", (forward,) if forward else ())
    return Visit(
        inquiry.host,
        addresses,
        port,
        login,
        envelope,
        unasked_rehearsal=not asked,
        authorities=inquiry.authorities,
    )


def _own_address(login: Login | None) -> str | None:
    """Return the name one logs in with, where it can stand in a command as an address."""
    name = login.username if login else ""
    is_fit = name.isascii() and name.isprintable() and not set(name) & set("<> ")
    return name if is_fit and "@" in name else None


def _wanted(inquiry: Inquiry) -> Wanted:
    login = inquiry.login
    if login is None:
        return Wanted(inquiry.host, inquiry.port)
    return Wanted(
        inquiry.host,
        inquiry.port,
        login.username,
        login.mechanism or "",
        password_has_space=any(c.isspace() for c in login.password.reveal()),
    )


def _veil(inquiry: Inquiry) -> Veil:
    login = inquiry.login
    return Veil(login.username, login.password.reveal()) if login else Veil()
