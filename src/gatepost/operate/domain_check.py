"""Hold what the DNS says about a sending domain against what it must say.

The keys are judged by what the private keys themselves say: a record that was copied wrongly is
found, whatever was printed when.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gatepost.identity.master_key import MasterKey, MasterKeyError
from gatepost.model.domain import DkimKey, DkimKeyState, Domain, sealing_context
from gatepost.net.resolver import DnsTemporaryError, NoSuchDomainError, Resolver
from gatepost.operate.domain_records import Record, records_of
from gatepost.wire.dkim.sign import BadKeyError, SigningKey, parse_private_key
from gatepost.wire.records.dkim_key import KeyRecordError, dkim_key_text, parse_dkim_key


class Standing(StrEnum):
    """How a record stands. Only MISSING and WRONG want a mend."""

    GOOD = "good"
    NOTE = "note"
    MISSING = "missing"
    WRONG = "wrong"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one record: what is so, and the exact mend ("" for none)."""

    purpose: str
    name: str
    standing: Standing
    what: str
    mend: str = ""

    @property
    def is_serious(self) -> bool:
        """Tell whether the answer to `check` is no."""
        return self.standing in {Standing.MISSING, Standing.WRONG, Standing.UNKNOWN}


async def check(
    domain: Domain, hostname: str, resolver: Resolver, master_key: MasterKey
) -> tuple[Finding, ...]:
    """Look at every record of a domain in the live DNS."""
    records = {record.name: record for record in records_of(domain, hostname)}
    findings = [await _spf(records[domain.name], hostname, resolver)]
    findings += await check_keys(domain, domain.keys, resolver, master_key)
    findings.append(await _dmarc(domain, records[f"_dmarc.{domain.name}"], resolver))
    return tuple(findings)


async def check_keys(
    domain: Domain, keys: Sequence[DkimKey], resolver: Resolver, master_key: MasterKey
) -> list[Finding]:
    """Look at the records of these keys."""
    return [await _key(domain, key, resolver, master_key) for key in keys]


def finding_json(finding: Finding) -> dict[str, Any]:
    """Return a finding as plain values."""
    return {
        "purpose": finding.purpose,
        "name": finding.name,
        "standing": finding.standing.value,
        "what": finding.what,
        "mend": finding.mend,
    }


async def _key(domain: Domain, key: DkimKey, resolver: Resolver, master_key: MasterKey) -> Finding:
    name = f"{key.selector}._domainkey.{domain.name}"

    def finding(standing: Standing, what: str, mend: str = "") -> Finding:
        return Finding("DKIM", name, standing, what, mend)

    try:
        signing = _signing_key(domain, key, master_key)
    except (MasterKeyError, BadKeyError) as problem:
        mend = f'"gatepost domain rotate-key {domain.name}" makes new keys'
        return finding(Standing.WRONG, f"its private key cannot be used: {problem}", mend)
    wanted = dkim_key_text(key.algorithm, signing.public)
    publish = f'publish at {name} the TXT record "{wanted}"'
    try:
        texts = await _texts(resolver, name)
    except DnsTemporaryError as problem:
        return finding(Standing.UNKNOWN, f"the DNS does not answer: {problem.reason}", "try again")
    if not texts:
        if key.state is DkimKeyState.RETIRING:
            return finding(Standing.NOTE, "retired, and published no more")
        return finding(Standing.MISSING, f"the {key.state.value} key is not published", publish)
    what = _fault_in(texts, signing)
    if what:
        return finding(Standing.WRONG, what, f"remove what is there and {publish}")
    return finding(Standing.GOOD, f"the {key.state.value} {key.algorithm.value} key is published")


def _signing_key(domain: Domain, key: DkimKey, master_key: MasterKey) -> SigningKey:
    pem = master_key.open(key.private_key, sealing_context(domain.name, key.selector))
    return SigningKey(domain.name, key.selector, parse_private_key(pem.encode()))


def _fault_in(texts: Sequence[str], signing: SigningKey) -> str:
    """Return what is wrong with the published records, "" for nothing."""
    if len(texts) > 1:
        return f"there are {len(texts)} TXT records; verifiers take any of them"
    try:
        record = parse_dkim_key(texts[0])
    except KeyRecordError as error:
        return f"the record cannot be used: {error}"
    if not record.public:
        return "the record says that the key was revoked (p= is empty)"
    if record.key_type != signing.key_type.value:
        return f"the record is for a key of type {record.key_type}, not {signing.key_type.value}"
    if record.public != signing.public and not _same_key(record.public, signing):
        return "the published key is another one, or was cut on the way"
    if record.hashes and "sha256" not in record.hashes:
        return "the record does not allow SHA-256 (h=)"
    if record.services and "email" not in record.services:
        return "the record is not for mail (s=)"
    if record.testing:
        return "the record says that the domain is testing (t=y): receivers ignore signatures"
    return ""


def _same_key(public: bytes, signing: SigningKey) -> bool:
    """Tell whether an RSA key is the same one, in the bare form of RFC 6376's own examples."""
    return signing.public.endswith(public) and len(public) > len(signing.public) - 32


async def _spf(record: Record, hostname: str, resolver: Resolver) -> Finding:
    def finding(standing: Standing, what: str, mend: str = "") -> Finding:
        return Finding("SPF", record.name, standing, what, mend)

    try:
        texts = await _texts(resolver, record.name)
        ours = await _addresses(resolver, hostname)
    except DnsTemporaryError as problem:
        return finding(Standing.UNKNOWN, f"the DNS does not answer: {problem.reason}", "try again")
    found = [text for text in texts if text.lower().split(" ")[0] == "v=spf1"]
    if not found:
        mend = f'publish at {record.name} the TXT record "{record.text}"'
        return finding(Standing.MISSING, "there is no SPF record", mend)
    if len(found) > 1:
        mend = "leave one, with the mechanisms of all"
        return finding(Standing.WRONG, f"there are {len(found)} SPF records: all fail", mend)
    terms = [term.lstrip("+") for term in found[0].lower().split()[1:]]
    direct = {f"a:{hostname}", *(f"ip{6 if ':' in each else 4}:{each}" for each in ours)}
    if direct & set(terms):
        return finding(Standing.GOOD, f"it allows {hostname}")
    if any(
        term.startswith(("include:", "redirect=", "exists:", "a", "mx", "ip")) for term in terms
    ):
        what = f"it does not name {hostname}; whether what it names covers it was not looked at"
        return finding(Standing.NOTE, what, f'if it does not, add "a:{hostname}" in front of "all"')
    mend = f'add "a:{hostname}" in front of "all"'
    return finding(Standing.WRONG, f"it does not allow {hostname}", mend)


async def _dmarc(domain: Domain, record: Record, resolver: Resolver) -> Finding:
    """Look at the domain's own policy, then at those above it."""
    name = domain.name
    while "." in name:
        at = f"_dmarc.{name}"
        try:
            texts = await _texts(resolver, at)
        except DnsTemporaryError as problem:
            what = f"the DNS does not answer: {problem.reason}"
            return Finding("DMARC", at, Standing.UNKNOWN, what, "try again")
        found = [text for text in texts if text.replace(" ", "").startswith("v=DMARC1")]
        if len(found) > 1:
            what = f"there are {len(found)} DMARC records: none counts"
            return Finding("DMARC", at, Standing.WRONG, what, "leave one")
        if found:
            return Finding("DMARC", at, Standing.GOOD, f'it says "{found[0]}"')
        name = name.partition(".")[2]
    mend = f'publish at {record.name} the TXT record "{record.text}"'
    return Finding("DMARC", record.name, Standing.MISSING, "there is no DMARC record", mend)


async def _texts(resolver: Resolver, name: str) -> tuple[str, ...]:
    try:
        return await resolver.texts(name)
    except NoSuchDomainError:
        return ()


async def _addresses(resolver: Resolver, host: str) -> tuple[str, ...]:
    try:
        return await resolver.addresses(host)
    except NoSuchDomainError:
        return ()
