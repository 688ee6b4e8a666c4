"""OAUTHBEARER (RFC 7628): a bearer token behind a GS2 header."""

from typing import Final

from gatepost.wire.sasl.exchange import (
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
    challenge,
    check_token,
)
from gatepost.wire.sasl.gs2 import Gs2Header, bearer_token, quote_name, read_gs2_header
from gatepost.wire.sasl.prep import prepare_name

_SEPARATOR: Final = "\x01"


def oauthbearer(_facts: ChannelFacts) -> Exchange:
    """Message = gs2-header ^A *(key "=" value ^A) ^A (RFC 7628 §3.1).

    An empty `auth` asks what would be needed, and hears the same JSON as a refused token (§4.3).
    `host` and `port` are not compared: a relay is known by many names, and a bearer token does
    not depend on them.
    """
    message = yield from challenge(b"")
    try:
        header, pairs = _read(message)
        authzid = prepare_name(header.authzid) if header.authzid else None
    except ValueError as problem:
        return Denied(Fault.MALFORMED, what=str(problem))
    if header.binding_type is not None:
        return Denied(Fault.BINDING, authzid or "", "OAUTHBEARER has no channel binding")
    auth = pairs.get("auth", "")
    token = bearer_token(auth)
    if token is None and auth:
        return Denied(Fault.MALFORMED, authzid or "", "no bearer token")
    answer = yield from check_token(authzid, token or "")
    if not answer.granted:
        if answer.error:
            yield from challenge(answer.error)  # the client answers with ^A (RFC 7628 §3.2.3)
        return Denied(Fault.CREDENTIALS, authzid or answer.authcid)
    if authzid is not None and answer.authcid != authzid:
        return Denied(Fault.AUTHZID, answer.authcid)
    return Granted(answer.authcid)


def _read(message: bytes) -> tuple[Gs2Header, dict[str, str]]:
    """Return the header and the pairs; of a key that comes twice, the last.

    Raises:
        ValueError: not of the form.

    """
    head, *pairs = message.decode("utf-8").split(_SEPARATOR)
    header = read_gs2_header(head)
    if header.rest or pairs[-2:] != ["", ""]:
        msg = "not of the form of RFC 7628"
        raise ValueError(msg)
    found = {}
    for pair in pairs[:-2]:
        key, equals, value = pair.partition("=")
        if not (equals and key.isascii() and key.isalpha()):
            msg = "a key is faulty"
            raise ValueError(msg)
        found[key.lower()] = value
    return header, found


def respond(credentials: ClientCredentials, facts: ChannelFacts) -> ClientExchange:
    """Say name, server and token; a challenge is bad news, and answered with ^A (§3.2.3)."""
    pairs = (
        f"n,a={quote_name(credentials.authcid)},",
        f"host={facts.hostname}",
        f"port={credentials.port}",
        f"auth=Bearer {credentials.token}",
    )
    yield "".join(pair + _SEPARATOR for pair in (*pairs, "")).encode()
    yield _SEPARATOR.encode()
    return False


SERVER: Final = Mechanism("OAUTHBEARER", client_first=True, start=oauthbearer)
CLIENT: Final = ClientMechanism("OAUTHBEARER", strength=80, needs=Needs.TOKEN, respond=respond)
