"""swaks, the postmaster's own client: STARTTLS and TLS, PLAIN and LOGIN."""

import subprocess

import pytest

from tests.support.letters import Letter, assert_arrived, assert_nothing_arrived
from tests.support.node import HOST, Node
from tests.support.programs import need, run

pytestmark = pytest.mark.interop("swaks")

#: swaks(1), EXIT CODES: an error while authenticating.
AUTHENTICATION_FAILED = 28


def swaks(
    node: Node, sent: Letter, password: str, *transport: str
) -> subprocess.CompletedProcess[str]:
    return run(
        [
            need("swaks"),
            *("--server", HOST, *transport),
            *("--auth-user", node.account, "--auth-password", password),
            *("--from", sent.sender, "--to", sent.recipient),
            *("--header", f"Subject: {sent.subject}", "--body", sent.body),
        ]
    )


@pytest.mark.rfc("4954#4", "3207#4")
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_swaks_sends_through_starttls(shared_node: Node, sent: Letter, mechanism: str) -> None:
    port = str(shared_node.ports.submission)
    done = swaks(
        shared_node, sent, shared_node.password, "--port", port, "--tls", "--auth", mechanism
    )
    assert done.returncode == 0, done.stdout
    assert_arrived(shared_node, sent)


@pytest.mark.rfc("8314#3.3")
def test_swaks_sends_through_implicit_tls(shared_node: Node, sent: Letter) -> None:
    port = str(shared_node.ports.submissions)
    done = swaks(
        shared_node, sent, shared_node.password, "--port", port, "--tls-on-connect", "--auth"
    )
    assert done.returncode == 0, done.stdout
    assert_arrived(shared_node, sent)


@pytest.mark.rfc("4954#6")
def test_swaks_reports_a_wrong_password(shared_node: Node, sent: Letter) -> None:
    port = str(shared_node.ports.submission)
    done = swaks(shared_node, sent, "wrong", "--port", port, "--tls", "--auth", "PLAIN")
    assert done.returncode == AUTHENTICATION_FAILED, done.stdout
    assert "535 5.7.8" in done.stdout
    assert_nothing_arrived(shared_node, sent)
