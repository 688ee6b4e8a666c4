"""HAProxy before a node: its PROXY headers of both versions, its health checks, on every kind of listener."""

import csv
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.node.talk import Talk, anyone
from tests.support.node import HOST, Node, greets, wait_until
from tests.support.ports import free_ports
from tests.support.programs import need

pytestmark = pytest.mark.interop("haproxy")

#: Where HAProxy connects from.
BALANCER = "127.0.0.9"
LETTER = b"From: app@example.com\r\nSubject: x\r\n\r\nhi\r\n"

CONFIGURATION = """\
global
    stats socket {directory}/stats
defaults
    mode tcp
    timeout connect 60s
    timeout client 60s
    timeout server 60s
    timeout check 60s
    unique-id-format %[uuid]
"""
#: `{name}` is also the name of the server in HAProxy's statistics.
PASSED_ON = """\
listen {name}
    bind 127.0.0.1:{port}
    bind [::1]:{port}
    option smtpchk EHLO haproxy.test
    server {name} 127.0.0.1:{behind} source 127.0.0.9 check inter 1s fall 1000 rise 1 check-send-proxy {more}
"""
FORMS = {"v1": "send-proxy", "v2": "send-proxy-v2 proxy-v2-options crc32c,unique-id,authority"}


@dataclass
class Balanced:
    """A node, the directory of HAProxy, and HAProxy's ports by form and role."""

    node: Node
    directory: Path
    ports: dict[str, int]

    def statistics(self) -> list[dict[str, str]]:
        with socket.socket(socket.AF_UNIX) as stats:
            stats.connect(str(self.directory / "stats"))
            stats.sendall(b"show stat\n")
            text = b"".join(iter(partial(stats.recv, 65536), b"")).decode()
        return list(csv.DictReader(text.removeprefix("# ").splitlines()))

    def is_up(self, name: str) -> bool:
        """Tell whether the last check of a server went through its whole dialogue."""
        rows = [row for row in self.statistics() if row["svname"] == name]
        return [(row["status"], row["check_status"]) for row in rows] == [("UP", "L7OK")]

    def trace_of(self, talk: Talk, recipient: str) -> str:
        """Log in, send a letter, and return what stands before it."""
        assert talk.login(self.node.account, self.node.password).startswith("235")
        talk.envelope(self.node.account, recipient)
        assert talk.message(LETTER).startswith("250 ")
        wait_until(lambda: bool(self.node.captured(recipient)), recipient)
        (row,) = self.node.captured(recipient)
        return self.node.content(row).decode().partition("From:")[0]


@pytest.fixture(scope="module")
def balanced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Balanced]:
    directory = tmp_path_factory.mktemp("haproxy")
    node = Node(directory / "node")
    node.set_up()
    lines = node.config.read_text().splitlines()
    said = f'proxy_protocol_from = ["{BALANCER}"]'
    more = [f"{each}\n{said}" if each.startswith("role") else each for each in lines]
    node.config.write_text("\n".join(more) + "\n")
    node.start()
    behind = {"submission": node.ports.submission, "submissions": node.ports.submissions}
    names = [f"{form}-{role}" for form in FORMS for role in behind]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    text = CONFIGURATION.format(directory=directory)
    for name, port in ports.items():
        form, _, role = name.partition("-")
        checked = " check-ssl verify none" if role == "submissions" else ""
        text += PASSED_ON.format(
            name=name, port=port, behind=behind[role], more=FORMS[form] + checked
        )
    file = directory / "haproxy.cfg"
    file.write_text(text)
    process = subprocess.Popen([need("haproxy"), "-db", "-q", "-f", str(file)])
    for port in ports.values():
        wait_until(partial(greets, port), "HAProxy")
    yield Balanced(node, directory, ports)
    process.terminate()
    process.wait(60)
    assert node.stop() == 0
    assert "Traceback" not in node.log.read_text()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("host", "source"), [(HOST, "127.0.3.7"), ("::1", "::1")])
def test_the_client_is_known_through_starttls(
    balanced: Balanced, form: str, host: str, source: str
) -> None:
    with Talk(balanced.ports[f"{form}-submission"], host=host, source=source) as talk:
        talk.hello()
        talk.must("STARTTLS", "220")
        talk.start_tls(anyone())
        talk.must("EHLO c.test", "250")
        trace = balanced.trace_of(talk, f"{form}.{len(source)}@starttls.test")
    assert f"{source}]" in trace
    assert BALANCER not in trace


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("host", "source"), [(HOST, "127.0.3.7"), ("::1", "::1")])
def test_the_client_is_known_through_implicit_tls(
    balanced: Balanced, form: str, host: str, source: str
) -> None:
    port = balanced.ports[f"{form}-submissions"]
    with Talk(port, host=host, source=source, tls=anyone()) as talk:
        talk.hello()
        trace = balanced.trace_of(talk, f"{form}.{len(source)}@implicit.test")
    assert f"{source}]" in trace
    assert BALANCER not in trace


def test_health_checks_go_through_on_every_listener(balanced: Balanced) -> None:
    for name in balanced.ports:
        wait_until(partial(balanced.is_up, name), f"{name} to be healthy")


def test_a_balancer_that_was_not_told_to_send_headers_is_named_in_the_log(
    balanced: Balanced,
) -> None:
    with Talk(balanced.node.ports.submission, source=BALANCER) as talk:
        talk.send(b"EHLO c.test\r\n")
        assert talk.is_closed()
    words = f"{BALANCER}:"
    wait_until(
        lambda: any(
            words in line and "sent no PROXY header" in line
            for line in balanced.node.log.read_text().splitlines()
        ),
        "a warning",
    )
