"""Verify the signatures of a message, key records given (RFC 6376 §6.1, RFC 8301, RFC 8463).

Pure: `queries` says which records to look up, `verify` what they prove.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from gatepost.wire.dkim.canonical import BodyHash, Canonicalization, relaxed_field, simple_field
from gatepost.wire.dkim.sign import LEAST_RSA, MOST_RSA
from gatepost.wire.dkim.signature import (
    DkimSignature,
    SignatureError,
    parse_signature,
    without_signature,
)
from gatepost.wire.message.header import Header, HeaderFault, scan
from gatepost.wire.records.dkim_key import (
    DkimKeyRecord,
    KeyRecordError,
    key_name,
    parse_dkim_key,
)

#: RFC 6376 §6.1 lets a verifier stop somewhere; others take 5 to 20.
MOST_SIGNATURES: Final = 10
#: Simple, relaxed, and two with l=: each further l= would be another look at the whole body.
_MOST_HASHES: Final = 4
#: Exponents of real keys are 3 to 65537. As large as the modulus, one makes us work like a signer.
_LARGEST_EXPONENT: Final = 2**32
_FIELD: Final = b"dkim-signature"


class DkimResult(StrEnum):
    """What RFC 8601 §2.7.1 calls it."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    NEUTRAL = "neutral"
    POLICY = "policy"
    TEMPORARY = "temperror"
    PERMANENT = "permerror"


@dataclass(frozen=True, slots=True)
class DkimVerdict:
    """What one signature came to, and why in one line; `signature` is None where it is unreadable.

    `testing`: its key says t=y.
    """

    result: DkimResult
    reason: str
    signature: DkimSignature | None = None
    testing: bool = False


@dataclass(frozen=True, slots=True)
class _Part:
    """A field as it stands: name and value with the last CRLF."""

    name: bytes
    value: bytes


#: What is known of a key's name: its texts, () for none there, None where nobody could tell.
Records = Mapping[str, Sequence[str] | None]


def queries(content: bytes) -> tuple[str, ...]:
    """Return the names whose TXT records `verify` needs, each once."""
    header = scan(content)
    if isinstance(header, HeaderFault):
        return ()
    read = (_read(part.value) for part in _signatures(_parts(content, header)))
    found = [each for each in read if isinstance(each, DkimSignature)]
    return tuple(dict.fromkeys(key_name(each.selector, each.domain) for each in found))


def signers(content: bytes, header: Header) -> tuple[str, ...]:
    """Return the domains (d=) of the signatures in a header section, whether they hold or not."""
    if _FIELD not in header.names:
        return ()
    fields = header.named(_FIELD)[:MOST_SIGNATURES]
    read = (_read(content[field.value : field.end]) for field in fields)
    return tuple(dict.fromkeys(each.domain for each in read if isinstance(each, DkimSignature)))


def verify(content: bytes, records: Records, now: int) -> tuple[DkimVerdict, ...]:
    """Return a verdict for each signature, in the order of the fields, up to MOST_SIGNATURES.

    Args:
        content: the whole message.
        records: TXT records by name, strings joined, for each name of `queries`.
        now: seconds since the Unix epoch.

    """
    header = scan(content)
    if isinstance(header, HeaderFault):
        return (DkimVerdict(DkimResult.PERMANENT, header.words),)
    parts = _parts(content, header)
    message = _Message(parts, content[header.body :])
    return tuple(_verify_one(part, message, records, now) for part in _signatures(parts))


class _Message:
    """Fields and body, the body hashed once for each way that is asked for."""

    def __init__(self, parts: Sequence[_Part], body: bytes) -> None:
        self.parts = parts
        self._body = body
        self._known: dict[tuple[Canonicalization, int | None], tuple[bytes, bool]] = {}

    def body_hash(self, form: Canonicalization, length: int | None) -> tuple[bytes, bool] | None:
        """Return the hash, and whether the body has as many octets as l= says; None when too many
        ways to hash it were asked for already.
        """
        known = self._known.get((form, length))
        if known is None:
            if len(self._known) >= _MOST_HASHES:
                return None
            body = BodyHash(form, length)
            body.update(self._body)
            known = (body.digest(), not body.is_short)
            self._known[form, length] = known
        return known

    def signed_octets(self, signature: DkimSignature, own: _Part) -> bytes:
        """Return what was signed (RFC 6376 §3.7, §5.4.2)."""
        form: Callable[[bytes, bytes], bytes] = relaxed_field
        if signature.header_form is Canonicalization.SIMPLE:
            form = simple_field
        waiting: dict[bytes, list[_Part]] = {}
        for part in self.parts:
            waiting.setdefault(part.name.lower(), []).append(part)
        lines = []
        for name in signature.fields:
            if left := waiting.get(name):
                part = left.pop()
                lines.append(form(part.name, part.value))
        lines.append(form(own.name, without_signature(own.value).removesuffix(b"\r\n")))
        return b"\r\n".join(lines)


def _parts(content: bytes, header: Header) -> list[_Part]:
    return [
        _Part(content[field.start : field.value - 1], content[field.value : field.end])
        for field in header.fields()
    ]


def _signatures(parts: Sequence[_Part]) -> list[_Part]:
    return [part for part in parts if part.name.lower() == _FIELD][:MOST_SIGNATURES]


def _read(value: bytes) -> DkimSignature | SignatureError:
    try:
        return parse_signature(value)
    except SignatureError as error:
        return error


def _verify_one(own: _Part, message: _Message, records: Records, now: int) -> DkimVerdict:
    signature = _read(own.value)
    if isinstance(signature, SignatureError):
        return DkimVerdict(DkimResult.PERMANENT, str(signature))

    def verdict(result: DkimResult, reason: str, *, testing: bool = False) -> DkimVerdict:
        return DkimVerdict(result, reason, signature, testing)

    if refusal := _policy(signature, now):
        return verdict(refusal.result, refusal.reason)
    found = records.get(key_name(signature.selector, signature.domain))
    if found is None:
        return verdict(DkimResult.TEMPORARY, "nobody could tell its key")
    record = _usable(found, signature)
    if isinstance(record, str):
        return verdict(DkimResult.PERMANENT, record)
    key = _public_key(record)
    if isinstance(key, str):
        return verdict(DkimResult.PERMANENT, key)
    if problem := _body_problem(message, signature):
        return verdict(problem.result, problem.reason, testing=record.testing)
    if not _holds(key, signature, message.signed_octets(signature, own)):
        return verdict(DkimResult.FAIL, "the header was changed", testing=record.testing)
    return verdict(DkimResult.PASS, "", testing=record.testing)


@dataclass(frozen=True, slots=True)
class _Refusal:
    result: DkimResult
    reason: str


def _body_problem(message: _Message, signature: DkimSignature) -> _Refusal | None:
    hashed = message.body_hash(signature.body_form, signature.length)
    if hashed is None:
        return _Refusal(DkimResult.POLICY, "others asked for too many ways to hash the body")
    digest, is_whole = hashed
    if not is_whole:
        return _Refusal(DkimResult.PERMANENT, "the body is shorter than l=")
    if digest != signature.body_hash:
        return _Refusal(DkimResult.FAIL, "the body was changed")
    return None


def _policy(signature: DkimSignature, now: int) -> _Refusal | None:
    if signature.algorithm == "rsa-sha1":  # RFC 8301 §3.1
        return _Refusal(DkimResult.PERMANENT, "it was made with SHA-1")
    if signature.algorithm not in {"rsa-sha256", "ed25519-sha256"}:
        return _Refusal(DkimResult.NEUTRAL, "its algorithm is unknown")
    if signature.expires_at is not None and signature.expires_at < now:
        return _Refusal(DkimResult.POLICY, "it has expired")
    return None


def _usable(texts: Sequence[str], signature: DkimSignature) -> DkimKeyRecord | str:
    """Return the key record for a signature, or why there is none (RFC 6376 §6.1.2)."""
    reason = "there is no key at its selector"
    for text in texts:
        try:
            record = parse_dkim_key(text)
        except KeyRecordError as error:
            reason = f"its key record cannot be used: {error}"
            continue
        problem = _unfit(record, signature)
        if not problem:
            return record
        reason = problem
    return reason


def _unfit(record: DkimKeyRecord, signature: DkimSignature) -> str:
    key_type, _, digest = signature.algorithm.partition("-")
    identity_domain = signature.identity.rpartition("@")[2]
    if not record.public:
        return "its key was revoked"
    if record.key_type != key_type:
        return "its key is of another type"
    if record.hashes and digest not in record.hashes:
        return "its key is not for SHA-256"
    if record.services and "email" not in record.services:
        return "its key is not for mail"
    if record.strict and identity_domain and identity_domain != signature.domain:
        return "its i= must have the domain of d= itself"
    return ""


def _public_key(record: DkimKeyRecord) -> RSAPublicKey | Ed25519PublicKey | str:
    try:
        if record.key_type == "ed25519":
            return Ed25519PublicKey.from_public_bytes(record.public)
        key = serialization.load_der_public_key(record.public)
    except (ValueError, UnsupportedAlgorithm):
        return "its key cannot be read"
    if not isinstance(key, RSAPublicKey):
        return "its key is of another type"
    if key.key_size < LEAST_RSA:  # RFC 8301 §3.2
        return f"its key has {key.key_size} bits only"
    if key.key_size > MOST_RSA or key.public_numbers().e > _LARGEST_EXPONENT:
        return "its key is larger than a verifier need take"
    return key


def _holds(key: RSAPublicKey | Ed25519PublicKey, signature: DkimSignature, octets: bytes) -> bool:
    try:
        if isinstance(key, RSAPublicKey):
            key.verify(signature.signature, octets, padding.PKCS1v15(), hashes.SHA256())
        else:
            key.verify(signature.signature, hashlib.sha256(octets).digest())
    except InvalidSignature:
        return False
    return True
