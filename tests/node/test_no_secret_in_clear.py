"""What a node writes, and what it shows, holds no secret in clear, in no encoding."""

import base64
import secrets
import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.node import CAPTURE_ALL, Node, wait_until


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path / "node", settings=CAPTURE_ALL)
    node.set_up()
    mechanisms = '[auth]\nmechanisms = ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"]\n'
    node.config.write_text(node.config.read_text() + mechanisms)
    node.start()
    yield node
    node.stop()


def encodings(secret: str) -> list[bytes]:
    """Return a secret as it could stand somewhere."""
    octets = secret.encode()
    wrapped = f"\0app@example.com\0{secret}".encode()
    return [
        octets,
        base64.b64encode(octets).rstrip(b"="),
        base64.b64encode(wrapped).rstrip(b"="),
        octets.hex().encode(),
        secret.encode("utf-16-le"),
        octets[::-1],
    ]


def test_no_file_of_a_node_holds_a_secret_in_clear(node: Node) -> None:
    node.run(
        "account", "password", node.account, "--password-stdin", "--cram-md5", stdin=node.password
    )
    made = node.json("account", "app-password", "add", node.account, "--label", "x")
    wrong = f"wrong-{secrets.token_hex(12)}"
    said = ""
    for password in (node.password, made["secret"], wrong):
        for mechanism in ("plain", "login", "cram_md5"):
            with smtplib.SMTP_SSL(
                "127.0.0.1", node.ports.submissions, context=node.trust(), timeout=30
            ) as smtp:
                smtp.ehlo()
                smtp.user, smtp.password = node.account, password
                method = getattr(smtp, f"auth_{mechanism}")
                try:
                    smtp.auth(mechanism.replace("_", "-").upper(), method)
                except smtplib.SMTPAuthenticationError as error:
                    said = error.smtp_error.decode()
    tag = said.rpartition("[")[2].rstrip("]")
    wait_until(lambda: node.run("explain", tag, check=False).returncode == 0, "the event")
    shown = node.run("explain", tag).stdout + node.run("account", "show", node.account).stdout
    node.stop()
    files = [path for path in node.directory.rglob("*") if path.is_file()]
    assert {"gatepost.db", "serve.log"} <= {path.name for path in files}
    assert any(path.suffix == ".jsonl" for path in files)
    for secret in (node.password, made["secret"], wrong):
        for form in encodings(secret):
            assert form not in shown.encode()
            for path in files:
                assert form not in path.read_bytes(), path
