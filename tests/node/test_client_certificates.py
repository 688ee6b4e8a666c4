"""EXTERNAL on a real node: a registered TLS client certificate logs in, another cannot connect."""

import base64
import smtplib
import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.support.client_certificate import make_client_certificate
from tests.support.node import Node, wait_until

NAME = "app@example.com"


@pytest.fixture
def node(tmp_path: Path):
    node = Node(tmp_path / "node")
    node.set_up()
    node.config.write_text(
        node.config.read_text().replace(
            'role = "submissions"', 'role = "submissions"\nclient_certificates = true'
        )
    )
    node.start()
    yield node
    node.stop()


def client(node: Node, pair: tuple[Path, Path] | None) -> ssl.SSLContext:
    context = node.trust()
    if pair:
        context.load_cert_chain(*pair)
    return context


def make(directory: Path, name: str) -> tuple[Path, Path]:
    chain, key = make_client_certificate(name)
    files = directory / f"{name}.pem", directory / f"{name}.key"
    for file, octets in zip(files, (chain, key), strict=True):
        file.write_bytes(octets)
    return files


def external(node: Node, pair: tuple[Path, Path] | None, authzid: str = "") -> str:
    """Log in; return the reply, or the name of what went wrong."""
    response = base64.b64encode(authzid.encode()).decode() or "="
    try:
        with smtplib.SMTP_SSL(
            "127.0.0.1", node.ports.submissions, context=client(node, pair), timeout=20
        ) as smtp:
            smtp.ehlo()
            code, words = smtp.docmd("AUTH", f"EXTERNAL {response}")
            return f"{code} {words.decode()}"
    except (ssl.SSLError, smtplib.SMTPServerDisconnected, ConnectionError) as error:
        return type(error).__name__


def soon(node: Node, pair: tuple[Path, Path], beginning: str) -> str:
    said: list[str] = []

    def holds() -> bool:
        said.append(external(node, pair))
        return said[-1].startswith(beginning)

    wait_until(holds, f"{beginning}, but {said}")
    return said[-1]


def soon_explained(node: Node, tag: str) -> Any:
    """Events are written twice a second."""
    wait_until(lambda: node.run("explain", tag, check=False).returncode == 0, "the event")
    return node.json("explain", tag)


@pytest.mark.rfc("4422#A")
def test_a_registered_certificate_logs_in_and_a_revoked_one_does_not(
    node: Node, tmp_path: Path
) -> None:
    mine, foreign = make(tmp_path, "mine"), make(tmp_path, "foreign")
    assert not external(node, mine)[0].isdigit()
    node.run("account", "certificate", "add", NAME, str(mine[0]), "--label", "laptop")
    assert soon(node, mine, "235").startswith("235 2.7.0")
    assert external(node, mine, NAME).startswith("235")
    assert external(node, mine, "other@example.com").startswith("535 5.7.8")
    assert not external(node, foreign)[0].isdigit()
    assert external(node, None).startswith("504 5.5.4")
    node.run("account", "certificate", "revoke", NAME, "laptop")
    # As for a stranger's: no handshake; those that remain are trusted on.
    soon(node, mine, "SMTPServerDisconnected")
    assert external(node, None).startswith("504 5.5.4")
    node.run("account", "certificate", "add", NAME, str(mine[0]), "--label", "again")
    assert soon(node, mine, "235").startswith("235 2.7.0")


@pytest.mark.rfc("4422#A")
def test_a_session_that_outlives_its_certificate_does_not_log_in(
    node: Node, tmp_path: Path
) -> None:
    mine = make(tmp_path, "mine")
    node.run("account", "certificate", "add", NAME, str(mine[0]), "--label", "laptop")
    soon(node, mine, "235")
    with smtplib.SMTP_SSL(
        "127.0.0.1", node.ports.submissions, context=client(node, mine), timeout=20
    ) as smtp:
        smtp.ehlo()
        node.run("account", "certificate", "revoke", NAME, "laptop")
        soon(node, mine, "SMTPServerDisconnected")
        code, words = smtp.docmd("AUTH", "EXTERNAL =")
    assert code == 535
    explained = soon_explained(node, words.decode().rpartition("[")[2].rstrip("]"))
    assert explained["cause"] == "unknown client certificate"
    assert explained["mechanism"] == "EXTERNAL"


def test_the_same_port_serves_those_without_a_certificate(node: Node) -> None:
    with smtplib.SMTP_SSL(
        "127.0.0.1", node.ports.submissions, context=client(node, None), timeout=20
    ) as smtp:
        smtp.login(NAME, node.password)
        assert "EXTERNAL" not in smtp.esmtp_features["auth"]
