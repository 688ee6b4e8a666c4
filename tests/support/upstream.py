"""A Gatepost as somebody's upstream: every mechanism, and a certificate for "localhost"."""

from pathlib import Path

from gatepost.net.certificate import make_self_signed
from tests.support.node import CAPTURE_ALL, Node

EVERY_MECHANISM = """
[auth]
mechanisms = ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS",
    "XOAUTH2", "OAUTHBEARER", "EXTERNAL"]
"""


def start_upstream(directory: Path, settings: str = "") -> Node:
    """Return a running node that captures what it is sent by an account that may use CRAM-MD5."""
    node = Node(directory, settings=EVERY_MECHANISM + settings + CAPTURE_ALL)
    node.set_up()
    chain, key = make_self_signed(["localhost"])
    node.certificate.write_bytes(chain)
    node.certificate.with_name("key.pem").write_bytes(key)
    arguments = ("account", "password", node.account, "--password-stdin", "--cram-md5")
    node.run(*arguments, stdin=node.password + "\n")
    settings = node.config.read_text()
    for role in ("submission", "submissions"):
        settings = settings.replace(
            f'role = "{role}"', f'role = "{role}"\nclient_certificates = true'
        )
    node.config.write_text(settings)
    node.start()
    return node
