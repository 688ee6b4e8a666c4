"""s-nail, the mailx of Debian and others: cron jobs and shell scripts."""

import subprocess

import pytest

from tests.support.letters import Letter, assert_arrived, assert_nothing_arrived
from tests.support.node import HOST, Node
from tests.support.programs import need, run

pytestmark = pytest.mark.interop("s-nail")


def s_nail(
    node: Node, sent: Letter, password: str, scheme: str, port: int, *more: str
) -> subprocess.CompletedProcess[str]:
    user = node.account.replace("@", "%40")
    return run(
        [
            need("s-nail"),
            *("-:/", "-Sv15-compat", "-Sttycharset=utf-8", "-Ssendwait", "-Snosave", *more),
            f"-Smta={scheme}://{user}:{password}@{HOST}:{port}",
            *("-Ssmtp-auth=plain", "-Stls-verify=ignore", f"-Sfrom={sent.sender}"),
            *("-s", sent.subject, sent.recipient),
        ],
        stdin=sent.body.encode(),
        HOME="/nonexistent",
    )


@pytest.mark.rfc("4954#4")
def test_s_nail_sends_through_starttls(shared_node: Node, sent: Letter) -> None:
    port = shared_node.ports.submission
    done = s_nail(shared_node, sent, shared_node.password, "smtp", port, "-Ssmtp-use-starttls")
    assert done.returncode == 0, done.stdout
    assert_arrived(shared_node, sent)


@pytest.mark.rfc("8314#3.3")
def test_s_nail_sends_through_implicit_tls(shared_node: Node, sent: Letter) -> None:
    port = shared_node.ports.submissions
    done = s_nail(shared_node, sent, shared_node.password, "smtps", port)
    assert done.returncode == 0, done.stdout
    assert_arrived(shared_node, sent)


@pytest.mark.rfc("4954#6")
def test_s_nail_reports_a_wrong_password(shared_node: Node, sent: Letter) -> None:
    port = shared_node.ports.submission
    done = s_nail(shared_node, sent, "wrong", "smtp", port, "-Ssmtp-use-starttls")
    assert done.returncode != 0
    assert "535" in done.stdout, done.stdout
    assert_nothing_arrived(shared_node, sent)
