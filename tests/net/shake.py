"""A handshake between two ends in memory."""

import ssl

from gatepost.net.tls import client_context


def shake(
    server: ssl.SSLContext,
    client: ssl.SSLContext | None = None,
    name: str | None = "relay.test",
    session: ssl.SSLSession | None = None,
) -> ssl.SSLObject:
    """Let two memory ends agree, pass one octet back (so that tickets arrive), return the client."""
    client = client or client_context("opportunistic")
    a, b = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(a, b, server_hostname=name, session=session)
    theirs = server.wrap_bio(b, a, server_side=True)
    for _ in range(4):
        for end in (ours, theirs):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    theirs.write(b"x")
    assert ours.read(1) == b"x"
    return ours
