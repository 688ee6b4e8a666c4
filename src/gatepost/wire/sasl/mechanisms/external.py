"""EXTERNAL (RFC 4422 appendix A): who the client is, its TLS certificate has proven already."""

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
    ProveCertificate,
    challenge,
)
from gatepost.wire.sasl.prep import prepare_name


def external(_facts: ChannelFacts) -> Exchange:
    """Message = [authzid]; one that is given must be the certificate's own account (decision 15)."""
    message = yield from challenge(b"")
    try:
        named = prepare_name(message.decode("utf-8")) if message else None
    except ValueError:
        return Denied(Fault.MALFORMED)
    proven = yield ProveCertificate(named)
    if proven is None:
        return Denied(Fault.CREDENTIALS, named or "", "no account has this certificate")
    if not isinstance(proven, str):
        raise TypeError(type(proven))
    if named is not None and named != proven:
        return Denied(Fault.AUTHZID, proven)
    return Granted(proven)


def respond(credentials: ClientCredentials, _facts: ChannelFacts) -> ClientExchange:
    """Say who we are, or "" to be whom the certificate names."""
    yield credentials.authcid.encode()
    return False


SERVER: Final = Mechanism("EXTERNAL", client_first=True, start=external)
CLIENT: Final = ClientMechanism("EXTERNAL", strength=5, needs=Needs.CERTIFICATE, respond=respond)
