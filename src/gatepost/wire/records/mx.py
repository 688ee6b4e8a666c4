"""MX records: in which order hosts are tried, and when there is none (RFC 5321 §5.1, RFC 7505)."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MxRecord:
    """One mail exchanger. `host` is in lower case, without the final dot; lower is preferred."""

    preference: int
    host: str


@dataclass(frozen=True, slots=True)
class MxAnswer:
    """What the DNS says about who takes a domain's mail.

    `records` are sorted by preference. `null_mx`: the domain takes no mail, and says so (RFC 7505
    §3). `implicit`: there are no MX records, and the one record here is the domain's own name with
    preference 0 (RFC 5321 §5.1). `authenticated`: the resolver set the AD bit on the answer.
    """

    domain: str
    records: tuple[MxRecord, ...]
    null_mx: bool = False
    implicit: bool = False
    authenticated: bool = False


def parse_mx(text: str) -> MxRecord:
    """Read a record in presentation form: "10 mail.example.com."; the host of "0 ." is "".

    Raises:
        ValueError: no such form.

    """
    preference, space, host = text.partition(" ")
    if not (preference.isascii() and preference.isdigit() and int(preference) <= 65535 and space):
        raise ValueError(f"no MX record: {text!r}")
    return MxRecord(int(preference), host.strip().lower().removesuffix("."))


def mx_answer(
    domain: str, records: Collection[MxRecord], *, authenticated: bool = False
) -> MxAnswer:
    """Turn the MX records of a domain that exists, none included, into an answer.

    A record for "." (host "") beside others is against RFC 7505 §3 and is left out: it names
    nobody. Repeated hosts keep their best preference.
    """
    if not records:
        implicit = (MxRecord(0, domain),)
        return MxAnswer(domain, implicit, implicit=True, authenticated=authenticated)
    best: dict[str, int] = {}
    for record in records:
        if record.host:
            best[record.host] = min(record.preference, best.get(record.host, 65535))
    hosts = sorted((MxRecord(preference, host) for host, preference in best.items()), key=_order)
    return MxAnswer(domain, tuple(hosts), null_mx=not hosts, authenticated=authenticated)


def hosts_to_try(
    answer: MxAnswer, ours: Collection[str], chance: Iterator[float]
) -> tuple[str, ...]:
    """Return host names in the order in which they are tried.

    Args:
        answer: what the DNS says; its preferences decide.
        ours: names by which this relay is known. Whoever is listed, and everybody of the same or a
            worse preference, is left out: mail must not come back (RFC 5321 §5.1).
        chance: fractions in [0, 1), one per host, which order hosts of equal preference.

    Returns:
        () when nobody is left: with `null_mx` the domain takes no mail; else mail for it would
        loop, because this relay is its best exchanger.

    """
    names = {name.lower().rstrip(".") for name in ours}
    limit = min((r.preference for r in answer.records if r.host in names), default=65536)
    candidates = [(r.preference, next(chance), r.host) for r in answer.records]
    return tuple(host for preference, _, host in sorted(candidates) if preference < limit)


def _order(record: MxRecord) -> tuple[int, str]:
    return record.preference, record.host
