"""The probe at a real Postfix (Debian): as it comes, and with TLS and Dovecot's passwords."""

import asyncio
from collections.abc import Iterator
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
from tests.support.dovecot import POSTFIX, running_dovecot
from tests.support.node import HOST
from tests.support.postfix import Postfix, running_postfix
from tests.support.programs import need, need_root

pytestmark = pytest.mark.interop("postfix", "dovecot")

NAME, SECRET = "app@next.example", "a secret of its own"


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
    with running_dovecot(NAME, SECRET) as root:
        leaf = authority.issue_cert(HOST)
        (root / "chain.pem").write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        (root / "key.pem").write_bytes(leaf.private_key_pem.bytes())
        with running_postfix("next.example", more=POSTFIX.format(root=root)) as server:
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
