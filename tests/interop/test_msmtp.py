"""msmtp, the sendmail of many scripts and containers."""

import shlex
import subprocess

import pytest

from tests.support.letters import Letter, assert_arrived, assert_nothing_arrived
from tests.support.node import HOST, Node
from tests.support.programs import need, run

pytestmark = pytest.mark.interop("msmtp")

#: EX_NOPERM of sysexits.h, which msmtp ends with when a server refuses its credentials.
REFUSED_LOGIN = 77


def msmtp(
    node: Node, sent: Letter, password: str, port: int, *more: str
) -> subprocess.CompletedProcess[str]:
    return run(
        [
            need("msmtp"),
            *("--file=/dev/null", f"--host={HOST}", f"--port={port}"),
            *("--tls=on", "--tls-certcheck=off", *more),
            *(f"--user={node.account}", f"--passwordeval=echo {shlex.quote(password)}"),
            *(f"--from={sent.sender}", "--", sent.recipient),
        ],
        stdin=sent.octets.replace(b"\r\n", b"\n"),
    )


@pytest.mark.rfc("4954#4")
@pytest.mark.parametrize("mechanism", ["plain", "login", "scram-sha-256"])
def test_msmtp_sends_through_starttls(shared_node: Node, sent: Letter, mechanism: str) -> None:
    port = shared_node.ports.submission
    done = msmtp(
        shared_node, sent, shared_node.password, port, "--tls-starttls=on", f"--auth={mechanism}"
    )
    assert done.returncode == 0, done.stdout
    assert_arrived(shared_node, sent)


@pytest.mark.rfc("8314#3.3")
def test_msmtp_sends_through_implicit_tls(shared_node: Node, sent: Letter) -> None:
    port = shared_node.ports.submissions
    done = msmtp(shared_node, sent, shared_node.password, port, "--tls-starttls=off", "--auth=on")
    assert done.returncode == 0, done.stdout
    assert_arrived(shared_node, sent)


@pytest.mark.rfc("4954#6")
def test_msmtp_reports_a_wrong_password(shared_node: Node, sent: Letter) -> None:
    port = shared_node.ports.submission
    done = msmtp(shared_node, sent, "wrong", port, "--tls-starttls=on", "--auth=plain")
    assert done.returncode == REFUSED_LOGIN, done.stdout
    assert "authentication failed" in done.stdout
    assert_nothing_arrived(shared_node, sent)
