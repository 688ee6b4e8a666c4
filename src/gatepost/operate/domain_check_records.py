"""Hold one published record against what it should say: SPF, DMARC, MX, MTA-STS, TLS-RPT."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from ipaddress import ip_address
from typing import Final

from gatepost.model.domain_look import Finding, Standing
from gatepost.net.dns_steps import evaluated
from gatepost.net.resolver import DnsTemporaryError, NoSuchDomainError, Resolver
from gatepost.operate.domain_records import Purpose, Record
from gatepost.wire.records.spf import SpfResult
from gatepost.wire.records.spf_check import SpfFacts, check_host

#: With what a record of a purpose begins (RFC 8461 §3.1, RFC 8460 §3).
_VERSIONS: Final[Mapping[Purpose, str]] = {
    Purpose.DMARC: "v=DMARC1",
    Purpose.MTA_STS: "v=STSv1;",
    Purpose.TLS_RPT: "v=TLSRPTv1;",
}


async def check_record(record: Record, hostname: str, resolver: Resolver) -> Finding:
    """Look at one record in the live DNS; `hostname` is where mail leaves from."""
    try:
        return await _CHECKS[record.purpose](record, hostname, resolver)
    except DnsTemporaryError as problem:
        what = f"the DNS does not answer: {problem.reason}"
        standing = Standing.NOTE if record.optional else Standing.UNKNOWN
        return Finding(record.purpose, record.name, standing, what, "try again")


async def texts_of(resolver: Resolver, name: str) -> tuple[str, ...]:
    """Return the TXT records of a name; () where there are none, or no such name.

    Raises:
        DnsTemporaryError: nobody could tell.

    """
    try:
        return await resolver.texts(name)
    except NoSuchDomainError:
        return ()


def of_purpose(texts: Sequence[str], purpose: Purpose) -> tuple[str, ...]:
    """Return those TXT records that are for a purpose: others may stand beside them."""
    if purpose is Purpose.SPF:  # RFC 7208 §4.5: a space behind it, and "v=spf10" is another
        return tuple(text for text in texts if text.lower().split(" ")[0] == "v=spf1")
    version = _VERSIONS[purpose]
    return tuple(text for text in texts if text.replace(" ", "").startswith(version))


def spf_lacks(text: str, wanted: str) -> tuple[str, ...]:
    """Return what a record of ours says and an SPF record does not, but for what is said of all."""
    terms = {term.lstrip("+") for term in text.lower().split()[1:]}
    return tuple(term for term in wanted.split()[1:-1] if term not in terms)


async def _spf(record: Record, hostname: str, resolver: Resolver) -> Finding:
    found = of_purpose(await texts_of(resolver, record.name), Purpose.SPF)
    if not found:
        return _missing(record)
    if len(found) > 1:
        mend = "leave one, with the mechanisms of all"
        return _wrong(record, f"there are {len(found)} SPF records: all fail", mend)
    lacking = spf_lacks(found[0], record.text)
    for term in lacking:
        if fault := await _spf_fault(record, found[0], term, hostname, resolver):
            return fault
    who = " and ".join(term.partition(":")[2] for term in record.text.split()[1:-1])
    return _good(record, f"it allows {who}{' by what it names' if lacking else ''}")


async def _spf_fault(
    record: Record, found: str, term: str, hostname: str, resolver: Resolver
) -> Finding | None:
    """Return what is wrong where a record does not say a term of ours: it may allow it otherwise."""
    kind, _, who = term.partition(":")
    mend = f'add "{term}" in front of "all"'
    addresses: tuple[str, ...] = (who,)
    if kind == "a":
        addresses = await _addresses(resolver, who)
        if not addresses:
            what = f"it does not name {who}, which has no address in the DNS"
            return _wrong(record, what, f"give {who} an A or AAAA record, and {mend}")
        if any(not spf_lacks(found, f"v=spf1 {_ip_term(each)} ~all") for each in addresses):
            return None
    for address in addresses:
        facts = SpfFacts(ip_address(address), f"postmaster@{record.name}", hostname, hostname)
        verdict = await evaluated(check_host(facts), resolver)
        if verdict.result is SpfResult.TEMPORARY:
            raise DnsTemporaryError(verdict.reason)
        if verdict.result is not SpfResult.PASS:
            reason = f" ({verdict.reason})" if verdict.reason else ""
            where = f"{who} at {address}" if kind == "a" else address
            what = f"it does not allow {where}: {verdict.result.value}{reason}"
            return _wrong(record, what, mend)
    return None


def _ip_term(address: str) -> str:
    return f"ip{6 if ':' in address else 4}:{address}"


async def _dmarc(record: Record, hostname: str, resolver: Resolver) -> Finding:  # noqa: ARG001
    """Look at the domain's own policy, then at those above it."""
    name = record.name.removeprefix("_dmarc.")
    while "." in name:
        at = f"_dmarc.{name}"
        found = of_purpose(await texts_of(resolver, at), Purpose.DMARC)
        if len(found) > 1:
            what = f"there are {len(found)} DMARC records at {at}: none counts"
            return _wrong(record, what, "leave one")
        if found:
            return Finding(record.purpose, at, Standing.GOOD, f'it says "{found[0]}"')
        name = name.partition(".")[2]
    return _missing(record)


async def _mx(record: Record, hostname: str, resolver: Resolver) -> Finding:
    try:
        answer = await resolver.mx(record.name)
    except NoSuchDomainError:
        return _missing(record)
    hosts = [each.host for each in answer.records]
    if hostname in hosts:
        return _good(record, f"mail for {record.name} comes to {hostname}")
    if answer.implicit:
        return _missing(record)
    what = f"mail for {record.name} goes to {', '.join(hosts) or 'nobody'}"
    mend = f'to receive it here, publish at {record.name} the MX record "{record.text}"'
    return Finding(record.purpose, record.name, _grade(record, Standing.WRONG), what, mend)


async def _versioned(record: Record, hostname: str, resolver: Resolver) -> Finding:  # noqa: ARG001
    found = of_purpose(await texts_of(resolver, record.name), record.purpose)
    if not found:
        return _missing(record)
    if len(found) > 1:
        what = f"there are {len(found)} {record.purpose} records: none counts"
        return _wrong(record, what, "leave one")
    if record.purpose is Purpose.MTA_STS and found[0].rstrip("; ") != record.text:
        what = f'it says "{found[0]}", which is not for the policy that we print'
        mend = "see that the policy that is served names this relay, or take ours"
        return Finding(record.purpose, record.name, Standing.NOTE, what, mend)
    return _good(record, f'it says "{found[0]}"')


def _good(record: Record, what: str) -> Finding:
    return Finding(record.purpose, record.name, Standing.GOOD, what)


def _missing(record: Record) -> Finding:
    what = f"there is no {record.purpose} record"
    mend = f'publish at {record.name} the {record.kind} record "{record.text}"'
    if record.optional:
        what = f"{what}; it is optional"
    return Finding(record.purpose, record.name, _grade(record, Standing.MISSING), what, mend)


def _wrong(record: Record, what: str, mend: str) -> Finding:
    return Finding(record.purpose, record.name, _grade(record, Standing.WRONG), what, mend)


def _grade(record: Record, standing: Standing) -> Standing:
    return Standing.NOTE if record.optional else standing


async def _addresses(resolver: Resolver, host: str) -> tuple[str, ...]:
    try:
        return await resolver.addresses(host)
    except NoSuchDomainError:
        return ()


_Check = Callable[[Record, str, Resolver], Awaitable[Finding]]
_CHECKS: Final[Mapping[Purpose, _Check]] = {
    Purpose.SPF: _spf,
    Purpose.DMARC: _dmarc,
    Purpose.MX: _mx,
    Purpose.MTA_STS: _versioned,
    Purpose.TLS_RPT: _versioned,
}
