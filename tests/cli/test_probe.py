"""`gatepost probe`: its options, its timeline, its JSON and its exit status, at a real node."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gatepost.cli import app as cli
from gatepost.cli.probe_timeline import _step
from gatepost.operate.probe_seen import Mark, Stage, Step
from gatepost.operate.probe_transcript import HIDDEN
from tests.support.node import Node
from tests.support.ports import free_port

RULE = re.compile(r"\x1b\[")


def run(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(cli.app, ["probe", *arguments], input=stdin)


@pytest.fixture
def closed() -> int:
    return free_port()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing argument"),
        (["a b"], "is not a domain name"),
        (["mail.example:x"], "is not a port"),
        (["mail.example:99999"], "is not a port"),
        (["mail.example:0"], "has no port that one can call"),
        (["::1:25"], "put brackets around"),
        (["127.0.0.1:1", "--password-stdin"], "--password-stdin without --user"),
        (["127.0.0.1:1", "--mechanism", "PLAIN"], "--mechanism without --user"),
        (["127.0.0.1:1", "--insecure"], "--insecure without --user"),
        (["127.0.0.1:1", "--user", "a", "--mechanism", "MAGIC"], 'no mechanism "MAGIC"'),
        (["127.0.0.1:1", "--user", "a"], "there is no password"),
        (["127.0.0.1:1", "--user", "a", "--password-stdin"], "the password is empty"),
        (["127.0.0.1:1", "--from", "a b"], "cannot stand in a command"),
        (["127.0.0.1:1", "--to", "<a>\r\nDATA"], "cannot stand in a command"),
        (["127.0.0.1:1", "--ca", "/nonexistent"], "cannot be used: No such file"),
        (["127.0.0.1:1", "--timeout", "0"], "--timeout"),
    ],
)
def test_wrong_usage_is_2_and_is_said(arguments: list[str], words: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert words in done.output + done.stderr


def test_a_file_without_certificates_is_2(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("nothing\n")
    done = run("127.0.0.1:1", "--ca", str(file))
    assert done.exit_code == 2
    assert "holds no certificate" in done.stderr


def test_a_problem_is_1_and_has_cause_and_mend(closed: int) -> None:
    done = run(f"127.0.0.1:{closed}")
    assert done.exit_code == 1
    assert f"PROBLEM  port {closed}: no connection to 127.0.0.1:{closed}" in done.output
    assert "cause  the host is there" in done.output
    assert "mend   check the port" in done.output
    assert RULE.search(done.output) is None  # no colour where nobody sees it


def test_without_a_port_all_three_are_tried() -> None:
    done = run("127.0.0.2", "--json", "--timeout", "5")
    assert [port["port"] for port in json.loads(done.output)["ports"]] == [587, 465, 25]


# -- at our own node


def probe_json(node: Node, port: int, *arguments: str, password: str = "") -> tuple[int, Any]:
    done = node.run(
        "probe", f"127.0.0.1:{port}", "--json", *arguments, stdin=f"{password}\n", check=False
    )
    assert done.returncode in {0, 1}, done.stderr
    return done.returncode, json.loads(done.stdout)


def names(found: Any) -> list[str]:
    return [finding["name"] for finding in found["findings"]]


@pytest.mark.parametrize("port", ["submission", "submissions"])
def test_our_own_node_is_well(shared_node: Node, port: str) -> None:
    node = shared_node
    status, found = probe_json(
        node, getattr(node.ports, port), "--user", node.account, "--password-stdin",
        password=node.password,
    )  # fmt: skip
    assert (status, found["well"]) == (0, True), found["findings"]
    assert found["provider"] == "gatepost"
    (seen,) = found["ports"]
    assert seen["login"]["accepted"]
    assert seen["implicit_tls"] is (port == "submissions")
    assert found["advice"]["mechanism"] == seen["login"]["mechanism"]
    assert names(found) == ["certificate-self-signed"]  # a note only, on loopback
    steps = [step["step"] for step in seen["timeline"]]
    assert steps[-5:] == ["login", "mail", "rcpt", "reset", "quit"]


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_a_wrong_password_is_explained_and_never_shown(shared_node: Node, mechanism: str) -> None:
    node = shared_node
    done = node.run(
        "probe", f"127.0.0.1:{node.ports.submission}", "--user", "probe@example.com",
        "--password-stdin", "--mechanism", mechanism.lower(), stdin="not the one\n", check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "PROBLEM  port" in done.stdout
    assert "gatepost explain TAG" in done.stdout
    assert f"C: AUTH {mechanism}" in done.stdout
    assert HIDDEN in done.stdout
    assert "not the one" not in done.stdout + done.stderr


def test_the_mx_port_takes_no_logins_and_does_not_relay(shared_node: Node) -> None:
    node = shared_node
    status, found = probe_json(
        node, node.ports.mx, "--from", "<>", "--to", "somebody@elsewhere.example"
    )
    assert status == 1
    assert names(found)[0] == "relaying-denied"
    (seen,) = found["ports"]
    assert seen["mechanisms"] == []
    assert [step["words"] for step in seen["timeline"] if step["step"] == "mail"] != []


def test_its_certificate_can_be_trusted_by_hand(shared_node: Node) -> None:
    node = shared_node
    _, found = probe_json(node, node.ports.submission, "--ca", str(node.certificate))
    (seen,) = found["ports"]
    assert seen["tls"]["certificate"]["self_signed"]
    assert "certificate-self-signed" not in names(found)


def test_colours_are_for_terminals(closed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import UTC, datetime

    from gatepost.cli.probe_timeline import print_probed
    from gatepost.operate.probe import Probed
    from gatepost.operate.probe_findings import findings
    from gatepost.operate.probe_seen import Mark, NamesSeen, PortSeen, Seen, Stage, Step, Wanted
    from gatepost.operate.probe_texts import known_texts

    said: list[str] = []
    monkeypatch.setattr("gatepost.cli.usage.echo", lambda text, color: said.append(text))
    step = Step(Stage.GREETING, 0.0, 0.1, Mark.NO, "220 \x1b[31mevil\x07", ())
    ports = (PortSeen(587, address="x", strange=b"HTTP/1.1 \x1b[31m", steps=(step,)),)
    seen = Seen(Wanted("mail.example", 587), NamesSeen(("192.0.2.1",)), ports)
    found = findings(seen, known_texts(), datetime.now(UTC))
    for colour in (False, True):
        said.clear()
        print_probed(Probed(seen, found, None, None), colour=colour)
        text = "\n".join(said)
        assert ("\x1b[31m" in text) is colour
        # What others say never drives the terminal.
        assert "\x1b[31mevil" not in text
        assert "\\x1b[31mevil\\x07" in text


def test_a_certificate_writes_no_lines_of_ours() -> None:
    """Whose server is called says what stands in it: a name may hold line ends."""
    step = Step(Stage.HANDSHAKE, 0.0, 0.1, Mark.FINE, "certificate of x\nNo problem found.")
    assert _step(step, colour=False).endswith(r"certificate of x\x0aNo problem found.")
