"""EXTERNAL (RFC 4422 appendix A): clients of others that show a certificate instead of a secret."""

import smtplib
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.client_certificate import make_client_certificate
from tests.support.letters import Letter, assert_arrived, assert_nothing_arrived
from tests.support.node import HOST, Node, wait_until
from tests.support.programs import need, run


@dataclass(frozen=True, slots=True)
class Shown:
    """A client's certificate and key, PEM."""

    certificate: Path
    key: Path


@pytest.fixture(scope="module")
def shown(sasl_node: Node, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """A certificate that logs the node's account in."""
    directory = tmp_path_factory.mktemp("certificate")
    files = Shown(directory / "us.pem", directory / "us.key")
    for file, octets in zip(
        (files.certificate, files.key), make_client_certificate("us"), strict=True
    ):
        file.write_bytes(octets)
    sasl_node.run("account", "certificate", "add", sasl_node.account, str(files.certificate))
    wait_until(lambda: _is_trusted(sasl_node, files), "the running server's trust")
    return files


def _is_trusted(node: Node, shown: Shown) -> bool:
    context = node.trust()
    context.load_cert_chain(shown.certificate, shown.key)
    try:
        with smtplib.SMTP(HOST, node.ports.submission, timeout=30) as server:
            server.starttls(context=context)
            return server.ehlo()[0] == 250
    except (OSError, smtplib.SMTPException):
        return False


#: Sends a letter as somebody, with a certificate.
Client = Callable[[Node, Letter, Shown, str, Path], subprocess.CompletedProcess[str]]


def curl(
    node: Node, sent: Letter, shown: Shown, name: str, directory: Path
) -> subprocess.CompletedProcess[str]:
    letter = directory / "letter.eml"
    letter.write_bytes(sent.octets)
    return run(
        [
            *(need("curl"), "--verbose", "--url", f"smtp://{HOST}:{node.ports.submission}"),
            *("--ssl-reqd", "--insecure", "--user", f"{name}:", "--login-options", "AUTH=EXTERNAL"),
            *("--cert", str(shown.certificate), "--key", str(shown.key)),
            *("--mail-from", sent.sender, "--mail-rcpt", sent.recipient),
            *("--upload-file", str(letter)),
        ]
    )


def msmtp(
    node: Node, sent: Letter, shown: Shown, name: str, _directory: Path
) -> subprocess.CompletedProcess[str]:
    return run(
        [
            *(need("msmtp"), "--file=/dev/null", f"--host={HOST}", "--tls=on", "--auth=external"),
            *(f"--port={node.ports.submission}", "--tls-certcheck=off", "--tls-starttls=on"),
            *(f"--tls-cert-file={shown.certificate}", f"--tls-key-file={shown.key}"),
            *(f"--user={name}", f"--from={sent.sender}", "--", sent.recipient),
        ],
        stdin=sent.octets.replace(b"\r\n", b"\n"),
    )


CASES = [pytest.param(c, marks=pytest.mark.interop(c.__name__)) for c in (curl, msmtp)]


@pytest.mark.rfc("4422#A")
@pytest.mark.parametrize("client", CASES)
def test_a_certificate_sends_as_its_own_account_and_as_no_other(
    sasl_node: Node, letter_of: Callable[[], Letter], shown: Shown, tmp_path: Path, client: Client
) -> None:
    sent = letter_of()
    done = client(sasl_node, sent, shown, sasl_node.account, tmp_path)
    assert done.returncode == 0, done.stdout
    assert_arrived(sasl_node, sent)
    sent = letter_of()
    done = client(sasl_node, sent, shown, "other@example.com", tmp_path)
    assert done.returncode != 0
    assert "535 5.7.8" in done.stdout, done.stdout
    assert_nothing_arrived(sasl_node, sent)


@pytest.mark.rfc("4422#A")
@pytest.mark.interop("gsasl")
@pytest.mark.parametrize(
    ("authzid", "reply"),
    [("", "235 2.7.0 "), ("app@example.com", "235 2.7.0 "), ("other@example.com", "535 5.7.8 ")],
)
def test_gsasl_logs_in_with_a_certificate(
    sasl_node: Node, letter_of: Callable[[], Letter], shown: Shown, authzid: str, reply: str
) -> None:
    done = run(
        [
            *(need("gsasl"), "--client", "--smtp", "--starttls", "--mechanism=EXTERNAL"),
            *(f"--connect=localhost:{sasl_node.ports.submission}", "--x509-ca-file="),
            *(f"--x509-cert-file={shown.certificate}", f"--x509-key-file={shown.key}"),
            f"--authorization-id={authzid}",
        ],
        stdin=b"QUIT\n",
    )
    assert reply in done.stdout, done.stdout
