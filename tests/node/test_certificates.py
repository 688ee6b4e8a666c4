"""What a running node shows in TLS: certificates by name, new ones from disk, versions, tickets."""

import json
import os
import signal
import socket
import ssl
import urllib.request
from pathlib import Path

import pytest
from cryptography import x509

from gatepost.net.certificate import make_self_signed
from tests.node.conftest import LOCAL, NodeOf
from tests.node.talk import Talk, anyone
from tests.support.node import Node, on_all_workers, wait_until
from tests.support.ports import free_ports
from tests.support.self_signed import self_signed

MORE = """
[[tls.more]]
certificate = "brand.pem"
private_key = "brand.key"
[[tls.more]]
certificate = "wild.pem"
private_key = "wild.key"
"""

OTHERS = {"*.wild.test", "mail.brand.test"}


def write_pair(node: Node, certificate: str, key: str, *names: str, kind: str = "EC") -> None:
    """Replace a pair as renewal programs do: new files, renamed over the former ones."""
    made = self_signed(*names, kind=kind)
    for name, pem in ((key, made.key), (certificate, made.chain)):
        fresh = node.directory / f"{name}.new"
        fresh.write_bytes(pem)
        fresh.rename(node.directory / name)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Node:
    node = Node(tmp_path_factory.mktemp("several"), LOCAL, 2)
    node.set_up()
    write_pair(node, "brand.pem", "brand.key", "mail.brand.test")
    write_pair(node, "wild.pem", "wild.key", "*.wild.test", kind="RSA")
    node.configure(LOCAL + MORE)
    node.start()
    yield node
    assert node.stop() == 0


def shown(node: Node, server_name: str = "relay.test", *, starttls: bool = False) -> str:
    """Return the first name of the certificate that a client of this server name is shown."""
    port = node.ports.submission if starttls else node.ports.submissions
    with Talk(port, server_name=server_name) as talk:
        if starttls:
            talk.hello()
            talk.must("STARTTLS", "220")
        talk.start_tls(anyone())
        return first_name(talk.tls)


def first_name(sock: ssl.SSLSocket) -> str:
    der = sock.getpeercert(binary_form=True)
    assert der
    names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    return names.value.get_values_for_type(x509.DNSName)[0]


# -- by name


@pytest.mark.rfc("6066#3")
@pytest.mark.parametrize("starttls", [False, True])
@pytest.mark.parametrize(
    ("server_name", "expected"),
    [
        ("mail.brand.test", "mail.brand.test"),
        ("MAIL.brand.test", "mail.brand.test"),
        ("a.wild.test", "*.wild.test"),
        ("a.b.wild.test", None),
        ("wild.test", None),
        ("unknown.test", None),
    ],
)
def test_each_name_is_shown_its_own_certificate(
    several: Node, server_name: str, expected: str | None, starttls: bool
) -> None:
    found = shown(several, server_name, starttls=starttls)
    assert found == expected if expected else found not in OTHERS


def test_a_client_that_names_nobody_is_shown_the_first(several: Node) -> None:
    address = ("127.0.0.1", several.ports.submissions)
    with (
        socket.create_connection(address, timeout=20) as wire,
        anyone().wrap_socket(wire) as talk,
    ):
        assert first_name(talk) not in OTHERS


# -- versions and tickets


@pytest.mark.rfc("8314#4.1")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tls_older_than_1_2_is_refused(several: Node, version: ssl.TLSVersion) -> None:
    context = anyone()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = version
    context.maximum_version = version
    with pytest.raises((ssl.SSLError, ConnectionError)):
        Talk(several.ports.submissions, tls=context)
    with Talk(several.ports.submission) as talk:
        talk.hello()
        talk.must("STARTTLS", "220")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            talk.start_tls(context)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_resumed_whichever_worker_answers(
    several: Node, version: ssl.TLSVersion
) -> None:
    context = anyone()
    context.minimum_version = context.maximum_version = version
    with Talk(several.ports.submissions, tls=context) as talk:
        talk.hello()
        talk.must("QUIT", "221")
        session = talk.tls.session
    for _ in range(12):  # two workers: all on one by chance is 1 in 2048
        with Talk(several.ports.submissions, tls=context, session=session) as talk:
            talk.hello()
            assert talk.tls.session_reused


# -- replaced on disk


@pytest.fixture
def renewed(node_of: NodeOf) -> Node:
    return node_of(LOCAL + "\n# a node whose certificates change\n", workers=2)


def shows(node: Node, name: str) -> None:
    on_all_workers(lambda: shown(node) == name, name)


def test_a_certificate_replaced_on_disk_is_shown_soon_and_sessions_live_on(renewed: Node) -> None:
    with Talk(renewed.ports.submissions, tls=anyone()) as before:
        before.hello()
        write_pair(renewed, "cert.pem", "key.pem", "second.relay.test")
        shows(renewed, "second.relay.test")
        before.must("NOOP", "250")


def test_sighup_shows_a_new_certificate_at_once(renewed: Node) -> None:
    write_pair(renewed, "cert.pem", "key.pem", "third.relay.test")
    renewed.signal(signal.SIGHUP)
    shows(renewed, "third.relay.test")


@pytest.mark.parametrize("fault", ["garbage", "mismatch", "missing", "cut"])
def test_a_broken_certificate_is_not_taken_over_and_the_log_says_why(
    renewed: Node, fault: str
) -> None:
    path: Path = renewed.directory / "cert.pem"
    name = f"before-{fault}.relay.test"
    write_pair(renewed, "cert.pem", "key.pem", name)
    shows(renewed, name)
    good, logged = path.read_bytes(), len(renewed.log.read_text())
    match fault:
        case "garbage":
            path.write_text("no certificate\n")
        case "mismatch":
            path.write_bytes(make_self_signed(["other.relay.test"])[0])
        case "missing":
            path.unlink()
        case "cut":
            path.write_bytes(good[: len(good) // 2])
    renewed.signal(signal.SIGHUP)

    def said() -> bool:
        return "certificate not taken over" in renewed.log.read_text()[logged:]

    wait_until(said, "a line in the log")
    assert (
        "cert.pem" in renewed.log.read_text()[logged:]
        or "key.pem" in renewed.log.read_text()[logged:]
    )
    assert all(shown(renewed) == name for _ in range(6))
    path.write_bytes(good)
    os.utime(path)
    shows(renewed, name)


@pytest.mark.parametrize("way", ["text before", "words that are not UTF-8", "both in one file"])
def test_what_stands_around_a_certificate_ends_no_node(renewed: Node, way: str) -> None:
    name = f"{way.replace(' ', '-').lower()}.relay.test"
    made = self_signed(name, kind="RSA")
    chain = {
        "text before": b"Certificate:\n    Data:\n" + made.chain,
        "words that are not UTF-8": made.chain + b"# M\xfcller\n",
        "both in one file": made.key + made.chain,
    }[way]
    for file, pem in (("key.pem", made.key), ("cert.pem", chain)):
        fresh = renewed.directory / f"{file}.new"
        fresh.write_bytes(pem)
        fresh.rename(renewed.directory / file)
    shows(renewed, name)
    assert renewed.process is not None
    assert renewed.process.poll() is None


def test_a_certificate_replaced_while_the_node_starts_is_shown(node_of: NodeOf) -> None:
    node = node_of(LOCAL + "\n# a node that starts again\n")
    node.stop()
    node.start()  # its ports are open; whether it has read the files already is anybody's guess
    write_pair(node, "cert.pem", "key.pem", "early.relay.test")
    shows(node, "early.relay.test")


def test_a_running_node_tells_that_its_certificate_ends_soon(node_of: NodeOf) -> None:
    (port,) = free_ports(1)
    node = node_of(LOCAL + f'\n[http]\naddress = "127.0.0.1:{port}"\n')
    made = self_signed("relay.test", days=9)
    for file, pem in (("key.pem", made.key), ("cert.pem", made.chain)):
        fresh = node.directory / f"{file}.new"
        fresh.write_bytes(pem)
        fresh.rename(node.directory / file)
    ends = f"gatepost_certificate_expires_seconds {int(made.expires_at.timestamp())}\n"

    def is_shown() -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
            return ends in answer.read().decode()

    wait_until(is_shown, "the metric")
    said = f"cert.pem: expires on {made.expires_at:%Y-%m-%d}; renew it"
    wait_until(lambda: said in node.log.read_text(), "a line in the log")

    def events() -> list[dict[str, str]]:
        files = (node.data_dir / "journal").glob("*.jsonl")
        octets = [file.read_bytes().rpartition(b"\n")[0] for file in files]  # whole lines
        lines = [line for each in octets for line in each.splitlines()]
        return [e for e in map(json.loads, lines) if e["kind"] == "certificate.expiring"]

    wait_until(lambda: len(events()) == 1, "one event")
    assert node.log.read_text().count(said) == 1
