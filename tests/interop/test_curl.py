"""curl, as scripts use it: smtp:// with STARTTLS and smtps://."""

import subprocess
from pathlib import Path

import pytest

from tests.support.letters import Letter, assert_arrived, assert_nothing_arrived
from tests.support.node import HOST, Node
from tests.support.programs import need, run

pytestmark = pytest.mark.interop("curl")

#: CURLE_LOGIN_DENIED of libcurl-errors(3).
LOGIN_DENIED = 67


def curl(
    node: Node, sent: Letter, password: str, url: str, directory: Path, *more: str
) -> subprocess.CompletedProcess[str]:
    letter = directory / "letter.eml"
    letter.write_bytes(sent.octets)
    return run(
        [
            need("curl"),
            *("--silent", "--show-error", "--url", url, "--ssl-reqd", "--insecure"),
            *("--user", f"{node.account}:{password}", "--upload-file", str(letter)),
            *("--mail-from", sent.sender, "--mail-rcpt", sent.recipient, *more),
        ]
    )


@pytest.mark.rfc("4954#4")
def test_curl_sends_through_starttls(shared_node: Node, sent: Letter, tmp_path: Path) -> None:
    url = f"smtp://{HOST}:{shared_node.ports.submission}"
    done = curl(shared_node, sent, shared_node.password, url, tmp_path)
    assert done.returncode == 0, done.stdout
    assert_arrived(shared_node, sent)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_curl_logs_in_by_the_mechanism_it_is_told(
    shared_node: Node, sent: Letter, tmp_path: Path, mechanism: str
) -> None:
    url = f"smtps://{HOST}:{shared_node.ports.submissions}"
    options = ("--login-options", f"AUTH={mechanism}")
    done = curl(shared_node, sent, shared_node.password, url, tmp_path, *options)
    assert done.returncode == 0, done.stdout
    assert_arrived(shared_node, sent)


@pytest.mark.rfc("8314#3.3")
def test_curl_sends_through_implicit_tls(shared_node: Node, sent: Letter, tmp_path: Path) -> None:
    url = f"smtps://{HOST}:{shared_node.ports.submissions}"
    done = curl(shared_node, sent, shared_node.password, url, tmp_path)
    assert done.returncode == 0, done.stdout
    assert_arrived(shared_node, sent)


@pytest.mark.rfc("4954#6")
def test_curl_reports_a_wrong_password(shared_node: Node, sent: Letter, tmp_path: Path) -> None:
    url = f"smtp://{HOST}:{shared_node.ports.submission}"
    done = curl(shared_node, sent, "wrong", url, tmp_path)
    assert done.returncode == LOGIN_DENIED, done.stdout
    assert "535" in done.stdout or "Login denied" in done.stdout
    assert_nothing_arrived(shared_node, sent)
