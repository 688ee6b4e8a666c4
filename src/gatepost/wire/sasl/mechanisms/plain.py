"""PLAIN (RFC 4616)."""

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
    check_password,
)
from gatepost.wire.sasl.prep import prepare_name, saslprep


def plain(_facts: ChannelFacts) -> Exchange:
    """Message = [authzid] NUL authcid NUL passwd (RFC 4616 §2).

    An authzid must be empty or name the same account (decision 15). It is looked at last, so that
    the answer tells nothing to those who do not know the password.
    """
    message = yield from challenge(b"")
    try:
        authzid, given, passwd = message.decode("utf-8").split("\0")
        authcid, password = prepare_name(given), saslprep(passwd)
        speaks_as = prepare_name(authzid) if authzid else authcid
    except ValueError:
        return Denied(Fault.MALFORMED)
    if not password:
        return Denied(Fault.MALFORMED, authcid)
    if not (yield from check_password(authcid, password)):
        return Denied(Fault.CREDENTIALS, authcid)
    if speaks_as != authcid:
        return Denied(Fault.AUTHZID, authcid)
    return Granted(authcid)


def respond(credentials: ClientCredentials, _facts: ChannelFacts) -> ClientExchange:
    """Say an empty authzid, authcid and password between NULs, as initial response."""
    yield f"\0{credentials.authcid}\0{credentials.password}".encode()
    return False


SERVER: Final = Mechanism("PLAIN", client_first=True, start=plain)
CLIENT: Final = ClientMechanism("PLAIN", strength=20, needs=Needs.PASSWORD, respond=respond)
