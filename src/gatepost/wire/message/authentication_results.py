"""Authentication-Results: written for mail of others, and theirs in our name found (RFC 8601)."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gatepost.wire.dkim.verify import DkimVerdict
from gatepost.wire.message.addresses import a_labels
from gatepost.wire.message.header import Field, Header, unfold, value_of
from gatepost.wire.records.dmarc import DmarcVerdict
from gatepost.wire.records.spf_check import SpfVerdict

_NAME: Final = b"authentication-results"
#: RFC 2045 §5.1, what needs no quotes.
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+")
_LONGEST: Final = 255
#: An escaped parenthesis, or what else is escaped.
_ESCAPED: Final = re.compile(rb"\\(?:[()]|(.))", re.DOTALL)
#: A comment without another inside, a quoted string, a word up to white space, ";" or "(".
_COMMENT: Final = re.compile(rb"\([^()]*+\)")
_SERVICE: Final = re.compile(rb'[ \t\r\n]*(?:"([^"]*+)"|([^ \t\r\n;"()]++))[ \t\r\n]*([0-9]*+)')
#: Comments within comments that are looked through.
_DEEPEST: Final = 16
#: Fields of one message that are looked at, far more than its way could need.
_MOST_FIELDS: Final = 50


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found out about one message. `spf_is_of_helo`: the reverse-path was the null one."""

    spf: SpfVerdict
    dkim: Sequence[DkimVerdict]
    dmarc: DmarcVerdict
    spf_is_of_helo: bool = False


def results_field(service: str, findings: Findings) -> bytes:
    """Return the field to put before a message, its last CRLF included; `service` is who says so:
    our authserv-id (RFC 8601 §2.5).
    """
    spf, dmarc = findings.spf, findings.dmarc
    which = "helo" if findings.spf_is_of_helo else "mailfrom"
    results = [_result("spf", spf.result, spf.reason, (f"smtp.{which}", spf.domain))]
    results += [_dkim_result(verdict) for verdict in findings.dkim] or ["dkim=none"]
    facts = [("header.from", dmarc.author)]
    if dmarc.applicable is not None:
        facts.append(("policy.dmarc", dmarc.policy.value))
    results.append(_result("dmarc", dmarc.result, "", *facts))
    lines = [f"Authentication-Results: {service}", *(f"\t{result}" for result in results)]
    return (";\r\n".join(lines) + "\r\n").encode("ascii")


def forged_fields(content: bytes, header: Header, service: str) -> list[Field]:
    """Return the fields of a message that claim to be ours, whose version or service cannot be
    told, or that are too many: they must not get past us (RFC 8601 §5).
    """
    if _NAME not in header.names:
        return []
    ours = a_labels(service) or service.lower()
    return [
        field
        for index, field in enumerate(header.named(_NAME))
        if index >= _MOST_FIELDS or _claims(unfold(value_of(content, field)), ours)
    ]


def _claims(value: bytes, ours: str) -> bool:
    found = _SERVICE.match(_without_comments(value))
    if found is None or found[3] not in {b"", b"1"}:
        return True
    name = found[2] if found[1] is None else found[1]
    text = name.decode("utf-8", "replace").strip().removesuffix(".")
    if len(text) > _LONGEST:
        return not text.isascii()  # there are letters that mean nothing in a name
    return (a_labels(text) or text.lower()) == ours


def _without_comments(value: bytes) -> bytes:
    """Return a value with comments made white space and escapes undone; quoted strings are not told
    from others, so that what looks like a comment within one goes too: it can only make a claim
    more readable. An escaped parenthesis is no part of any service's name, and left out first: so
    each octet is looked at once, whatever a stranger wrote.
    """
    value = _ESCAPED.sub(rb"\1", value)
    for _ in range(_DEEPEST):
        value, count = _COMMENT.subn(b" ", value)
        if not count:
            break
    return value


def _dkim_result(verdict: DkimVerdict) -> str:
    signature = verdict.signature
    if signature is None:
        return _result("dkim", verdict.result, verdict.reason)
    return _result(
        "dkim",
        verdict.result,
        verdict.reason,
        ("header.d", signature.domain),
        ("header.s", signature.selector),
        ("header.a", signature.algorithm),
        # RFC 6008: which of several signatures is meant
        ("header.b", base64.b64encode(signature.signature)[:8].decode()),
    )


def _result(method: str, result: str, reason: str, *facts: tuple[str, str]) -> str:
    because = f" reason={_value(reason)}" if reason else ""
    told = "".join(f"\r\n\t\t{name}={_value(value)}" for name, value in facts if value)
    return f"{method}={result}{because}{told}"


def _value(text: str) -> str:
    """Return a value as RFC 2045 §5.1 has it: quoted where it must be; printable ASCII."""
    if _TOKEN.fullmatch(text):
        return text[:_LONGEST]
    plain = "".join(c if " " <= c <= "~" and c not in '"\\' else "?" for c in text[:_LONGEST])
    return f'"{plain}"'
