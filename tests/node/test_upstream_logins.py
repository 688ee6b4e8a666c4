"""Our logins at somebody else's server, by every mechanism: a route's, and `gatepost send`'s.

The upstream is a node that checks passwords, certificates and tokens; the tokens come from a
provider of the tests' own.
"""

import shlex
import smtplib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.client_certificate import make_client_certificate
from tests.support.node import HOST, Node, wait_until
from tests.support.openid_provider import Provider
from tests.support.upstream import start_upstream

PASSWORD_MECHANISMS = (
    "PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS",
)  # fmt: skip
MECHANISMS = (*PASSWORD_MECHANISMS, "XOAUTH2", "OAUTHBEARER", "EXTERNAL")


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    provider = Provider()
    provider.start()
    yield provider
    provider.stop()


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Node]:
    oauth = f'[auth.oauth]\nissuer = "{provider.issuer}"\naudience = "gatepost"\n'
    node = start_upstream(tmp_path_factory.mktemp("upstream"), oauth)
    chain, key = make_client_certificate("us")
    (node.directory / "us.pem").write_bytes(chain)
    (node.directory / "us.key").write_bytes(key)
    added = ("account", "certificate", "add", node.account, str(node.directory / "us.pem"))
    node.stop()
    node.run(*added)
    node.start()  # a running one would hear of it within a second
    (node.directory / "password").write_text(node.password + "\n")
    yield node
    node.stop()


def claims(provider: Provider) -> dict[str, Any]:
    return {
        "iss": provider.issuer,
        "aud": "gatepost",
        "email": "app@example.com",
        "email_verified": True,
    }


def access_token(provider: Provider, **more: object) -> str:
    return provider.token(**(claims(provider) | {"exp": int(time.time()) + 300} | more))


def route(domain: str, port: int, login: str, **more: str) -> str:
    extra = "".join(f'{key} = "{value}"\n' for key, value in more.items())
    return (
        f'[[routes]]\nmatch = ["{domain}"]\nvia = "smtp:localhost:{port}"\n'
        f'username = "app@example.com"\n{extra}{login}'
    )


def submit(node: Node, recipient: str) -> None:
    with smtplib.SMTP(HOST, node.ports.submission, timeout=30) as server:
        server.starttls(context=node.trust())
        server.login(node.account, node.password)
        server.sendmail(node.account, [recipient], f"From: {node.account}\r\n\r\nHello\r\n")


def secret_of(mechanism: str, upstream: Node, provider: Provider) -> str:
    if mechanism in PASSWORD_MECHANISMS:
        return f'password_file = "{upstream.directory / "password"}"\n'
    if mechanism == "EXTERNAL":
        files = upstream.directory / "us.pem", upstream.directory / "us.key"
        return f'client_certificate = "{files[0]}"\nclient_key = "{files[1]}"\n'
    refresh = upstream.directory / f"{mechanism}.refresh"
    refresh.write_text(provider.grant(**claims(provider)))
    secret = upstream.directory / "client.secret"
    secret.write_text("s3cret\n")
    return (
        f'[routes.oauth]\ntoken_url = "{provider.issuer}/token"\nclient_id = "gatepost"\n'
        f'client_secret_file = "{secret}"\nrefresh_token_file = "{refresh}"\n'
    )


def test_a_route_logs_in_by_every_mechanism(
    upstream: Node, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(upstream.certificate))
    routes = ""
    for mechanism in MECHANISMS:
        implicit = mechanism == "EXTERNAL"
        ports = upstream.ports
        more = {"mechanism": mechanism, "tls": "implicit" if implicit else "required"}
        port = ports.submissions if implicit else ports.submission
        routes += route(
            f"{mechanism.lower()}.test", port, secret_of(mechanism, upstream, provider), **more
        )
    node = Node(tmp_path / "node", settings=routes)
    node.set_up()
    checked = node.run("check", check=False)
    assert "client_certificate" in checked.stdout, checked.stdout + checked.stderr
    assert "refresh_token_file" in checked.stdout, checked.stdout + checked.stderr
    node.start()
    try:
        for mechanism in MECHANISMS:
            submit(node, f"b@{mechanism.lower()}.test")
        for mechanism in MECHANISMS:
            recipient = f"b@{mechanism.lower()}.test"
            wait_until(lambda r=recipient: upstream.captured(r) != [], recipient)  # type: ignore[misc]
    finally:
        assert node.stop() == 0
    kept = [p.read_bytes() for p in node.data_dir.rglob("*") if p.is_file()]
    assert not any(upstream.password.encode() in octets for octets in kept)


def test_a_refresh_token_rotates_over_restarts_and_one_taken_back_is_said_so(
    upstream: Node, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(upstream.certificate))
    secret = secret_of("XOAUTH2", upstream, provider)
    settings = route("renewed.test", upstream.ports.submission, secret)
    node = Node(tmp_path / "node", settings=settings, workers=2)
    node.set_up()
    refresh = upstream.directory / "XOAUTH2.refresh"
    seen = {refresh.read_text()}
    for number in range(2):
        node.start()
        try:
            submit(node, f"{number}@renewed.test")
            wait_until(lambda n=number: upstream.captured(f"{n}@renewed.test") != [], "mail")  # type: ignore[misc]
        finally:
            node.stop()
        assert refresh.read_text() not in seen
        seen.add(refresh.read_text())
    provider.grants.clear()
    node.start()
    try:
        submit(node, "2@renewed.test")
        words = "invalid_grant: the refresh token has expired or was taken back"
        wait_until(lambda: words in node.run("trace", "2@renewed.test").stdout, "the reason")
        assert upstream.captured("2@renewed.test") == []
    finally:
        node.stop()
    kept = [p.read_text(errors="replace") for p in node.data_dir.rglob("*") if p.is_file()]
    assert not [text for text in (*kept, node.log.read_text()) for word in seen if word in text]


def send(
    upstream: Node, *arguments: str, port: int = 0, stdin: str = "", to: str = "b@send.test"
) -> tuple[int, str]:
    done = upstream.run(
        "send",
        *("--server", f"localhost:{port or upstream.ports.submission}"),
        *("--from", upstream.account, "--to", to, *arguments),
        stdin=stdin,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("mechanism", PASSWORD_MECHANISMS)
def test_send_logs_in_with_a_password(upstream: Node, mechanism: str) -> None:
    arguments = ("--user", upstream.account, "--password-stdin", "--mechanism", mechanism.lower())
    status, said = send(upstream, *arguments, stdin=upstream.password + "\n")
    assert status == 0, said
    status, said = send(upstream, *arguments, stdin="wrong\n")
    assert status == 1
    assert "the login was refused: 535 5.7.8" in said or "did not prove" in said
    upstream.run("account", "unlock", upstream.account)


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER", None])
def test_send_logs_in_with_a_token(
    upstream: Node, provider: Provider, tmp_path: Path, mechanism: str | None
) -> None:
    token, expired = tmp_path / "token", tmp_path / "expired"
    token.write_text(access_token(provider))
    expired.write_text(access_token(provider, exp=int(time.time()) - 999))
    more = ("--user", upstream.account, *(("--mechanism", mechanism) if mechanism else ()))
    command = shlex.join(
        [sys.executable, "-c", "import sys; print(open(sys.argv[1]).read())", str(token)]
    )
    for given in (("--token-file", str(token)), ("--token-command", command)):
        status, said = send(upstream, *more, *given)
        assert status == 0, said
    status, said = send(upstream, *more, "--token-file", str(expired))
    assert status == 1
    assert "the login was refused: 535 5.7.8" in said
    assert expired.read_text() not in said
    upstream.run("account", "unlock", upstream.account)


@pytest.mark.parametrize("user", [True, False])
def test_send_logs_in_with_a_certificate(upstream: Node, user: bool) -> None:
    files = [str(upstream.directory / name) for name in ("us.pem", "us.key")]
    named = ("--user", upstream.account) if user else ()
    arguments = (*named, "--certificate", files[0], "--key", files[1], "--tls", "implicit")
    status, said = send(upstream, *arguments, port=upstream.ports.submissions)
    assert status == 0, said


def test_send_says_which_mechanisms_there_are(upstream: Node, provider: Provider) -> None:
    status, said = send(
        upstream,
        *("--user", upstream.account, "--mechanism", "external", "--password-stdin"),
        stdin="x\n",
    )
    assert status == 1
    assert "no AUTH mechanism in common that fits; it offers" in said


WRONG = [  # arguments -> status, words
    (("--mechanism", "NTLM", "--user", "u"), 'there is no mechanism "NTLM"'),
    (("--mechanism", "PLAIN"), "--mechanism without --user"),
    (("--token-file", "/nonexistent"), "cannot be read"),
    (("--token-file", "/dev/null", "--token-command", "x"), "exclude each other"),
    (("--token-command", "false", "--user", "u"), "failed with status 1"),
    (("--token-file", "/dev/null", "--user", "u"), "/dev/null holds no token"),
    (("--key", "/dev/null"), "--key without --certificate"),
    (("--certificate", "/dev/null", "--user", "u"), "cannot be used"),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG)
def test_send_says_what_is_wrong_with_its_options(
    upstream: Node, arguments: tuple[str, ...], words: str
) -> None:
    status, said = send(upstream, *arguments, stdin="x\n")
    assert status in {1, 2}
    assert words in said
    assert "Traceback" not in said


def test_probe_logs_in_with_a_certificate(upstream: Node) -> None:
    done = upstream.run(
        "probe",
        f"localhost:{upstream.ports.submissions}",
        *("--ca", str(upstream.certificate), "--user", upstream.account),
        *("--certificate", str(upstream.directory / "us.pem")),
        *("--key", str(upstream.directory / "us.key")),
        check=False,
    )
    assert "EXTERNAL" in done.stdout
    assert "235" in done.stdout
