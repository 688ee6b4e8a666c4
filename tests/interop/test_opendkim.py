"""OpenDKIM verifies what we sign; what its library signs with SHA-1 we refuse."""

from pathlib import Path

import pytest

from gatepost.wire.dkim.verify import DkimResult, verify
from tests.support.programs import need, run
from tests.wire.dkim.corpus import CORPUS
from tests.wire.dkim.keys import DOMAIN, NOW, prefix_for, records
from tests.wire.dkim.vectors import RSA_PEM

pytestmark = pytest.mark.interop("opendkim", "opendkim-testmsg")

#: OpenDKIM reads whole lines from a file; by SMTP there are no others.
WHOLE = {name: message for name, message in CORPUS.items() if message.endswith(b"\r\n")}


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """A configuration of OpenDKIM that takes keys from a file."""
    known = tmp_path / "keys"
    known.write_text("".join(f"{name} {texts[0]}\n" for name, texts in records().items()))
    file = tmp_path / "opendkim.conf"
    file.write_text(f"TestPublicKeys {known}\nMode v\n")
    return file


@pytest.mark.parametrize("name", WHOLE)
def test_opendkim_accepts_our_signature(name: str, configuration: Path, tmp_path: Path) -> None:
    file = tmp_path / "message"
    file.write_bytes(prefix_for(WHOLE[name]) + WHOLE[name])
    done = run([need("opendkim"), "-x", str(configuration), "-t", str(file)])
    assert done.returncode == 0, done.stdout
    assert "(s=test, d=football.example.com, 1024-bit key) succeeded" in done.stdout


def test_opendkim_refuses_a_changed_message(configuration: Path, tmp_path: Path) -> None:
    file = tmp_path / "message"
    signed = prefix_for(CORPUS["plain"]) + CORPUS["plain"]
    file.write_bytes(signed.replace(b"We lost", b"We won"))
    done = run([need("opendkim"), "-x", str(configuration), "-t", str(file)])
    assert "succeeded" not in done.stdout


@pytest.mark.rfc("8301#3.1")
def test_what_opendkim_testmsg_signs_with_sha_1_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(RSA_PEM)
    command = [need("opendkim-testmsg"), "-C", "-d", DOMAIN, "-s", "test", "-k", str(key)]
    done = run(command, stdin=CORPUS["plain"])
    assert done.returncode == 0, done.stdout
    signed = done.stdout.replace("\r\n", "\n").replace("\n", "\r\n").encode()
    verdicts = verify(signed, records(), NOW)
    assert [(v.result, v.reason) for v in verdicts] == [
        (DkimResult.PERMANENT, "it was made with SHA-1")
    ]
