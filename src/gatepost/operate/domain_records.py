"""What the DNS must say for a sending domain: its records, as values and as lines of a zone."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from gatepost.events.journal import time_text
from gatepost.model.domain import DkimKey, Domain
from gatepost.wire.records.dkim_key import dkim_key_text, key_name
from gatepost.wire.records.txt import txt_strings

_TTL: Final = 3600


@dataclass(frozen=True, slots=True)
class Record:
    """One TXT record to publish: `purpose` is "SPF", "DKIM" or "DMARC", `name` is absolute,
    without the final dot; `why` says in a line what it does.
    """

    purpose: str
    name: str
    text: str
    why: str


def records_of(domain: Domain, hostname: str) -> tuple[Record, ...]:
    """Return what to publish, for mail that leaves from `hostname`."""
    return (
        Record(
            "SPF",
            domain.name,
            f"v=spf1 a:{hostname} ~all",
            f"{hostname} may send mail with this domain in its return path",
        ),
        *(key_record(domain, key) for key in domain.keys),
        Record(
            "DMARC",
            f"_dmarc.{domain.name}",
            "v=DMARC1; p=none",
            "large receivers want a policy; make it stricter when all your mail passes",
        ),
    )


def key_record(domain: Domain, key: DkimKey) -> Record:
    """Return the record of one key."""
    return Record(
        "DKIM",
        key_name(key.selector, domain.name),
        dkim_key_text(key.algorithm, key.public),
        f"{key.algorithm.value} key, {key.state.value}",
    )


def zone_snippet(records: Iterable[Record]) -> str:
    """Return the records as lines of a zone file, long texts in strings of 255 octets (BIND)."""
    lines = []
    for record in records:
        strings = txt_strings(record.text)
        text = strings[0]
        if len(strings) > 1:
            text = "( " + "\n    ".join(strings) + " )"
        lines.append(f"; {record.purpose}: {record.why}\n{record.name}. {_TTL} IN TXT {text}")
    return "\n".join(lines)


def domain_json(domain: Domain, hostname: str) -> dict[str, Any]:
    """Return a domain as plain values, the shape of `--json`; no private key among them."""
    records = records_of(domain, hostname)
    return {
        "name": domain.name,
        "created_at": time_text(domain.created_at),
        "keys": [
            {
                "selector": key.selector,
                "algorithm": key.algorithm.value,
                "state": key.state.value,
                "created_at": time_text(key.created_at),
            }
            for key in domain.keys
        ],
        "records": [
            {
                "purpose": record.purpose,
                "type": "TXT",
                "name": record.name,
                "text": record.text,
                "strings": [string[1:-1] for string in txt_strings(record.text)],
                "why": record.why,
            }
            for record in records
        ],
        "zone": zone_snippet(records),
    }
