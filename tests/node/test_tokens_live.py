"""XOAUTH2 and OAUTHBEARER on a real node, against a provider that changes keys and goes away."""

import asyncio
import base64
import smtplib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.node import CAPTURE_ALL, Node, wait_until
from tests.support.openid_provider import Provider

NAME = "app@example.com"


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    provider.start()
    yield provider
    provider.stop()


@pytest.fixture
def node(tmp_path: Path, provider: Provider) -> Iterator[Node]:
    oauth = f'[auth.oauth]\nissuer = "{provider.issuer}"\naudience = "gatepost"\n'
    node = Node(tmp_path / "node", settings=oauth + CAPTURE_ALL)
    node.set_up()
    node.start()
    yield node
    node.stop()


def token(provider: Provider, **more: object) -> str:
    said = {
        "iss": provider.issuer,
        "aud": "gatepost",
        "email": NAME,
        "email_verified": True,
        "exp": int(time.time()) + 300,
    }
    return provider.token(**(said | more))


def xoauth2(bearer: str) -> str:
    return f"user={NAME}\1auth=Bearer {bearer}\1\1"


def oauthbearer(bearer: str) -> str:
    return f"n,a={NAME},\1auth=Bearer {bearer}\1\1"


def login(node: Node, mechanism: str, bearer: str) -> str:
    make: Callable[[str], str] = xoauth2 if mechanism == "XOAUTH2" else oauthbearer
    with smtplib.SMTP_SSL(
        "127.0.0.1", node.ports.submissions, context=node.trust(), timeout=30
    ) as smtp:
        smtp.ehlo()
        assert mechanism in smtp.esmtp_features["auth"].split()
        message = base64.b64encode(make(bearer).encode()).decode()
        code, words = smtp.docmd("AUTH", f"{mechanism} {message}")
        if code == 334:  # the JSON of RFC 7628 §3.2.2; then a dummy answer
            dummy = "" if mechanism == "XOAUTH2" else "AQ=="
            code, words = smtp.docmd(dummy)
        if code == 235:
            assert smtp.mail(NAME)[0] == 250
        return f"{code} {words.decode()}"


@pytest.mark.rfc("7628#3.2")
@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_tokens_log_in_while_the_provider_is_there(
    node: Node, provider: Provider, mechanism: str
) -> None:
    assert login(node, mechanism, token(provider)).startswith("235 2.7.0")
    wait_until(lambda: node.json("account", "show", NAME)["other_logins"] != [], "its use")
    (use,) = node.json("account", "show", NAME)["other_logins"]
    assert (use["by"], use["last_mechanism"]) == ("oauth", mechanism)
    said = login(node, mechanism, token(provider, exp=int(time.time()) - 999))
    assert said.startswith("535 5.7.8")
    tag = said.rpartition("[")[2].rstrip("]")
    wait_until(lambda: node.run("explain", tag, check=False).returncode == 0, "the event")
    explained = node.json("explain", tag)
    assert explained["cause"] == "bad token"
    assert "exp: it expired at" in explained["reason"]
    # Away: the key that is known goes on, another one nobody can judge. 454: do not ask for a
    # password, try again.
    port = provider.port
    provider.stop()
    assert login(node, mechanism, token(provider)).startswith("235")
    provider.rotate()
    assert login(node, mechanism, token(provider)).startswith("454 4.7.0")
    provider._loop = asyncio.new_event_loop()
    provider.start(port)
    wait_until(lambda: login(node, mechanism, token(provider)).startswith("235"), "a new key")
    assert node.stop() == 0
    for octets in node.data_dir.rglob("*"):
        if octets.is_file():
            assert token(provider).encode() not in octets.read_bytes()
