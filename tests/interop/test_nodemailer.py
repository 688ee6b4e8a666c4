"""nodemailer (npm), what most Node.js programs send with."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.letters import Letter, assert_arrived, assert_nothing_arrived
from tests.support.node import HOST, Node
from tests.support.programs import need_node_module, run

pytestmark = pytest.mark.interop("nodemailer")

SCRIPT = Path(__file__).with_name("nodemailer_send.js")


def nodemailer(
    node: Node, sent: Letter, password: str, **transport: Any
) -> subprocess.CompletedProcess[str]:
    order = {
        "transport": {
            "host": HOST,
            **transport,
            "auth": {"user": node.account, "pass": password},
            "tls": {"rejectUnauthorized": False},
        },
        "message": {
            "from": sent.sender,
            "to": sent.recipient,
            "subject": sent.subject,
            "text": sent.body,
        },
    }
    return run([need_node_module("nodemailer"), str(SCRIPT)], stdin=json.dumps(order).encode())


@pytest.mark.rfc("4954#4")
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_nodemailer_sends_through_starttls(shared_node: Node, sent: Letter, mechanism: str) -> None:
    done = nodemailer(
        shared_node,
        sent,
        shared_node.password,
        port=shared_node.ports.submission,
        requireTLS=True,
        authMethod=mechanism,
    )
    assert done.returncode == 0, done.stdout
    assert_arrived(shared_node, sent)


@pytest.mark.rfc("8314#3.3")
def test_nodemailer_sends_through_implicit_tls(shared_node: Node, sent: Letter) -> None:
    done = nodemailer(
        shared_node,
        sent,
        shared_node.password,
        port=shared_node.ports.submissions,
        secure=True,
    )
    assert done.returncode == 0, done.stdout
    assert_arrived(shared_node, sent)


@pytest.mark.rfc("4954#6")
def test_nodemailer_reports_a_wrong_password(shared_node: Node, sent: Letter) -> None:
    done = nodemailer(
        shared_node, sent, "wrong", port=shared_node.ports.submission, requireTLS=True
    )
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"code": "EAUTH", "responseCode": 535}
    assert_nothing_arrived(shared_node, sent)
