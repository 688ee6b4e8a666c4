"""Hold what the DNS says about a sending domain against what it must say.

The keys are judged by what the private keys themselves say: a record that was copied wrongly is
found, whatever was printed when.
"""

from collections.abc import Sequence
from dataclasses import replace

from gatepost.identity.master_key import MasterKey, MasterKeyError
from gatepost.model.domain import DkimKey, DkimKeyState, Domain, sealing_context
from gatepost.model.domain_look import Finding, Standing
from gatepost.net.resolver import DnsTemporaryError, Resolver
from gatepost.operate.domain_check_records import check_record, texts_of
from gatepost.operate.domain_records import Purpose, Sending, records_of
from gatepost.wire.dkim.sign import BadKeyError, SigningKey, parse_private_key
from gatepost.wire.records.dkim_key import (
    KeyRecordError,
    dkim_key_text,
    key_name,
    parse_dkim_key,
)


async def check(
    domain: Domain, sending: Sending, resolver: Resolver, master_key: MasterKey
) -> tuple[Finding, ...]:
    """Look at every record of a domain in the live DNS."""
    findings: list[Finding] = []
    keys = {key_name(key.selector, domain.name): key for key in domain.keys}
    for record in records_of(domain, sending):
        if record.purpose is Purpose.DKIM:
            key = keys[record.name]
            (found,) = await check_keys(domain, [key], resolver, master_key)
            if key.state is DkimKeyState.PENDING and found.standing is Standing.MISSING:
                # To be published before it signs: nothing is wrong until then.
                found = replace(found, standing=Standing.NOTE)
            findings.append(found)
        else:
            findings.append(await check_record(record, sending.hostname, resolver))
    return tuple(findings)


async def check_keys(
    domain: Domain, keys: Sequence[DkimKey], resolver: Resolver, master_key: MasterKey
) -> list[Finding]:
    """Look at the records of these keys."""
    return [await _key(domain, key, resolver, master_key) for key in keys]


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
        texts = await texts_of(resolver, name)
    except DnsTemporaryError as problem:
        return finding(Standing.UNKNOWN, f"the DNS does not answer: {problem.reason}", "try again")
    if not texts:
        if key.state is DkimKeyState.RETIRING:
            return finding(Standing.NOTE, "retired, and published no more")
        return finding(Standing.MISSING, f"the {key.state.value} key is not published", publish)
    what = fault_in(texts, signing)
    if what:
        return finding(Standing.WRONG, what, f"remove what is there and {publish}")
    return finding(Standing.GOOD, f"the {key.state.value} {key.algorithm.value} key is published")


def _signing_key(domain: Domain, key: DkimKey, master_key: MasterKey) -> SigningKey:
    pem = master_key.open(key.private_key, sealing_context(domain.name, key.selector))
    return SigningKey(domain.name, key.selector, parse_private_key(pem.encode()))


def fault_in(texts: Sequence[str], signing: SigningKey) -> str:
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
