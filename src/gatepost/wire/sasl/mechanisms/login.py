"""LOGIN: two challenges, no RFC (draft-murchison-sasl-login); still what Microsoft's clients speak."""

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

#: Clients match on these words.
NAME_ASKED: Final = b"Username:"
PASSWORD_ASKED: Final = b"Password:"


def login(_facts: ChannelFacts) -> Exchange:
    """Ask for the name, then for the password; an initial response is the name."""
    name = yield from challenge(NAME_ASKED)
    secret = yield from challenge(PASSWORD_ASKED)
    try:
        authcid, password = prepare_name(name.decode("utf-8")), saslprep(secret.decode("utf-8"))
    except ValueError:
        return Denied(Fault.MALFORMED)
    if not password:
        return Denied(Fault.MALFORMED, authcid)
    if not (yield from check_password(authcid, password)):
        return Denied(Fault.CREDENTIALS, authcid)
    return Granted(authcid)


def respond(credentials: ClientCredentials, _facts: ChannelFacts) -> ClientExchange:
    """Answer two questions whose words nobody agrees on: their order tells."""
    yield None
    yield credentials.authcid.encode()
    yield credentials.password.encode()
    return False


SERVER: Final = Mechanism("LOGIN", client_first=True, start=login)
CLIENT: Final = ClientMechanism("LOGIN", strength=10, needs=Needs.PASSWORD, respond=respond)
