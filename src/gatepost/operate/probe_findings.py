"""From what was seen to what it means: pure rules over all ports of a host."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from gatepost.operate.probe_finding import Finding, Grade
from gatepost.operate.probe_findings_login import login_findings, said
from gatepost.operate.probe_findings_tls import starts_with_tls, tls_findings
from gatepost.operate.probe_seen import (
    RELAY,
    SUBMISSION,
    SUBMISSIONS,
    Breach,
    Broken,
    PortSeen,
    Seen,
    Stage,
)
from gatepost.operate.probe_texts import Provider, Texts

#: Seconds. RFC 5321 §4.5.3.2.1 has clients wait 300; many wait 10 to 30.
_SLOW: Final = 8.0
_STRANGERS: Final[tuple[tuple[bytes, str], ...]] = (
    (b"HTTP/", "HTTP: a web server"),
    (b"<!DOCTYPE", "HTTP: a web server"),
    (b"<html", "HTTP: a web server"),
    (b"+OK", "POP3"),
    (b"* OK", "IMAP"),
    (b"* BYE", "IMAP"),
    (b"SSH-", "SSH"),
    (b"RFB ", "VNC"),
    (b"\x15\x03", "TLS"),
    (b"\x16\x03", "TLS"),
)


@dataclass(frozen=True, slots=True)
class Advice:
    """What to set in a client. `security` is "SSL/TLS" or "STARTTLS"; `mechanism` "" where no
    login was tried.
    """

    host: str
    port: int
    security: str
    mechanism: str = ""


def findings(seen: Seen, texts: Texts, now: datetime) -> tuple[Finding, ...]:
    """Return what is to be said about a host, problems first, each port's together."""
    provider = provider_of(seen, texts)
    found = [*_names(seen), *_reach(seen)]
    for port in seen.ports:
        if port.is_open:
            found += _of_port(port, seen, provider, texts, now)
    found = list(dict.fromkeys(found))
    if seen.wanted.port is None and advice(seen) is not None:
        # One good way is enough: what ails the others is good to know.
        best = advice(seen)
        found = [_as_note(f) if best and f.port not in {None, best.port} else f for f in found]
    return tuple(sorted(found, key=lambda f: f.grade is Grade.NOTE))


def provider_of(seen: Seen, texts: Texts) -> Provider | None:
    """Return whose server it is, as far as we know it."""
    words = []
    for port in seen.ports:
        words += [port.greeting.text] if port.greeting else []
    return texts.provider_of(seen.wanted.host, " ".join(words))


def advice(seen: Seen) -> Advice | None:
    """Return the best way to submit mail there; None where none was found good.

    RFC 8314 §3.3 prefers 465; we stay with the first that works, a proven login before all.
    """
    good = [p for p in seen.ports if p.mechanisms and (p.is_trusted or (p.tls and p.is_loopback))]
    good = [p for p in good if p.broken is None and (p.login is None or p.login.accepted)]
    if not good or (seen.wanted.username and not any(p.login for p in good)):
        return None
    best = max(good, key=lambda p: (p.login is not None, p.port != RELAY))
    return Advice(
        seen.wanted.host,
        best.port,
        "SSL/TLS" if best.implicit else "STARTTLS",
        best.login.mechanism if best.login else "",
    )


def _as_note(finding: Finding) -> Finding:
    return replace(finding, grade=Grade.NOTE)


def _of_port(
    port: PortSeen, seen: Seen, provider: Provider | None, texts: Texts, now: datetime
) -> Iterator[Finding]:
    yield from starts_with_tls(port)
    if port.strange:
        yield _not_smtp(port)
    elif port.broken is not None:
        yield _broken(port, port.broken, provider, texts)
    if port.greeting is not None and port.greeting_took > _SLOW:
        yield Finding(
            Grade.NOTE,
            "greeting-slow",
            port.port,
            f"the greeting took {port.greeting_took:.0f} s",
            "the server looks up this machine's name in DNS, or lets strangers wait on purpose",
            "give the client a time-out of a minute or more; let the operator look at its DNS",
        )
    yield from tls_findings(port, seen.wanted.host, provider, now)
    if port.starttls is not None and port.starttls.code >= 400:
        yield said(port, Stage.STARTTLS, port.starttls, provider, texts)
    yield from login_findings(port, seen.wanted, provider, texts)


# -- names


def _names(seen: Seen) -> Iterator[Finding]:
    names, host = seen.names, seen.wanted.host
    if names.addresses:
        if (
            names.exchangers
            and host not in names.exchangers
            and not any(p.is_open for p in seen.ports)
        ):
            yield _is_a_domain(host, names.exchangers)
        return
    if names.exchangers:
        yield _is_a_domain(host, names.exchangers)
    elif names.trouble:
        yield Finding(
            Grade.PROBLEM,
            "dns-trouble",
            None,
            f"DNS does not answer for {host}: {names.trouble}",
            "this machine's resolver, or the name servers of that domain, are out of order",
            "try another name (dig example.com); if that fails too, look at /etc/resolv.conf",
        )
    else:
        what = "has no address" if names.exists else "does not exist"
        yield Finding(
            Grade.PROBLEM,
            "no-such-host",
            None,
            f"{host} {what}",
            "the name is misspelt, or is not that of a server",
            "look up the name of the submission server in the provider's help "
            "(often smtp.DOMAIN or mail.DOMAIN)",
        )


def _is_a_domain(host: str, exchangers: tuple[str, ...]) -> Finding:
    return Finding(
        Grade.PROBLEM,
        "domain-not-server",
        None,
        f"{host} is a mail domain, not a mail server",
        f"its incoming mail goes to {', '.join(exchangers[:3])}; mail is submitted elsewhere",
        f"look up the submission server in the provider's help (often smtp.{host}); for server to "
        f"server mail probe {exchangers[0]}:25",
    )


# -- reach


def _reach(seen: Seen) -> Iterator[Finding]:
    closed = [port for port in seen.ports if not port.is_open and port.unreached]
    if not closed:
        return
    submission_open = any(p.is_open and p.port in {SUBMISSION, SUBMISSIONS} for p in seen.ports)
    for port in closed:
        needed = seen.wanted.port is not None or not any(p.is_open for p in seen.ports)
        if port.port == RELAY and submission_open:
            yield _relay_blocked(port)
        else:
            yield _closed(port, Grade.PROBLEM if needed else Grade.NOTE)


def _relay_blocked(port: PortSeen) -> Finding:
    silent = "refused" not in port.unreached[-1].reason
    return Finding(
        Grade.NOTE,
        "port-25-blocked",
        port.port,
        "port 25 is not reachable from here, and submission is",
        "most access networks and clouds block outgoing port 25, which is for servers only"
        if silent
        else "this host takes no mail from other servers",
        "submit on port 587 or 465; to run a mail server of your own, ask the network's operator "
        "to open port 25",
    )


def _closed(port: PortSeen, grade: Grade) -> Finding:
    reasons = "; ".join(dict.fromkeys(u.reason for u in port.unreached))
    where = ", ".join(u.address for u in port.unreached)
    cause, mend = (
        "a firewall drops the packets: this network's, the server's, or one in between",
        "try from another network; try ports 587 and 465; ask the network's operator",
    )
    if "refused" in reasons:
        cause = "the host is there, and nothing listens on this port (or a firewall says so)"
        mend = "check the port (587 and 465 are for submission) and that the server runs"
    elif "this machine's firewall" in reasons:
        cause = "this machine's own firewall forbids the connection"
        mend = "allow outgoing connections to this port (nftables, iptables)"
    elif "unreachable" in reasons or "no route" in reasons:
        cause = "there is no way there from this machine's network"
        mend = "check this machine's network, its default route, and IPv6"
    return Finding(
        grade, "unreachable", port.port, f"no connection to {where}: {reasons}", cause, mend
    )


# -- what is no SMTP, or ends early


def _not_smtp(port: PortSeen) -> Finding:
    kind = next((k for sign, k in _STRANGERS if port.strange.lstrip().startswith(sign)), "")
    shown = "".join(
        c if c.isprintable() else "." for c in port.strange[:60].decode("utf-8", "replace")
    )
    if kind == "TLS":
        return Finding(
            Grade.PROBLEM,
            "tls-on-clear-port",
            port.port,
            f"port {port.port} speaks TLS from the first octet",
            "the listener has implicit TLS, as belongs to port 465",
            "set the client to SSL/TLS instead of STARTTLS, or use port 465",
        )
    return Finding(
        Grade.PROBLEM,
        "not-smtp",
        port.port,
        f"what answers is not SMTP, but {kind}" if kind else "what answers is not SMTP",
        "another service, or a proxy that takes over connections, listens there",
        "check host and port (587, 465 and 25 are for mail)",
        shown,
    )


def _broken(port: PortSeen, broken: Broken, provider: Provider | None, texts: Texts) -> Finding:
    stage = broken.stage
    if broken.reply is not None:
        return said(port, stage, broken.reply, provider, texts)
    if stage is Stage.GREETING and broken.breach is Breach.LATE:
        return Finding(
            Grade.PROBLEM,
            "no-greeting",
            port.port,
            "there is a connection, and no greeting",
            "a proxy or firewall takes the connection and leads nowhere, or the server is "
            "overloaded or lets strangers wait very long",
            "try from another network and on another port; raise --timeout",
        )
    if stage is Stage.GREETING and broken.breach is Breach.LOST:
        return Finding(
            Grade.PROBLEM,
            "dropped-at-once",
            port.port,
            "the connection is dropped before the greeting",
            "the server, or a firewall before it, does not want this machine's address, has too "
            "many connections, or waits for a PROXY header, as load balancers send it, from here",
            "wait some minutes; then ask the operator whether this address is blocked, or is among "
            "those of load balancers",
        )
    if stage is Stage.LOGIN:
        return Finding(
            Grade.PROBLEM,
            "login-cut",
            port.port,
            f"during the login: {broken.breach.value}",
            "the server ends the connection instead of answering: often a limit on failed logins, "
            "or trouble with its authentication back end",
            "wait an hour, and try once; do not change the password for this",
        )
    return Finding(
        Grade.PROBLEM,
        "broke-off",
        port.port,
        f"at {stage.value}: {broken.breach.value}",
        broken.words or "the server or something on the way ended the dialogue",
        "try again; if it stays so, ask the operator for what the server's log says",
    )
