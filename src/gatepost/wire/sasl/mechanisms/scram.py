"""SCRAM-SHA-1 (RFC 5802), SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 7677, RFC 9266).

One script, under three names. Messages are lists of attributes whose order is fixed (RFC 5802 §7).
"""

import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final

from gatepost.wire.sasl.exchange import (
    Algorithm,
    ChannelFacts,
    ClientCredentials,
    ClientExchange,
    ClientMechanism,
    Denied,
    Exchange,
    Fault,
    Granted,
    Mechanism,
    Needs,
    ReportProof,
    challenge,
    fetch_scram,
    yes_or_no,
)
from gatepost.wire.sasl.gs2 import Gs2Header, quote_name, read_gs2_header, unquote_name
from gatepost.wire.sasl.prep import prepare_name, saslprep
from gatepost.wire.sasl.scram_keys import (
    client_proof,
    derive_client_keys,
    digest_size,
    find_proven,
    server_signature,
)

EXPORTER: Final = "tls-exporter"
END_POINT: Final = "tls-server-end-point"

#: What a client takes from a server: fewer would give the password away to a false server that
#: tries out passwords at leisure (RFC 5802 §5.1), more would hold us up.
LEAST_ITERATIONS: Final = 4096
MOST_ITERATIONS: Final = 2_000_000

#: RFC 5802 §7: printable = %x21-2B / %x2D-7E.
_PRINTABLE: Final = re.compile(r"[\x21-\x2b\x2d-\x7e]+")
#: Unassigned letters carry extensions, which are passed over; "m" would be one that may not be.
_EXTENSION: Final = re.compile(r"[A-Za-ln-z]=[^\0,]+")
_COUNT: Final = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True, repr=False)
class _Family:
    """Which SCRAM is spoken."""

    algorithm: Algorithm
    plus: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class _First:
    """client-first-message. `name` and `authzid` are prepared, `bare` is as it came."""

    header: Gs2Header
    bare: str
    name: str
    authzid: str
    nonce: str


@dataclass(frozen=True, slots=True, repr=False)
class _Final:
    """client-final-message. `without_proof` is as it came."""

    binding: bytes
    nonce: str
    proof: bytes
    without_proof: str


@dataclass(frozen=True, slots=True, repr=False)
class _ServerFirst:
    """server-first-message."""

    nonce: str
    salt: bytes
    iterations: int


# -- server side


def serve(family: _Family, facts: ChannelFacts) -> Exchange:
    """Salt and count, then a proof, then the proof of our own (RFC 5802 §5).

    An authzid is looked at last, so that the answer tells nothing to those who do not know the
    password. Every secret of the account may have made the proof; ours comes from the same one.
    """
    message = yield from challenge(b"")
    try:
        first = _read_first(message)
    except ValueError as problem:
        return Denied(Fault.MALFORMED, what=str(problem))
    if trouble := _binding_trouble(first.header, family, facts):
        return Denied(Fault.BINDING, first.name, trouble)
    offer = yield from fetch_scram(first.name, family.algorithm)

    nonce = first.nonce + facts.nonce
    server_first = f"r={nonce},s={_encoded(offer.salt)},i={offer.iterations}"
    message = yield from challenge(server_first.encode("ascii"))
    try:
        final = _read_final(message, family.algorithm)
    except ValueError as problem:
        return Denied(Fault.MALFORMED, first.name, str(problem))
    if final.nonce != nonce:
        return Denied(Fault.MALFORMED, first.name, "the nonce is not the one that was agreed upon")
    if final.binding not in _accepted_bindings(first.header, facts):
        return Denied(Fault.BINDING, first.name, "the channel binding is another one")

    auth_message = f"{first.bare},{server_first},{final.without_proof}".encode()
    proven = find_proven(family.algorithm, offer.keys, auth_message, final.proof)
    what = "" if proven is not None else "the proof was made with another password"
    goes_on = yield from yes_or_no(ReportProof(first.name, proven, what))
    if proven is None or not goes_on:
        return Denied(Fault.CREDENTIALS, first.name)
    if first.authzid and first.authzid != first.name:
        return Denied(Fault.AUTHZID, first.name)
    server_key = offer.keys[proven].server_key
    signature = server_signature(family.algorithm, server_key, auth_message)
    # RFC 4954 §4: what goes with success is a challenge, which an empty response answers.
    if (yield from challenge(b"v=" + b64encode(signature))) != b"":
        return Denied(Fault.MALFORMED, first.name, "no more was to be said")
    return Granted(first.name)


def _binding_trouble(header: Gs2Header, family: _Family, facts: ChannelFacts) -> str:
    """Return what is wrong with the channel binding that a client chose (RFC 5802 §6)."""
    if header.flag == "y" and facts.offers_plus:
        return "the client did not see our offer of channel binding: somebody took it away"
    if family.plus and header.flag != "p":
        return "a PLUS mechanism without channel binding"
    if not family.plus and header.flag == "p":
        return "channel binding without a PLUS mechanism"
    if family.plus and _channel_data(header.binding_type, facts) is None:
        return f"there is no channel binding {header.binding_type} here"
    return ""


def _channel_data(binding_type: str | None, facts: ChannelFacts) -> bytes | None:
    if binding_type == EXPORTER:
        return facts.exporter
    return facts.end_point if binding_type == END_POINT else None


def _accepted_bindings(header: Gs2Header, facts: ChannelFacts) -> tuple[bytes, ...]:
    former = facts.former_end_points if header.binding_type == END_POINT else ()
    begin = header.text.encode()
    return (_binding(header, facts), *(begin + octets for octets in former))


def _binding(header: Gs2Header, facts: ChannelFacts) -> bytes:
    """Return cbind-input = gs2-header [cbind-data] (RFC 5802 §7)."""
    return header.text.encode() + (_channel_data(header.binding_type, facts) or b"")


def _read_first(message: bytes) -> _First:
    """Read gs2-header, "n=" name, "r=" nonce, extensions.

    Raises:
        ValueError: not of the form, or a name that cannot be prepared.

    """
    header = read_gs2_header(message.decode("utf-8"))
    name, nonce, *extensions = _split(header.rest, at_least=2)
    if not name.startswith("n=") or not _is_nonce(nonce):
        msg = "no name or no nonce"
        raise ValueError(msg)
    _pass_over(extensions)
    return _First(
        header=header,
        bare=header.rest,
        name=prepare_name(unquote_name(name[2:])),
        authzid=prepare_name(header.authzid) if header.authzid else "",
        nonce=nonce[2:],
    )


def _read_final(message: bytes, algorithm: Algorithm) -> _Final:
    """Read "c=" binding, "r=" nonce, extensions, "p=" proof.

    Raises:
        ValueError: not of the form.

    """
    text = message.decode("utf-8")
    binding, nonce, *extensions, proof = _split(text, at_least=3)
    if not binding.startswith("c=") or not _is_nonce(nonce) or not proof.startswith("p="):
        msg = "no channel binding, nonce or proof"
        raise ValueError(msg)
    _pass_over(extensions)
    octets = _decoded(proof[2:])
    if len(octets) != digest_size(algorithm):
        msg = "a proof of another length"
        raise ValueError(msg)
    return _Final(_decoded(binding[2:]), nonce[2:], octets, text[: -len(proof) - 1])


# -- client side


def respond(family: _Family, credentials: ClientCredentials, facts: ChannelFacts) -> ClientExchange:
    """Prove that we know the password, and see that the server knows it too (RFC 5802 §5)."""
    header = _client_header(family, facts)
    bare = f"n={quote_name(_prepared(credentials.authcid))},r={facts.nonce}"
    message = yield f"{header.text}{bare}".encode()
    try:
        server_first = message.decode("utf-8")
        offer = _read_server_first(server_first, facts.nonce)
    except ValueError:
        return False
    password = _prepared(credentials.password)
    keys = _client_keys(family.algorithm, password, offer.salt, offer.iterations)
    without_proof = f"c={_encoded(_binding(header, facts))},r={offer.nonce}"
    auth_message = f"{bare},{server_first},{without_proof}".encode()
    proof = client_proof(family.algorithm, keys.client_key, auth_message)
    message = yield f"{without_proof},p={_encoded(proof)}".encode()
    signature = server_signature(family.algorithm, keys.server_key, auth_message)
    verifier, _, _extensions = message.partition(b",")
    if not hmac.compare_digest(verifier, b"v=" + b64encode(signature)):
        return False
    yield b""
    return True


def _client_header(family: _Family, facts: ChannelFacts) -> Gs2Header:
    """Return the header that says what we know of channel binding (RFC 5802 §6)."""
    binding_type = EXPORTER if facts.exporter is not None else END_POINT
    if family.plus:
        return Gs2Header("p", binding_type, "", f"p={binding_type},,", "")
    could = facts.exporter is not None or facts.end_point is not None
    flag = "y" if could and not facts.offers_plus else "n"
    return Gs2Header(flag, None, "", f"{flag},,", "")


def _read_server_first(text: str, ours: str) -> _ServerFirst:
    """Read "r=" nonce, "s=" salt, "i=" iteration-count, extensions.

    Raises:
        ValueError: not of the form, not our nonce with more behind it, or a count out of bounds.

    """
    nonce, salt, count, *extensions = _split(text, at_least=3)
    _pass_over(extensions)
    if not _is_nonce(nonce) or not nonce[2:].startswith(ours) or nonce[2:] == ours:
        msg = "not our nonce"
        raise ValueError(msg)
    if not salt.startswith("s=") or not count.startswith("i=") or not _COUNT.fullmatch(count[2:]):
        msg = "no salt or no count"
        raise ValueError(msg)
    iterations = int(count[2:])
    if not LEAST_ITERATIONS <= iterations <= MOST_ITERATIONS:
        msg = "a count out of bounds"
        raise ValueError(msg)
    return _ServerFirst(nonce[2:], _decoded(salt[2:]), iterations)


#: RFC 5802 §5.1: a client may keep its keys; a next hop's salt seldom changes.
_client_keys: Final = lru_cache(maxsize=32)(derive_client_keys)


def _prepared(text: str) -> str:
    """Return a name or password prepared; as it is where it cannot be (the server will judge)."""
    try:
        return saslprep(text)
    except ValueError:
        return text


# -- both


def _split(text: str, *, at_least: int) -> list[str]:
    parts = text.split(",")
    if len(parts) < at_least:
        msg = "attributes are missing"
        raise ValueError(msg)
    return parts


def _is_nonce(attribute: str) -> bool:
    return attribute.startswith("r=") and bool(_PRINTABLE.fullmatch(attribute[2:]))


def _pass_over(extensions: list[str]) -> None:
    if not all(map(_EXTENSION.fullmatch, extensions)):
        msg = "an extension that is not understood"
        raise ValueError(msg)


def _encoded(octets: bytes) -> str:
    return b64encode(octets).decode("ascii")


def _decoded(text: str) -> bytes:
    """Return what canonical base64 stands for.

    Raises:
        ValueError: it is not, or it stands for nothing.

    """
    octets = b64decode(text, validate=True)
    if not octets or _encoded(octets) != text:
        msg = "not base64"
        raise ValueError(msg)
    return octets


_FAMILIES: Final = (
    ("SCRAM-SHA-256-PLUS", 60, _Family("SHA-256", plus=True)),
    ("SCRAM-SHA-256", 50, _Family("SHA-256")),
    ("SCRAM-SHA-1", 40, _Family("SHA-1")),
)


def _server(name: str, family: _Family) -> Mechanism:
    start: Callable[[ChannelFacts], Exchange] = partial(serve, family)
    return Mechanism(name, client_first=True, start=start, binds_channel=family.plus)


def _client(name: str, strength: int, family: _Family) -> ClientMechanism:
    return ClientMechanism(
        name,
        strength,
        needs=Needs.PASSWORD,
        respond=partial(respond, family),
        proves_server=True,
        binds_channel=family.plus,
    )


SERVERS: Final = tuple(_server(name, family) for name, _, family in _FAMILIES)
CLIENTS: Final = tuple(_client(*each) for each in _FAMILIES)
