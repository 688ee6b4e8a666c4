"""SCRAM-SHA-256-PLUS on a real node: both channel bindings, on first and on resumed TLS sessions.

The client is scramp over Python's own TLS sockets; it takes the certificate from the handshake.
"""

import base64
import hashlib
import signal
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import scramp

from gatepost.net.channel_binding import bindings_of
from tests.node.talk import Talk, anyone
from tests.support.node import Node, on_all_workers
from tests.support.self_signed import self_signed

MECHANISM = "SCRAM-SHA-256-PLUS"
#: Returns the octets of a binding, of a connection whose server showed this certificate (DER).
Binding = Callable[[Talk, bytes], bytes]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A node whose certificate is for relay.test."""
    node = Node(tmp_path / "node", workers=2)
    node.set_up()
    write_certificate(node)
    node.start()
    yield node
    node.stop()


@pytest.fixture(autouse=True)
def _exporter_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """scramp refuses tls-exporter by name; what it makes of the octets is the same for all."""
    names = scramp.core.CbName
    monkeypatch.setattr(names, "SUPPORTED_TYPES", names.SUPPORTED_TYPES | {"tls-exporter"})
    monkeypatch.setattr(names, "UNSUPPORTED_TYPES", frozenset())


def write_certificate(node: Node) -> None:
    made = self_signed("relay.test", kind="RSA")  # a session is given a ticket
    node.certificate.write_bytes(made.chain)
    node.certificate.with_name("key.pem").write_bytes(made.key)


def end_point(_talk: Talk, certificate: bytes) -> bytes:
    """RFC 5929 §4.1, for a signature with SHA-256."""
    return hashlib.sha256(certificate).digest()


def exporter(talk: Talk, _certificate: bytes) -> bytes:
    """RFC 9266 §2."""
    found = bindings_of(talk.tls, server_side=False).exporter  # type: ignore[arg-type]
    assert found is not None
    return found


def scram(talk: Talk, node: Node, kind: str, octets: bytes) -> str:
    """Log in; return the last reply."""
    binding = (kind, octets)
    client = scramp.ScramClient([MECHANISM], node.account, node.password, channel_binding=binding)
    first = base64.b64encode(client.get_client_first().encode()).decode()
    challenge = talk.must(f"AUTH {MECHANISM} {first}", "334 ")
    client.set_server_first(base64.b64decode(challenge[4:]).decode())
    reply = talk.ask(base64.b64encode(client.get_client_final().encode()).decode())
    if not reply.startswith("334 "):
        return reply
    client.set_server_final(base64.b64decode(reply[4:]).decode())
    return talk.ask("")


@pytest.mark.rfc("5929#4", "9266#2", "5802#6")
@pytest.mark.parametrize(
    ("kind", "binding"), [("tls-server-end-point", end_point), ("tls-exporter", exporter)]
)
def test_bindings_hold_on_first_and_on_resumed_sessions(
    node: Node, kind: str, binding: Binding
) -> None:
    context = anyone()
    with Talk(node.ports.submissions, tls=context) as talk:
        assert MECHANISM in talk.hello()
        certificate = talk.tls.getpeercert(binary_form=True)
        assert certificate is not None
        assert scram(talk, node, kind, binding(talk, certificate)).startswith("235 2.7.0")
        session = talk.tls.session
    with Talk(node.ports.submissions, tls=context, session=session) as talk:
        talk.hello()
        assert talk.tls.session_reused
        assert scram(talk, node, kind, binding(talk, certificate)).startswith("235 2.7.0")
    with Talk(node.ports.submissions, tls=context, session=session) as talk:
        talk.hello()
        assert scram(talk, node, kind, bytes(32)).startswith("535 5.7.8")


@pytest.mark.rfc("5929#4")
def test_a_resumed_session_is_bound_to_the_certificate_that_began_it(node: Node) -> None:
    context = anyone()
    with Talk(node.ports.submissions, tls=context) as talk:
        talk.hello()
        certificate = talk.tls.getpeercert(binary_form=True)
        assert certificate is not None
        session = talk.tls.session
    write_certificate(node)
    node.signal(signal.SIGHUP)
    seen = lambda: ssl.get_server_certificate(("127.0.0.1", node.ports.submissions))  # noqa: E731
    on_all_workers(lambda: ssl.PEM_cert_to_DER_cert(seen()) != certificate, "the new certificate")
    with Talk(node.ports.submissions, tls=context, session=session) as talk:
        talk.hello()
        assert talk.tls.session_reused
        said = scram(talk, node, "tls-server-end-point", end_point(talk, certificate))
        assert said.startswith("235 2.7.0")
