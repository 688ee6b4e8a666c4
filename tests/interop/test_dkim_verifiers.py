"""Rspamd and mailauth verify what we sign: every shape of message, RSA and Ed25519 each."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.programs import need_node_module, run
from tests.support.rspamd import Rspamd, rspamd
from tests.support.zone_servers import nsd
from tests.wire.dkim.corpus import CORPUS
from tests.wire.dkim.keys import DOMAIN, prefix_for, records

ZONE = "example.com"
SELECTORS = {"test", "brisbane"}
#: Rspamd 3.4 hashes a body of nothing but white space otherwise than RFC 6376 §3.4.4 says, and than
#: OpenDKIM, dkimpy and mailauth do.
READABLE = {name: m for name, m in CORPUS.items() if name != "body of white space"}


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rspamd]:
    lines = "".join(f'{name}. TXT "{texts[0]}"\n' for name, texts in records().items())
    with (
        nsd(tmp_path_factory.mktemp("dns"), {ZONE: lines}) as dns,
        rspamd(tmp_path_factory.mktemp("rspamd"), dns.port) as running,
    ):
        yield running


@pytest.mark.interop("nsd", "rspamd")
@pytest.mark.rfc("6376#3.4")
@pytest.mark.parametrize("name", READABLE)
def test_rspamd_accepts_both_signatures(name: str, receiver: Rspamd) -> None:
    message = READABLE[name]
    found = receiver.symbols(prefix_for(message) + message, Ip="192.0.2.1")
    allowed = found["R_DKIM_ALLOW"]["options"]
    assert {option.partition(":s=")[2] for option in allowed} == SELECTORS


def mailauth(messages: list[bytes], directory: Path) -> list[Any]:
    """Return what mailauth says about the signatures of each message."""
    node = need_node_module("mailauth")
    files = []
    for number, message in enumerate(messages):
        file = directory / f"{number}.eml"
        file.write_bytes(message)
        files.append(str(file))
    asked = {"files": files, "records": {name: texts[0] for name, texts in records().items()}}
    script = str(Path(__file__).with_name("mailauth_verify.js"))
    done = run([node, script], stdin=json.dumps(asked).encode())
    assert done.returncode == 0, done.stdout
    answer = json.loads(done.stdout)
    assert isinstance(answer, list)
    return answer


@pytest.mark.interop("mailauth")
@pytest.mark.rfc("8463#3")
def test_mailauth_accepts_both_signatures_of_every_message(tmp_path: Path) -> None:
    signed = [prefix_for(message) + message for message in CORPUS.values()]
    answers = dict(zip(CORPUS, mailauth(signed, tmp_path), strict=True))
    expected = [["pass", DOMAIN, "brisbane"], ["pass", DOMAIN, "test"]]
    assert {name: sorted(found) for name, found in answers.items()} == dict.fromkeys(
        CORPUS, expected
    )


@pytest.mark.interop("mailauth")
def test_mailauth_refuses_what_was_changed_or_added(tmp_path: Path) -> None:
    plain = CORPUS["plain"]
    signed = prefix_for(plain) + plain
    changed = [
        signed.replace(b"We lost", b"We won"),
        b"Subject: another\r\n" + signed,
        b"From: evil@other.example\r\n" + signed,
    ]
    answers = mailauth(changed, tmp_path)
    assert [len(found) for found in answers] == [2, 2, 2]
    assert {result for found in answers for result, *_ in found} <= {"fail", "neutral"}
