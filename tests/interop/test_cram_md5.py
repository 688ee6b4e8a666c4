"""CRAM-MD5 (RFC 2195), where an account has chosen it: msmtp, curl and swaks still speak it."""

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.letters import Letter, assert_arrived, assert_nothing_arrived
from tests.support.node import CAPTURE_ALL, HOST, Node
from tests.support.programs import need, run

pytestmark = pytest.mark.interop("curl", "msmtp", "swaks")

SETTINGS = CAPTURE_ALL + '[auth]\nmechanisms = ["PLAIN", "CRAM-MD5"]\n'

#: Returns the exit status of a client that sends a letter with a password.
Client = Callable[[Node, Letter, str, Path], int]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node whose account has a secret that CRAM-MD5 can use."""
    made = Node(tmp_path_factory.mktemp("cram-md5"), settings=SETTINGS)
    made.set_up()
    arguments = ("account", "password", made.account, "--password-stdin", "--cram-md5")
    made.run(*arguments, stdin=made.password + "\n")
    made.start()
    yield made
    made.stop()


def msmtp(node: Node, sent: Letter, password: str, directory: Path) -> int:
    arguments = [
        *(need("msmtp"), "--file=/dev/null", f"--host={HOST}", f"--port={node.ports.submission}"),
        *("--tls=on", "--tls-certcheck=off", "--tls-starttls=on", "--auth=cram-md5"),
        *(f"--user={node.account}", f"--passwordeval=echo {shlex.quote(password)}"),
        *(f"--from={sent.sender}", "--", sent.recipient),
    ]
    return run(arguments, stdin=sent.octets.replace(b"\r\n", b"\n")).returncode


def curl(node: Node, sent: Letter, password: str, directory: Path) -> int:
    letter = directory / "letter.eml"
    letter.write_bytes(sent.octets)
    arguments = [
        *(need("curl"), "--silent", "--url", f"smtp://{HOST}:{node.ports.submission}"),
        *("--ssl-reqd", "--insecure", "--user", f"{node.account}:{password}"),
        *("--login-options", "AUTH=CRAM-MD5", "--upload-file", str(letter)),
        *("--mail-from", sent.sender, "--mail-rcpt", sent.recipient),
    ]
    return run(arguments).returncode


def swaks(node: Node, sent: Letter, password: str, directory: Path) -> int:
    letter = directory / "letter.eml"
    letter.write_bytes(sent.octets)
    arguments = [
        *(need("swaks"), "--server", f"{HOST}:{node.ports.submission}", "--tls"),
        *("--auth", "CRAM-MD5", "--auth-user", node.account, "--auth-password", password),
        *("--from", sent.sender, "--to", sent.recipient, "--data", f"@{letter}"),
    ]
    return run(arguments).returncode


@pytest.mark.rfc("2195#2")
@pytest.mark.parametrize("client", [msmtp, curl, swaks], ids=lambda c: c.__name__)
def test_a_right_password_sends_and_a_wrong_one_is_reported(
    node: Node, sent: Letter, tmp_path: Path, client: Client
) -> None:
    assert client(node, sent, "wrong", tmp_path) != 0
    assert_nothing_arrived(node, sent)
    assert client(node, sent, node.password, tmp_path) == 0
    assert_arrived(node, sent)
