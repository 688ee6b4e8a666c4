"""Put a domain's records into its zone by dynamic update, and nothing that others put there out.

Keys stand at selectors of ours: what else stands there is replaced. Every other record is added
where there is none of its sort, and left alone where there is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from gatepost.net.dns_update import Change, ZoneServer
from gatepost.operate.domain_check_records import of_purpose, spf_lacks
from gatepost.operate.domain_records import TTL, Purpose, Record
from gatepost.wire.records.dkim_key import KeyRecordError, parse_dkim_key
from gatepost.wire.records.txt import parse_txt, txt_strings


class Action(StrEnum):
    """What is done about a record."""

    ADD = "add"
    REPLACE = "replace"
    KEEP = "keep"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class Step:
    """What is done about one record, and why; LEAVE is for a person to mend."""

    record: Record
    action: Action
    why: str


_WRITES: Final = frozenset({Action.ADD, Action.REPLACE})


def plan(
    records: Sequence[Record], found: Mapping[tuple[str, str], Sequence[str]], hostname: str
) -> tuple[Step, ...]:
    """Return what to do.

    Args:
        records: what should stand in the zone.
        found: what stands there, by name and type, TXT records with their strings joined.
        hostname: where mail leaves from.

    """
    return tuple(_step(each, found.get((each.name, each.kind), ()), hostname) for each in records)


async def publish(
    server: ZoneServer,
    zone: str | None,
    records: Sequence[Record],
    hostname: str,
    *,
    rehearse: bool = False,
) -> tuple[Step, ...]:
    """Bring the zone up to date and return what was done; with `rehearse` what would be.

    Raises:
        DnsUpdateError: nothing was changed.

    """
    zone = zone or await server.zone_of(records[0].name)
    found = {}
    for record in records:
        texts = await _found(server, record.name, record)
        if record.purpose is Purpose.DMARC:
            # A policy of its own would put the one above it out of force for this domain.
            texts = texts or await _policy_above(server, zone, record)
        found[record.name, record.kind] = texts
    steps = plan(records, found, hostname)
    changes = [_change(step) for step in steps if step.action in _WRITES]
    if changes and not rehearse:
        await server.change(zone, changes)
    return steps


def step_json(step: Step) -> dict[str, Any]:
    """Return a step as plain values."""
    record = step.record
    return {
        "action": step.action.value,
        "purpose": record.purpose.value,
        "type": record.kind,
        "name": record.name,
        "text": record.text,
        "why": step.why,
    }


async def _found(server: ZoneServer, name: str, record: Record) -> tuple[str, ...]:
    texts = await server.records(name, record.kind)
    return tuple(map(parse_txt, texts)) if record.kind == "TXT" else texts


async def _policy_above(server: ZoneServer, zone: str, record: Record) -> tuple[str, ...]:
    above = record.name.removeprefix("_dmarc.").partition(".")[2]
    while f".{above}".endswith(f".{zone}"):
        if texts := await _found(server, f"_dmarc.{above}", record):
            return texts
        above = above.partition(".")[2]
    return ()


def _change(step: Step) -> Change:
    record = step.record
    text = " ".join(txt_strings(record.text)) if record.kind == "TXT" else record.text
    return Change(record.name, record.kind, text, TTL, replaces=step.action is Action.REPLACE)


def _step(record: Record, found: Sequence[str], hostname: str) -> Step:
    if record.purpose is Purpose.DKIM:
        return _key_step(record, found)
    if record.kind == "TXT":
        found = of_purpose(found, record.purpose)
    if not found:
        return Step(record, Action.ADD, record.why)
    if _serves(record, found, hostname):
        return Step(record, Action.KEEP, "it is there")
    mend = f'"{found[0]}" is there, and is not ours to change'
    if record.purpose is Purpose.SPF:
        lacking = " ".join(spf_lacks(found[0], record.text))
        mend += f': add "{lacking}" in front of "all"'
    return Step(record, Action.LEAVE, mend)


def _key_step(record: Record, found: Sequence[str]) -> Step:
    if not found:
        return Step(record, Action.ADD, record.why)
    wanted = parse_dkim_key(record.text)
    try:
        if len(found) == 1 and parse_dkim_key(found[0]).public == wanted.public:
            return Step(record, Action.KEEP, "it is there")
    except KeyRecordError:
        pass
    return Step(record, Action.REPLACE, "another key stands at this selector of ours")


def _serves(record: Record, found: Sequence[str], hostname: str) -> bool:
    match record.purpose:
        case Purpose.SPF:
            return len(found) == 1 and not spf_lacks(found[0], record.text)
        case Purpose.MX:
            return any(each.lower().endswith(f" {hostname}.") for each in found)
        case Purpose.MTA_STS:
            return found[0].rstrip("; ") == record.text
        case _:
            return len(found) == 1
