"""XOAUTH2 and OAUTHBEARER: curl, msmtp and nodemailer with an access token, good and expired."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.interop.conftest import Bearers
from tests.support.letters import Letter, assert_arrived, assert_nothing_arrived
from tests.support.node import HOST, Node
from tests.support.programs import need, need_node_module, run

#: Sends a letter with a token; returns "sent", "refused login", or what else was said.
Client = Callable[[Node, Letter, str, str, Path], str]

_CURL_LOGIN_DENIED = 67  # libcurl-errors(3)
_MSMTP_REFUSED_LOGIN = 77  # EX_NOPERM of sysexits.h


def curl(node: Node, sent: Letter, mechanism: str, token: str, directory: Path) -> str:
    letter = directory / "letter.eml"
    letter.write_bytes(sent.octets)
    options = directory / "options"  # not among the arguments, where everybody reads them
    options.write_text(f'oauth2-bearer = "{token}"\n')
    done = run(
        [
            *(need("curl"), "--silent", "--show-error", "--config", str(options)),
            *("--url", f"smtp://{HOST}:{node.ports.submission}", "--ssl-reqd", "--insecure"),
            *("--user", f"{node.account}:", "--login-options", f"AUTH={mechanism}"),
            *("--mail-from", sent.sender, "--mail-rcpt", sent.recipient),
            *("--upload-file", str(letter)),
        ]
    )
    return {0: "sent", _CURL_LOGIN_DENIED: "refused login"}.get(done.returncode, done.stdout)


def msmtp(node: Node, sent: Letter, mechanism: str, token: str, directory: Path) -> str:
    done = run(
        [
            *(need("msmtp"), "--file=/dev/null", f"--host={HOST}", "--tls=on"),
            *(f"--port={node.ports.submission}", "--tls-certcheck=off", "--tls-starttls=on"),
            *(f"--auth={mechanism.lower()}", f"--user={node.account}"),
            *(f"--passwordeval=echo {shlex.quote(token)}", f"--from={sent.sender}"),
            *("--", sent.recipient),
        ],
        stdin=sent.octets.replace(b"\r\n", b"\n"),
    )
    return {0: "sent", _MSMTP_REFUSED_LOGIN: "refused login"}.get(done.returncode, done.stdout)


def nodemailer(node: Node, sent: Letter, mechanism: str, token: str, directory: Path) -> str:
    order = {
        "transport": {
            "host": HOST,
            "port": node.ports.submission,
            "requireTLS": True,
            "auth": {"type": "OAuth2", "user": node.account, "accessToken": token},
            "tls": {"rejectUnauthorized": False},
        },
        "message": {
            "from": sent.sender,
            "to": sent.recipient,
            "subject": sent.subject,
            "text": sent.body,
        },
    }
    script = Path(__file__).with_name("nodemailer_send.js")
    done = run([need_node_module("nodemailer"), str(script)], stdin=json.dumps(order).encode())
    if done.returncode == 0:
        return "sent"
    denied = '"code":"EAUTH","responseCode":535' in done.stdout
    return "refused login" if denied else done.stdout


CASES = [
    pytest.param(client, mechanism, marks=pytest.mark.interop(client.__name__))
    for client, mechanism in (
        (curl, "XOAUTH2"),
        (curl, "OAUTHBEARER"),
        (msmtp, "XOAUTH2"),
        (msmtp, "OAUTHBEARER"),
        (nodemailer, "XOAUTH2"),
    )
]


@pytest.mark.rfc("7628#3.1", "7628#3.2")
@pytest.mark.parametrize(("client", "mechanism"), CASES)
def test_a_good_token_sends_and_an_expired_one_is_reported(
    sasl_node: Node, bearers: Bearers, letter_of: Callable[[], Letter], tmp_path: Path,
    client: Client, mechanism: str,
) -> None:  # fmt: skip
    sent = letter_of()
    assert client(sasl_node, sent, mechanism, bearers.good(), tmp_path) == "sent"
    assert_arrived(sasl_node, sent)
    sent = letter_of()
    expired = bearers.expired()
    assert client(sasl_node, sent, mechanism, expired, tmp_path) == "refused login"
    assert_nothing_arrived(sasl_node, sent)
