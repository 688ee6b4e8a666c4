"""Gatepost as a client: it logs in at a real Postfix whose Dovecot checks passwords and tokens."""

import smtplib
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.support.dovecot import POSTFIX, running_dovecot
from tests.support.node import HOST, Node, wait_until
from tests.support.openid_provider import Provider
from tests.support.postfix import Postfix, running_postfix
from tests.support.programs import need, need_root

pytestmark = pytest.mark.interop("postfix", "dovecot")

NAME, SECRET = "app@next.example", "a secret of its own"
PASSWORD_MECHANISMS = ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256")
TOKEN_MECHANISMS = ("XOAUTH2", "OAUTHBEARER")
BODY = "Grüße €\r\n.\r\n..dots\r\ntrailing  \r\n\r\n".encode() + b"y" * 998 + b"\r\n"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("upstream")


@pytest.fixture(scope="module")
def upstream(provider: Provider, files: Path) -> Iterator[Postfix]:
    need("postfix")
    need_root()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(files / "ca.pem")
    leaf = authority.issue_cert("localhost")
    url = provider.issuer.replace("http://", "http://gatepost:s3cret@") + "/introspect"
    with running_dovecot(NAME, SECRET, introspection_url=url) as root:
        (root / "chain.pem").write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        (root / "key.pem").write_bytes(leaf.private_key_pem.bytes())
        domains = " ".join(
            f"{m.lower()}.example" for m in (*PASSWORD_MECHANISMS, *TOKEN_MECHANISMS)
        )
        with running_postfix(
            f"strongest.example wrong.example {domains}", more=POSTFIX.format(root=root)
        ) as server:
            yield server


def route(domain: str, port: int, *login: str) -> str:
    return (
        f'[[routes]]\nmatch = ["{domain}"]\nvia = "smtp:localhost:{port}"\n'
        f'username = "{NAME}"\n' + "\n".join(login) + "\n"
    )


def token_login(provider: Provider, directory: Path, mechanism: str) -> list[str]:
    refresh, secret = directory / f"{mechanism}.refresh", directory / "client.secret"
    refresh.write_text(provider.grant(email=NAME))
    secret.write_text("s3cret\n")
    return [
        f'mechanism = "{mechanism}"',
        f'[routes.oauth]\ntoken_url = "{provider.issuer}/token"\nclient_id = "gatepost"',
        f'client_secret_file = "{secret}"\nrefresh_token_file = "{refresh}"',
    ]


@pytest.fixture(scope="module")
def relay(
    upstream: Postfix, provider: Provider, files: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    """A node with a route for each mechanism, which trusts the upstream's authority."""
    (files / "password").write_text(SECRET + "\n")
    (files / "wrong").write_text("wrong\n")
    password = f'password_file = "{files / "password"}"'
    routes = route("strongest.example", upstream.port, password)
    routes += route("wrong.example", upstream.port, f'password_file = "{files / "wrong"}"')
    for mechanism in PASSWORD_MECHANISMS:
        chosen = f'mechanism = "{mechanism}"'
        routes += route(f"{mechanism.lower()}.example", upstream.port, password, chosen)
    for mechanism in TOKEN_MECHANISMS:
        login = token_login(provider, files, mechanism)
        routes += route(f"{mechanism.lower()}.example", upstream.port, *login)
    node = Node(tmp_path_factory.mktemp("relay"), settings=routes)
    node.set_up()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(files / "ca.pem"))
        node.start()
    yield node
    node.stop()


def submit(node: Node, domain: str) -> bytes:
    """Send one message; return it as it must arrive."""
    octets = (
        f"From: {node.account}\r\nTo: b@{domain}\r\nSubject: {domain}\r\n"
        f"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@{domain}>\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: 8bit\r\n\r\n"
    ).encode() + BODY
    with smtplib.SMTP(HOST, node.ports.submission, timeout=30) as server:
        server.starttls(context=ssl._create_unverified_context())
        server.login(node.account, node.password)
        server.sendmail(node.account, [f"b@{domain}"], octets, ["BODY=8BITMIME"])
    return octets


@pytest.mark.rfc("4954#4", "4616#2", "2195#2", "5802#5", "7677#3")
@pytest.mark.parametrize("mechanism", [None, *PASSWORD_MECHANISMS, *TOKEN_MECHANISMS])
def test_a_login_by_each_mechanism_delivers_the_content_unchanged(
    upstream: Postfix, relay: Node, mechanism: str | None
) -> None:
    domain = f"{(mechanism or 'strongest').lower()}.example"
    octets = submit(relay, domain)
    wait_until(lambda: any(octets in m for m in upstream.received()), f"mail for {domain}")
    (arrived,) = [m for m in upstream.received() if f"<1@{domain}>".encode() in m]
    assert arrived.endswith(octets)
    used = f"sasl_method={mechanism or 'SCRAM-SHA-256'}, sasl_username={NAME}"
    wait_until(lambda: used in upstream.log, used)


@pytest.mark.rfc("4954#6")
def test_a_wrong_password_is_told_in_the_trace_and_the_mail_waits(
    upstream: Postfix, relay: Node
) -> None:
    submit(relay, "wrong.example")
    words = "the next hop refused our login: 535 5.7.8"
    wait_until(lambda: words in relay.run("trace", "b@wrong.example").stdout, words)
    assert not any(b"<1@wrong.example>" in m for m in upstream.received())
