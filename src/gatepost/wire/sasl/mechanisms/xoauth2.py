"""XOAUTH2: a bearer token as Gmail and Microsoft 365 took it before RFC 7628 (no RFC)."""

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
from gatepost.wire.sasl.gs2 import bearer_token
from gatepost.wire.sasl.prep import prepare_name


def xoauth2(_facts: ChannelFacts) -> Exchange:
    """Message = "user=" NAME ^A "auth=Bearer " TOKEN ^A ^A; a refused client hears JSON first."""
    message = yield from challenge(b"")
    try:
        user, auth, *rest = message.decode("utf-8").split("\x01")
        if rest != ["", ""] or user[:5].lower() != "user=" or auth[:5].lower() != "auth=":
            return Denied(Fault.MALFORMED)
        authcid = prepare_name(user[5:])
    except ValueError:
        return Denied(Fault.MALFORMED)
    token = bearer_token(auth[5:])
    if token is None:
        return Denied(Fault.MALFORMED, authcid, "no bearer token")
    answer = yield from check_token(authcid, token)
    if not answer.granted:
        if answer.error:
            yield from challenge(answer.error)  # the client answers with an empty line
        return Denied(Fault.CREDENTIALS, authcid)
    if answer.authcid != authcid:
        return Denied(Fault.AUTHZID, answer.authcid)
    return Granted(authcid)


def respond(credentials: ClientCredentials, _facts: ChannelFacts) -> ClientExchange:
    """Say name and token; a challenge is bad news, and answered with nothing."""
    yield f"user={credentials.authcid}\x01auth=Bearer {credentials.token}\x01\x01".encode()
    yield b""
    return False


SERVER: Final = Mechanism("XOAUTH2", client_first=True, start=xoauth2)
CLIENT: Final = ClientMechanism("XOAUTH2", strength=70, needs=Needs.TOKEN, respond=respond)
