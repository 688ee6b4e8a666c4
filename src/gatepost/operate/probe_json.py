"""A probe as plain values, for `--json`. Keys are stable; new ones may come. No secrets."""

from dataclasses import asdict
from typing import Any

from gatepost.events.journal import time_text
from gatepost.operate.probe import Probed
from gatepost.operate.probe_finding import Finding
from gatepost.operate.probe_seen import LoginSeen, PortSeen, Step, TlsSeen


def probed_json(probed: Probed) -> dict[str, Any]:
    """Return all that a probe found. Times are seconds since it began, or RFC 3339."""
    seen = probed.seen
    return {
        "host": seen.wanted.host,
        "well": probed.is_well,
        "provider": probed.provider.name if probed.provider else None,
        "addresses": list(seen.names.addresses),
        "exchangers": list(seen.names.exchangers),
        "took": round(seen.took, 4),
        "ports": [_port(port) for port in seen.ports],
        "findings": [_finding(finding) for finding in probed.findings],
        "advice": asdict(probed.advice) if probed.advice else None,
    }


def _port(port: PortSeen) -> dict[str, Any]:
    return {
        "port": port.port,
        "open": port.is_open,
        "address": port.address or None,
        "unreached": [asdict(unreached) for unreached in port.unreached],
        "implicit_tls": port.implicit if port.is_open else None,
        "greeting": port.greeting.words if port.greeting else None,
        "hello": None if port.hello is None else list(port.hello),
        "hello_tls": None if port.hello_tls is None else list(port.hello_tls),
        "tls": _tls(port.tls) if port.tls else None,
        "tls_trouble": port.tls_trouble or None,
        "mechanisms": list(port.mechanisms),
        "login": _login(port.login) if port.login else None,
        "timeline": [_step(step) for step in port.steps],
    }


def _tls(tls: TlsSeen) -> dict[str, Any]:
    shown = tls.certificate
    return {
        "version": tls.version,
        "cipher": tls.cipher,
        "bits": tls.bits,
        "trusted": not (tls.distrust or tls.outdated),
        "distrust": tls.distrust or None,
        "certificate": shown
        and {
            "subject": shown.subject,
            "names": list(shown.names),
            "issuer": shown.issuer,
            "starts_at": time_text(shown.starts_at),
            "expires_at": time_text(shown.expires_at),
            "key": f"{shown.key_kind} {shown.key_bits}",
            "signature": shown.signature or None,
            "self_signed": shown.self_signed,
        },
    }


def _login(login: LoginSeen) -> dict[str, Any]:
    # The reply's words stand in the timeline, where secrets are hidden.
    return {
        "mechanism": login.mechanism or None,
        "accepted": login.accepted,
        "code": login.reply.code if login.reply else None,
        "status": (login.reply.status or None) if login.reply else None,
        "withheld": login.withheld.value if login.withheld else None,
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "step": step.stage.value,
        "began": round(step.began, 4),
        "took": round(step.took, 4),
        "mark": step.mark.value,
        "words": step.words,
        "lines": list(step.lines),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "grade": finding.grade.value,
        "name": finding.name,
        "port": finding.port,
        "what": finding.what,
        "cause": finding.cause,
        "mend": finding.mend,
        "heard": finding.heard or None,
    }
