"""What keeps `serve` from starting: one clear message, exit 2, nothing half-done."""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gatepost.net.certificate import make_self_signed
from tests.node.conftest import LOCAL
from tests.support.node import HOST, Node, environment, greets

#: What a server that does not start may leave: locks, and what SQLite keeps beside a database that
#: it looked at.
TRACES = ("serve.lock", "store.lock", "-shm")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Node:
    node = Node(tmp_path_factory.mktemp("template"), LOCAL)
    node.set_up()
    return node


@pytest.fixture
def node(template: Node) -> Iterator[Node]:
    """A set-up that was never started, with an account in its database.

    Not below pytest's own directory: each pytest that starts on the machine closes that to others, and
    some tests here are somebody else.
    """
    node = Node(Path(tempfile.mkdtemp(prefix="gatepost-")) / "node", LOCAL, 2)
    shutil.copytree(template.directory, node.directory, dirs_exist_ok=True)
    node.configure(LOCAL)
    yield node
    node.stop()
    shutil.rmtree(node.directory.parent)


def database(node: Node) -> Path:
    return next(
        path
        for path in node.data_dir.iterdir()
        if path.is_file() and path.read_bytes()[:15] == b"SQLite format 3"
    )


def snapshot(node: Node) -> dict[str, bytes]:
    octets = {
        str(path.relative_to(node.directory)): path.read_bytes()
        for path in node.directory.rglob("*")
        if path.is_file() and not path.name.endswith(TRACES)
    }
    return {name: o for name, o in octets.items() if o or not name.endswith("-wal")}


def serve(node: Node, *before: str, program: tuple[str, ...] = ("-m", "gatepost")) -> str:
    """Run `serve`, which must end by itself with 2; return what it said."""
    done = subprocess.run(
        [*before, sys.executable, *program, "-c", str(node.config), "serve"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        env=environment(),
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert not done.stdout
    assert "Traceback" not in done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("gatepost: ")]
    assert len(said) == 1, done.stderr
    return done.stderr


def refuses(node: Node, *words: str, before: tuple[str, ...] = (), **more: tuple[str, ...]) -> str:
    """Hold what `serve` says against some words; it must have left everything as it was."""
    earlier = snapshot(node)
    said = serve(node, *before, **more)
    for word in words:
        assert word in said, said
    assert snapshot(node) == earlier
    ports = node.ports
    assert not any(greets(port) for port in (ports.submission, ports.submissions))
    return said


@pytest.mark.parametrize("share", [False, True], ids=["alone", "SO_REUSEPORT"])
@pytest.mark.parametrize("host", [HOST, "0.0.0.0"])
def test_a_port_in_use(node: Node, share: bool, host: str) -> None:
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind((host, node.ports.mx))
        holder.listen()
        refuses(node, f"cannot listen on {HOST}:{node.ports.mx}", "in use", "another port")


def test_an_address_that_is_not_of_this_machine(node: Node) -> None:
    text = node.config.read_text()
    node.config.write_text(text.replace(f"{HOST}:{node.ports.mx}", f"192.0.2.1:{node.ports.mx}"))
    refuses(node, f"cannot listen on 192.0.2.1:{node.ports.mx}", "address of this machine")


def _missing(node: Node) -> None:
    (node.directory / "cert.pem").unlink()


def _missing_key(node: Node) -> None:
    (node.directory / "key.pem").unlink()


def _directory(node: Node) -> None:
    _missing(node)
    (node.directory / "cert.pem").mkdir()


def _garbage(node: Node) -> None:
    (node.directory / "cert.pem").write_bytes(b"\xff\0 no certificate")


def _mismatch(node: Node) -> None:
    (node.directory / "cert.pem").write_bytes(make_self_signed(["relay.test"])[0])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_missing, ("cert.pem: no such file", "certificate in [tls]")),
        (_missing_key, ("key.pem: no such file", "private_key in [tls]")),
        (_directory, ("cert.pem: is a directory", "PEM file")),
        (_garbage, ("cert.pem: holds no PEM certificate", "BEGIN CERTIFICATE")),
        (_mismatch, ("key.pem: this key does not belong to the certificate in", "beside it")),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_a_certificate_that_cannot_be_used(
    node: Node, spoil: Callable[[Node], None], words: tuple[str, ...]
) -> None:
    spoil(node)
    refuses(node, *words)


def as_nobody(node: Node) -> tuple[str, ...]:
    """Return what runs a program as somebody else, who may read the set-up's directory."""
    setpriv = shutil.which("setpriv")
    if os.geteuid() != 0 or setpriv is None:
        pytest.skip("only root can become another user: run as root, with util-linux's setpriv")
    before = (setpriv, "--reuid=65534", "--regid=65534", "--clear-groups")
    done = subprocess.run(
        [*before, sys.executable, "-c", "import gatepost"], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("another user cannot read this Python environment")
    for path in (node.directory, *node.directory.parents):
        if path == Path(tempfile.gettempdir()):
            break
        path.chmod(0o755)
    return before


def test_a_key_that_may_not_be_read(node: Node) -> None:
    before = as_nobody(node)
    refuses(node, "key.pem: permission denied", "nobody else", before=before)


def test_a_state_directory_that_may_not_be_written(node: Node) -> None:
    before = as_nobody(node)
    os.chown(node.directory / "key.pem", 65534, 65534)
    refuses(node, f"cannot write to {node.data_dir}", "permission denied", before=before)


def test_a_state_directory_that_is_a_file(node: Node) -> None:
    shutil.rmtree(node.data_dir)
    node.data_dir.write_text("")
    refuses(node, f"cannot write to {node.data_dir}")


def test_a_second_server_on_one_state_directory(node: Node) -> None:
    node.start()
    other = Node(node.directory.parent / "other", LOCAL)
    other.directory.mkdir(exist_ok=True)
    for name in ("cert.pem", "key.pem"):
        shutil.copy(node.directory / name, other.directory / name)
    other.configure(LOCAL)
    text = other.config.read_text()
    other.config.write_text(text.replace('data_dir = "state"', f'data_dir = "{node.data_dir}"'))
    refuses(other, "another gatepost serves", str(node.data_dir), "another data_dir")
    assert greets(node.ports.submission)
    # the same file once more: said of the directory, not of the ports
    assert "another gatepost serves" in serve(node)
    assert greets(node.ports.submission)


def test_a_database_of_a_newer_program(node: Node) -> None:
    with sqlite3.connect(database(node)) as connection:
        connection.execute("PRAGMA user_version = 999")
        connection.execute("UPDATE schema_mark SET value = 999 WHERE name = 'oldest'")
    connection.close()
    refuses(node, "999", "newer", "update")


@pytest.mark.parametrize("offset", [0, 100])
def test_a_database_that_is_damaged(node: Node, offset: int) -> None:
    path = database(node)
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"damaged " * 500)
    refuses(node, str(path), "damaged", "backup")


OLD = """
import sys
import apsw
apsw.sqlite_lib_version = lambda: "3.40.1"
sys.argv[0] = "gatepost"
from gatepost.__main__ import main
main()
"""


def test_an_sqlite_that_is_too_old(node: Node) -> None:
    refuses(node, "SQLite 3.40.1 is too old", "update the package apsw", program=("-c", OLD))


def test_what_was_refused_starts_once_it_is_mended(node: Node) -> None:
    path = node.directory / "cert.pem"
    good = path.read_bytes()
    path.unlink()
    serve(node)
    path.write_bytes(good)
    node.start()
    assert node.stop() == 0
