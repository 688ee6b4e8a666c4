"""CRAM-MD5 (RFC 2195): the server begins, the client answers with a keyed digest."""

import hmac
import re
from typing import Final

from gatepost.wire.sasl.exchange import (
    ChannelFacts,
    CheckDigest,
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
    yes_or_no,
)
from gatepost.wire.sasl.prep import prepare_name, saslprep

_DIGEST: Final = re.compile(rb"[0-9a-f]{32}")


def cram_md5(facts: ChannelFacts) -> Exchange:
    """Challenge = "<" nonce "." time "@" host ">"; response = name SP digest (RFC 2195 §2).

    A name may hold spaces, the digest cannot: the last space parts them.
    """
    msg_id = f"<{facts.nonce}.{facts.at}@{facts.hostname}>".encode()
    response = yield from challenge(msg_id)
    name, _, digest = response.rpartition(b" ")
    try:
        authcid = prepare_name(name.decode("utf-8"))
    except ValueError:
        return Denied(Fault.MALFORMED)
    if not _DIGEST.fullmatch(digest):
        return Denied(Fault.MALFORMED, authcid, "no digest behind the name")
    if not (yield from yes_or_no(CheckDigest(authcid, msg_id, digest.decode("ascii")))):
        return Denied(Fault.CREDENTIALS, authcid)
    return Granted(authcid)


def digest_of(secret: str, msg_id: bytes) -> str:
    """Return HMAC-MD5 of a challenge in hexadecimal (RFC 2195 §2, RFC 2104)."""
    return hmac.digest(secret.encode("utf-8"), msg_id, "md5").hex()


def respond(credentials: ClientCredentials, _facts: ChannelFacts) -> ClientExchange:
    """Answer the challenge; the secret itself is never sent."""
    msg_id = yield None
    try:
        secret = saslprep(credentials.password)
    except ValueError:
        secret = credentials.password
    yield f"{credentials.authcid} {digest_of(secret, msg_id)}".encode()
    return False


SERVER: Final = Mechanism("CRAM-MD5", client_first=False, start=cram_md5)
CLIENT: Final = ClientMechanism("CRAM-MD5", strength=30, needs=Needs.PASSWORD, respond=respond)
