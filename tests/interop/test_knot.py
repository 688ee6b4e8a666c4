"""Records put into a zone of Knot by dynamic update, and seen by `domain check` afterwards."""

import json
from collections.abc import Iterator
from pathlib import Path

import dns.query
import dns.tsigkeyring
import dns.update
import pytest

from tests.support.node import CAPTURE_ALL, HOST, Node, wait_until
from tests.support.zone_servers import TSIG_NAME, TSIG_SECRET, key_file, knot

pytestmark = pytest.mark.interop("knotd")

RECORDS = """\
@ TXT "google-site-verification=left-alone"
relay A 192.0.2.25
_dmarc TXT "v=DMARC1; p=reject"
"""


@pytest.fixture(scope="module")
def primary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with knot(tmp_path_factory.mktemp("knot"), "example.com", RECORDS) as port:
        yield port


@pytest.fixture
def node(tmp_path: Path, primary: int) -> Node:
    made = Node(tmp_path / "node", f'{CAPTURE_ALL}[dns]\nresolvers = ["{HOST}:{primary}"]\n')
    made.set_up()
    made.config.write_text(made.config.read_text().replace("relay.test", "relay.example.com"))
    return made


def test_what_is_missing_is_pushed_and_then_found(node: Node, primary: int, tmp_path: Path) -> None:
    push = (
        "domain", "publish", "example.com",
        "--server", f"{HOST}:{primary}", "--key-file", str(key_file(tmp_path)),
    )  # fmt: skip
    node.run("domain", "add", "example.com")
    assert node.run("domain", "check", "example.com", check=False).returncode == 1

    rehearsed = json.loads(node.run(*push, "--dry-run", "--json").stdout)
    assert [(step["action"], step["purpose"]) for step in rehearsed] == [
        ("add", "SPF"), ("add", "DKIM"), ("add", "DKIM"), ("keep", "DMARC"),
    ]  # fmt: skip
    assert node.run("domain", "check", "example.com", check=False).returncode == 1

    node.run(*push, "--optional")
    found = json.loads(node.run("domain", "check", "example.com", "--json").stdout)
    assert {finding["standing"] for finding in found} == {"good"}
    again = json.loads(node.run(*push, "--optional", "--json").stdout)
    assert {step["action"] for step in again} == {"keep"}

    # A subdomain has the policy above it, and its keys come beside.
    node.run("domain", "add", "news.example.com")
    below = json.loads(node.run(*push[:2], "news.example.com", *push[3:], "--json").stdout)
    assert [step["action"] for step in below] == ["add", "add", "add", "keep"]

    # A rotation: the new keys are pushed, then sign.
    node.run("domain", "rotate-key", "example.com")
    assert node.run("domain", "rotate-key", "example.com", check=False).returncode == 1
    node.run(*push)
    node.run("domain", "rotate-key", "example.com")
    states = {key["state"] for key in node.json("domain", "show", "example.com")["keys"]}
    assert states == {"active", "retiring"}


def test_mail_is_held_until_its_key_is_published(node: Node, primary: int, tmp_path: Path) -> None:
    node.config.write_text(node.config.read_text() + '\n[domains]\nunpublished_key = "hold"\n')
    node.run("domain", "add", "held.example.com")
    node.add_account("app@held.example.com", "correct horse")
    node.start()
    try:
        # The running node looks by itself at what was just added.
        wait_until(
            lambda: node.json("domain", "show", "held.example.com")["last_look"] is not None,
            "the first look",
        )
        node.run(
            "send", "--server", f"{HOST}:{node.ports.submission}", "--from", "app@held.example.com",
            "--to", "you@elsewhere.example", "--user", "app@held.example.com", "--password-stdin",
            "--insecure", stdin="correct horse\n",
        )  # fmt: skip
        (row,) = node.json("queue", "list")
        assert row["state"] == "held"
        key = str(key_file(tmp_path))
        where = ("--server", f"{HOST}:{primary}", "--key-file", key)
        node.run("domain", "publish", "held.example.com", *where)
        node.run("domain", "check", "held.example.com")
        wait_until(lambda: len(node.captured()) == 1, "what was held goes out")
        content = node.content(node.captured()[0])
        assert content.count(b"DKIM-Signature: ") == 2
    finally:
        node.stop()


def test_an_account_proves_its_domain_and_sends_then(
    node: Node, primary: int, tmp_path: Path
) -> None:
    node.start()
    try:
        asked = json.loads(
            node.run("domain", "add", "own.example.com", "--account", node.account, "--json").stdout
        )
        claim = asked["claims"][0]
        send = (
            "send", "--server", f"{HOST}:{node.ports.submission}", "--from", "me@own.example.com",
            "--to", "you@elsewhere.example", "--user", node.account, "--password-stdin",
        )  # fmt: skip
        early = node.run(*send, stdin=node.password + "\n", check=False)
        assert early.returncode == 1
        assert "may not send as me@own.example.com" in early.stdout + early.stderr
        assert node.run("domain", "verify", "own.example.com", check=False).returncode == 1

        keyring = dns.tsigkeyring.from_text({TSIG_NAME: ("hmac-sha256", TSIG_SECRET)})
        update = dns.update.UpdateMessage("example.com", keyring=keyring)
        update.add("_gatepost.own", 60, "TXT", claim["text"])
        assert dns.query.tcp(update, HOST, port=primary).rcode() == 0
        wait_until(
            lambda: node.run("domain", "verify", "own.example.com", check=False).returncode == 0,
            "the proof is seen",
        )
        wait_until(
            lambda: node.run(*send, stdin=node.password + "\n", check=False).returncode == 0,
            "the running node lets it send",
        )
        wait_until(lambda: len(node.captured()) == 1, "the message is on its way")
        assert b"d=own.example.com" in node.content(node.captured()[0])
    finally:
        node.stop()


def test_a_key_that_the_server_does_not_know_changes_nothing(
    node: Node, primary: int, tmp_path: Path
) -> None:
    other = key_file(tmp_path, "b3RoZXIgb3RoZXIgb3RoZXIgb3RoZXI=")
    node.run("domain", "add", "b.example.com")
    where = ("--server", f"{HOST}:{primary}", "--key-file", str(other))
    done = node.run("domain", "publish", "b.example.com", *where, check=False)
    assert done.returncode == 1
    assert "does not know the key" in done.stderr
    done = node.run(
        "domain", "publish", "b.example.com", *where, "--zone", "other.test", check=False
    )
    assert done.returncode == 1


def test_a_zone_that_is_not_there_and_a_key_that_all_may_read_are_said(
    node: Node, primary: int, tmp_path: Path
) -> None:
    key = key_file(tmp_path)
    where = ("--server", f"{HOST}:{primary}", "--key-file", str(key))
    node.run("domain", "add", "elsewhere.example")
    done = node.run("domain", "publish", "elsewhere.example", *where, check=False)
    assert done.returncode == 1
    assert "holds no zone for elsewhere.example" in done.stderr
    done = node.run(
        "domain", "publish", "elsewhere.example", *where, "--zone", "x.test", check=False
    )
    assert done.returncode == 1
    assert "answers REFUSED" in done.stderr
    key.chmod(0o644)
    done = node.run("domain", "publish", "elsewhere.example", *where, check=False)
    assert done.returncode == 2
    assert f"chmod 600 {key}" in done.stderr
