"""The probe at a real Postfix (Debian): as it comes, and with TLS and Dovecot's passwords."""

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from gatepost.model.secret import Secret
from gatepost.net.resolver import Resolver
from gatepost.operate.probe import Inquiry, Probed, probe
from gatepost.operate.probe_login import Login
from tests.support.node import HOST, wait_until
from tests.support.postfix import Postfix, running_postfix
from tests.support.programs import need, need_root

pytestmark = pytest.mark.interop("postfix", "dovecot")

NAME, SECRET = "app@next.example", "a secret of its own"
DOVECOT = """\
protocols =
base_dir = {root}/run
log_path = {root}/log
ssl = no
auth_mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256
auth_failure_delay = 0
passdb {{
  driver = passwd-file
  args = {root}/users
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}}
service auth {{
  unix_listener {root}/auth {{
    mode = 0666
  }}
}}
service anvil {{
  chroot =
}}
"""
SUBMISSION = """
smtpd_tls_cert_file = {root}/chain.pem
smtpd_tls_key_file = {root}/key.pem
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {root}/auth
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
"""


@contextmanager
def running_dovecot() -> Iterator[Path]:
    """Start Dovecot's authentication alone; yield the directory of its socket."""
    program = need("dovecot")
    root = Path(tempfile.mkdtemp(prefix="gatepost-dovecot-"))
    root.chmod(0o755)
    (root / "users").write_text(f"{NAME}:{{PLAIN}}{SECRET}\n")
    config = root / "dovecot.conf"
    config.write_text(DOVECOT.format(root=root))
    try:
        # In the foreground: a daemon would keep our pipes open.
        process = subprocess.Popen(
            [program, "-F", "-c", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until((root / "auth").exists, "Dovecot's socket")
            yield root
        finally:
            process.terminate()
            process.wait(timeout=20)
    finally:
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="module")
def bare() -> Iterator[Postfix]:
    need("postfix")
    need_root()
    with running_postfix("next.example") as server:
        yield server


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def submission(authority: trustme.CA) -> Iterator[Postfix]:
    need("postfix")
    need_root()
    with running_dovecot() as root:
        leaf = authority.issue_cert(HOST)
        (root / "chain.pem").write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        (root / "key.pem").write_bytes(leaf.private_key_pem.bytes())
        with running_postfix("next.example", more=SUBMISSION.format(root=root)) as server:
            yield server


def ask(server: Postfix, **changes: Any) -> Probed:
    async def go() -> Probed:
        resolver = Resolver()
        try:
            inquiry = replace(Inquiry(HOST, server.port), **changes)
            return await probe(inquiry, now=datetime.now(UTC), resolver=resolver)
        finally:
            await resolver.close()

    return asyncio.run(go())


def names(probed: Probed) -> list[str]:
    return [finding.name for finding in probed.findings]


def test_postfix_as_it_comes_has_neither_tls_nor_logins(bare: Postfix) -> None:
    login = Login(NAME, Secret(SECRET))
    probed = ask(bare, login=login, reverse_path=NAME, forward_path="c@elsewhere.example")
    assert probed.provider is not None
    assert probed.provider.name == "postfix"
    assert names(probed) == ["starttls-missing", "auth-needs-tls", "relaying-denied"]
    assert "Relay access denied" in probed.findings[-1].heard


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.mark.parametrize(
    "mechanism", [None, "PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"]
)
def test_every_mechanism_of_dovecot_logs_in(
    submission: Postfix, ca: Path, mechanism: str | None
) -> None:
    login = Login(NAME, Secret(SECRET), mechanism)
    probed = ask(submission, login=login, authorities=ca, forward_path="c@elsewhere.example")
    assert probed.is_well, probed.findings
    assert probed.findings == ()
    assert probed.advice is not None
    assert probed.advice.mechanism == (mechanism or "SCRAM-SHA-256")
    assert "DATA" not in submission.log


def test_a_wrong_password_and_an_unknown_authority_are_explained(submission: Postfix) -> None:
    login = Login(NAME, Secret("wrong"), "PLAIN")
    assert names(ask(submission, login=login)) == [
        "wrong-credentials-generic", "certificate-untrusted",
    ]  # fmt: skip
