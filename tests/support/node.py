"""A real Gatepost for tests: `gatepost serve` in a process of its own, driven through its commands.

Ports are free ones of 127.0.0.1, state lives in a directory of the test's. A test that needs other
settings gives them as TOML.
"""

import atexit
import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

from tests.support.ports import free_ports

HOST = "127.0.0.1"
#: Seconds until something that should happen counts as not happening, on a busy machine.
PATIENCE = 60.0

#: Whose account every node has, unless a test wants another.
ACCOUNT = "app@example.com"
_PASSWORD = secrets.token_hex(8)

CAPTURE_ALL = """
[[routes]]
match = ["*"]
via = "capture"
"""

BASE = """\
hostname = "relay.test"
data_dir = "state"
workers = {workers}

[tls]
certificate = "cert.pem"
private_key = "key.pem"

[[listeners]]
address = "{host}:{submission}"
role = "submission"
[[listeners]]
address = "{host}:{submissions}"
role = "submissions"
[[listeners]]
address = "{host}:{mx}"
role = "mx"
"""


#: Nobody listens there and the kernel says so at once: no test waits for resolvers of the machine.
_NO_DNS = """
[dns]
resolvers = ["127.0.0.1:9"]
"""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a node listens on loopback."""

    submission: int
    submissions: int
    mx: int


def wait_until(holds: Callable[[], bool], what: str, *, patience: float = PATIENCE) -> None:
    """Wait for a condition, or fail naming `what` did not happen."""
    deadline = time.monotonic() + patience
    while not holds():
        if time.monotonic() > deadline:
            msg = f"{what}: not within {patience:.0f} s"
            raise AssertionError(msg)
        time.sleep(0.05)


def on_all_workers(holds: Callable[[], bool], what: str, *, patience: float = PATIENCE) -> None:
    """Wait until a condition holds for a dozen new connections in a row.

    The kernel deals them out: that one of two workers got none is less likely than 1 in 2000.
    """
    wait_until(lambda: all(holds() for _ in range(12)), what, patience=patience)


def greets(port: int, host: str = HOST) -> bool:
    """Tell whether something accepts connections on this port."""
    try:
        with socket.create_connection((host, port), timeout=5):
            return True
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class Follower:
    """A server that took over from one that we had started: a process that is not our child."""

    pid: int

    def poll(self) -> int | None:
        """Return None while it lives; what it ended with is not known to us."""
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return 0
        return 0 if state in "ZX" else None

    def wait(self, timeout: float) -> int:
        """Wait for its end."""
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("serve", timeout)
            time.sleep(0.05)
        return 0

    def send_signal(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def terminate(self) -> None:
        """Tell it to end."""
        self.send_signal(signal.SIGTERM)


@dataclass
class Node:
    """One node; `account` may send as itself. `start` and `stop` may be called again."""

    directory: Path
    settings: str = CAPTURE_ALL
    workers: int = 1
    account: str = ACCOUNT
    password: str = field(default=_PASSWORD, repr=False)
    #: Lines at the top of the file, before its first table.
    top: str = ""
    #: Where it listens, and what comes before its commands ("nsenter …").
    host: str = HOST
    inside: tuple[str, ...] = ()
    ports: Ports = field(init=False)
    #: What its programs find in their environment, besides.
    surroundings: dict[str, str] = field(default_factory=dict)
    #: How many files each of its processes may have open; 0: as many as ours.
    open_files: int = 0
    #: Python that is run before `serve`, to change what takes too long for a test.
    prelude: str = ""
    process: subprocess.Popen[bytes] | Follower | None = field(default=None, init=False)
    #: What `start` started, first of the group of all that follow.
    first: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.ports = Ports(*free_ports(3))

    @property
    def config(self) -> Path:
        """The gatepost.toml."""
        return self.directory / "gatepost.toml"

    @property
    def data_dir(self) -> Path:
        """The state directory."""
        return self.directory / "state"

    @property
    def certificate(self) -> Path:
        """The self-signed certificate, which is its own trust anchor."""
        return self.directory / "cert.pem"

    @property
    def log(self) -> Path:
        """What `serve` wrote to standard error."""
        return self.directory / "serve.log"

    def trust(self) -> ssl.SSLContext:
        """Return a client's context that trusts this node, whatever name it is called by."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.check_hostname = False
        return context

    # -- commands

    def run(
        self, *arguments: str, stdin: str = "", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run `gatepost -c CONFIG ARGUMENTS`; with `check` a status other than 0 fails the test."""
        done = subprocess.run(
            [*self.inside, *_program(), "-c", str(self.config), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE * 2,
            env=environment() | self.surroundings,
            check=False,
        )
        if check and done.returncode:
            msg = f"gatepost {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
            raise AssertionError(msg)
        return done

    def json(self, *arguments: str) -> Any:
        """Run a listing with --json and return what it says."""
        return json.loads(self.run(*arguments, "--json").stdout)

    def add_account(self, name: str, password: str, *senders: str) -> None:
        """Add one more account."""
        wanted = [word for sender in senders for word in ("--sender", sender)]
        self.run("account", "add", name, "--password-stdin", *wanted, stdin=password + "\n")

    # -- life

    def set_up(self, *senders: str) -> None:
        """Write configuration and certificate, and add the account; without `senders` it may send
        as itself.
        """
        if senders or not self._is_usual():
            self.run("init", str(self.directory))
            self.configure(self.settings)
            self.add_account(self.account, self.password, *senders)
            return
        shutil.copytree(_set_up_once(), self.directory, copy_function=_copy, dirs_exist_ok=True)
        self.configure(self.settings)

    def _is_usual(self) -> bool:
        """Tell whether it is set up as most are: in a database of its own, with the usual account."""
        usual = (self.account, self.password) == (ACCOUNT, _PASSWORD)
        return usual and not (self.top or self.inside or self.surroundings)

    def configure(self, settings: str) -> None:
        """Replace the settings behind the listeners; a running node is not told."""
        self.settings = settings
        ports = self.ports
        self.config.write_text(
            self.top
            + BASE.format(
                host=self.host,
                workers=self.workers,
                submission=ports.submission,
                submissions=ports.submissions,
                mx=ports.mx,
            )
            + settings
            + ("" if "[dns]" in settings else _NO_DNS)
        )

    def start(self) -> None:
        """Start `serve` and wait until every port accepts."""
        with self.log.open("ab") as log:
            limit = [] if not self.open_files else ["prlimit", f"--nofile={self.open_files}"]
            self.process = subprocess.Popen(
                [*limit, *self.inside, *_program(self.prelude), "-c", str(self.config), "serve"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment() | self.surroundings,
                start_new_session=True,
            )
        self.first = self.process
        ports = self.ports
        for port in (ports.submission, ports.submissions, ports.mx):
            wait_until(partial(self._listens, port), f"port {port}")

    def _listens(self, port: int) -> bool:
        if self.process is None or self.process.poll() is not None:
            msg = f"serve ended:\n{self.log.read_text(errors='replace')[-4000:]}"
            raise AssertionError(msg)
        return greets(port, self.host)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the supervisor."""
        assert self.process is not None
        self.process.send_signal(number)

    def restart(self) -> None:
        """Have the program on the disk take over; wait until it serves."""
        self.run("restart")
        self.follow()

    def follow(self) -> None:
        """Hold on to whoever serves now."""
        self.process = Follower(json.loads((self.data_dir / "serve.lock").read_text())["pid"])

    def stop(self) -> int:
        """Drain and end; return the exit status."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.terminate()
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("serve did not end after SIGTERM") from None
        if self.first is not None:
            self.first.wait(PATIENCE)  # a former program, whose sessions may still end
        self.process = self.first = None
        return status

    def kill(self) -> None:
        """End the whole node at once, as power loss would: every process of it, by SIGKILL."""
        if self.process is None:
            return
        assert self.first is not None
        os.killpg(self.first.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)
        self.first.wait(PATIENCE)
        self.process = None

    # -- what became of mail

    def captured(self, recipient: str | None = None) -> list[dict[str, Any]]:
        """Return the rows of `queue list --captured`, of one recipient if one is named."""
        more = [] if recipient is None else ["--recipient", recipient]
        rows = self.json("queue", "list", "--captured", *more)
        assert isinstance(rows, list)
        return rows

    def content(self, row: dict[str, Any]) -> bytes:
        """Return the stored octets of a listed message, what we put in front included."""
        done = subprocess.run(
            [*_program(), "-c", str(self.config), "queue", "show", row["message"], "--content"],
            capture_output=True,
            timeout=PATIENCE * 2,
            env=environment(),
            check=True,
        )
        return done.stdout


def _copy(source: str, target: str) -> None:
    """Copy a file, and have it on the disk: disks of tests break."""
    shutil.copy2(source, target)
    with open(target, "rb") as file:  # noqa: PTH123 - both are texts here
        os.fsync(file.fileno())


@cache
def _set_up_once() -> Path:
    """Return the directory of a node that is set up: two commands and 240 000 rounds of PBKDF2, once for
    all tests of this process.
    """
    place = tempfile.TemporaryDirectory(prefix="gatepost-set-up-")
    atexit.register(place.cleanup)
    node = Node(Path(place.name) / "node")
    node.run("init", str(node.directory))
    node.configure(CAPTURE_ALL)
    node.add_account(node.account, node.password)
    node.config.unlink()
    return node.directory


def environment() -> dict[str, str]:
    """Return ours, without what would override the node's own settings; every signature that a
    node makes in a test is verified.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GATEPOST_")}
    return kept | {"GATEPOST_DOMAINS__VERIFY_SAMPLE": "1"}


def _program(prelude: str = "") -> list[str]:
    if prelude:
        return [sys.executable, "-c", f"{prelude}\nfrom gatepost.__main__ import main\nmain()"]
    return [sys.executable, "-m", "gatepost"]
