"""gsasl, GNU SASL's client: SCRAM with channel binding, and every other mechanism it has."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.node import CAPTURE_ALL, Node
from tests.support.programs import need, run

pytestmark = pytest.mark.interop("gsasl")

ALL = """
[auth]
mechanisms = ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"]
[limits]
authentication_failures = 1000
"""
ACCOUNT = "gsasl@example.com"
#: Five wrong passwords for one account lock it: those are given for another one.
GUESSED = "guessed@example.com"
PASSWORD = "correct horse, battery=staple"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node that offers all mechanisms, and an account that may use them all."""
    made = Node(Path(tmp_path_factory.mktemp("gsasl")), settings=CAPTURE_ALL + ALL)
    made.set_up()
    for name in (ACCOUNT, GUESSED):
        arguments = ("account", "add", name, "--password-stdin", "--cram-md5")
        made.run(*arguments, stdin=PASSWORD + "\n")
    made.start()
    yield made
    made.stop()


def gsasl(
    node: Node, mechanism: str, password: str, *more: str, account: str = ACCOUNT
) -> subprocess.CompletedProcess[str]:
    """Log in and quit. Its exit status is no guide: it complains about how TLS is ended."""
    return run(
        [
            need("gsasl"),
            *("--client", "--smtp", f"--connect=localhost:{node.ports.submission}", "--starttls"),
            *("--x509-ca-file=", f"--authentication-id={account}", f"--password={password}"),
            *(f"--mechanism={mechanism}", *more),
        ],
        stdin=b"QUIT\n",
    )


#: Without channel binding it must be told to do without: else it takes our list for a forgery.
LOGINS = [
    ("PLAIN", ()),
    ("PLAIN", ("--authorization-id=",)),
    ("PLAIN", (f"--authorization-id={ACCOUNT}",)),
    ("LOGIN", ()),
    ("CRAM-MD5", ()),
    ("SCRAM-SHA-1", ("--no-cb",)),
    ("SCRAM-SHA-1", ("--no-cb", "--authorization-id=")),
    ("SCRAM-SHA-256", ("--no-cb",)),
    ("SCRAM-SHA-256", ("--no-cb", f"--authorization-id={ACCOUNT}")),
    ("SCRAM-SHA-256-PLUS", ()),
    ("SCRAM-SHA-256-PLUS", ("--authorization-id=",)),
    ("SCRAM-SHA-256-PLUS", (f"--authorization-id={ACCOUNT}",)),
]


@pytest.mark.rfc("7677#3")
@pytest.mark.rfc("9266#2")
@pytest.mark.parametrize(("mechanism", "more"), LOGINS)
def test_gsasl_logs_in(node: Node, mechanism: str, more: tuple[str, ...]) -> None:
    done = gsasl(node, mechanism, PASSWORD, *more)
    assert "235 2.7.0 " in done.stdout, done.stdout


@pytest.mark.rfc("4954#6")
@pytest.mark.parametrize(("mechanism", "more"), [LOGINS[0], LOGINS[4], LOGINS[7], LOGINS[9]])
def test_gsasl_is_refused_with_a_wrong_password(
    node: Node, mechanism: str, more: tuple[str, ...]
) -> None:
    done = gsasl(node, mechanism, "wrong", *more, account=GUESSED)
    assert "535 5.7.8 " in done.stdout, done.stdout


@pytest.mark.rfc("5802#5")
def test_an_authzid_of_somebody_else_is_refused(node: Node) -> None:
    done = gsasl(node, "SCRAM-SHA-256-PLUS", PASSWORD, f"--authorization-id={node.account}")
    assert "535 5.7.8 " in done.stdout, done.stdout


@pytest.mark.rfc("9266#3")
def test_plus_is_not_offered_on_tls_12(node: Node) -> None:
    older = "--priority=NORMAL:-VERS-ALL:+VERS-TLS1.2"
    done = gsasl(node, "SCRAM-SHA-256", PASSWORD, "--no-cb", older)
    assert "235 2.7.0 " in done.stdout, done.stdout
    (offer,) = [line for line in done.stdout.splitlines() if line.startswith("250 AUTH")]
    assert "SCRAM-SHA-256" in offer.split()
    assert "SCRAM-SHA-256-PLUS" not in offer.split()
