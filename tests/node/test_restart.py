"""Another program takes over the ports: nobody is refused, nothing under way is lost."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Self

import pytest

from gatepost.node.handover import command
from tests.conftest import NodeMaker
from tests.crash import processes
from tests.node.conftest import LOCAL
from tests.node.talk import Talk
from tests.support.node import HOST, Follower, environment, greets, wait_until

NEW_DOMAIN = """
[[local_domains]]
name = "new.test"
deliver_to = "maildir:new"
"""
SERVE = "all workers serve"
FAILURE = "the new program came to nothing"


class Knocker:
    """Connects at a steady rate, on several threads, and counts how it was received."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.received: Counter[str] = Counter()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._knock, daemon=True) for _ in range(4)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _knock(self) -> None:
        while not self._stop.wait(0.01):
            self.received[self._once()] += 1

    def _once(self) -> str:
        try:
            with socket.create_connection((HOST, self.port), timeout=60) as sock:
                greeting = sock.recv(3)
                # without QUIT: closed at once, as scanners do
                return greeting.decode() or "closed before the greeting"
        except OSError as problem:
            return type(problem).__name__

    def wait_for(self, more: int) -> None:
        """Wait until so many more were received."""
        wanted = self.received.total() + more
        wait_until(lambda: self.received.total() >= wanted, f"{more} more connections")


def ended(process: "subprocess.Popen[bytes] | Follower") -> bool:
    return process.poll() is not None


def test_nobody_is_refused_and_what_is_under_way_ends(make_node: NodeMaker) -> None:
    node = make_node(LOCAL, workers=2)
    with Knocker(node.ports.mx) as knocker:
        former = [node.process]
        for _ in range(2):
            knocker.wait_for(20)
            node.restart()
            former.append(node.process)
        knocker.wait_for(20)
        # What is under way has ten seconds to end (unless a prelude says more): it sees the last restart only.
        with Talk(node.ports.mx) as busy, Talk(node.ports.mx) as idle:
            idle.hello()
            node.configure(LOCAL + NEW_DOMAIN)
            busy.hello()
            busy.must("MAIL FROM:<a@b.test>", "250")
            busy.must("RCPT TO:<alice@local.test>", "250")
            node.restart()
            former.append(node.process)
            busy.must("DATA", "354")
            assert busy.message(b"Subject: a\r\n\r\n").startswith("250 2.0.0 Queued")
            assert busy.reply().startswith("421 4.3.2 ")
            assert idle.reply().startswith("421 4.3.2 ")
        for process in former[:-1]:
            wait_until(lambda p=process: ended(p), "the former program's end")
        knocker.wait_for(20)
    assert set(knocker.received) <= {"220", "421"}
    assert knocker.received["220"] >= 0.9 * knocker.received.total()
    with Talk(node.ports.mx) as talk:
        talk.hello()
        talk.must("MAIL FROM:<a@b.test>", "250")
        talk.must("RCPT TO:<x@new.test>", "250")
    folder = node.data_dir / "local" / "alice" / "new"
    wait_until(lambda: folder.is_dir() and len(list(folder.iterdir())) == 1, "mail for alice")
    assert former[0].wait(1) == 0


def test_a_new_program_that_cannot_serve_leaves_the_former_at_work(make_node: NodeMaker) -> None:
    node = make_node(LOCAL)
    serving = node.process
    # a fault in the file is told before anything happens
    node.configure(LOCAL + "\nnonsense = 1\n")
    assert "nonsense" in node.run("restart", check=False).stderr
    assert FAILURE not in node.log.read_text()
    # one that only the new program meets
    with socket.create_server((HOST, 0)) as taken:
        more = f'\n[http]\naddress = "{HOST}:{taken.getsockname()[1]}"\n'
        node.configure(LOCAL + more)
        refused = node.run("restart", check=False)
    assert refused.returncode == 1
    assert FAILURE in refused.stderr
    assert "the former one goes on" in refused.stderr
    said = node.log.read_text()
    assert f"{FAILURE} (it ended with status 2); this one goes on" in said
    assert "cannot listen on" in said
    assert not ended(serving)
    with Talk(node.ports.mx) as talk:
        talk.hello()
    wait_until(lambda: len(processes.children(serving.pid)) == 1, "one worker")
    # and once it is mended
    node.configure(LOCAL + NEW_DOMAIN)
    node.restart()
    wait_until(lambda: ended(serving), "the former program's end")


def test_another_state_directory_is_no_restart(make_node: NodeMaker) -> None:
    node = make_node(LOCAL)
    before = node.config.read_text()
    node.signal(signal.SIGUSR2)
    wait_until(lambda: ended(node.process), "the first one's end")
    node.follow()
    serving = node.process
    node.config.write_text(before.replace('data_dir = "state"', 'data_dir = "elsewhere"'))
    (node.directory / "elsewhere").mkdir()
    begin = len(node.log.read_text())
    node.signal(signal.SIGUSR2)
    wait_until(lambda: FAILURE in node.log.read_text()[begin:], "a failure")
    assert "another one is served; stop gatepost, and start it" in node.log.read_text()[begin:]
    assert not ended(serving)
    node.config.write_text(before)


def test_workers_and_ports_may_become_more_and_fewer(make_node: NodeMaker) -> None:
    node = make_node(LOCAL, workers=1)
    ports = node.ports
    for workers in (3, 1):
        former = node.process
        node.workers = workers
        node.configure(LOCAL)
        with Knocker(ports.mx) as knocker:
            node.restart()
            wait_until(lambda: ended(former), "the former program's end")  # noqa: B023
            # Three sockets or more are open now: whoever came to any of them is greeted.
            knocker.wait_for(60)
        assert set(knocker.received) <= {"220", "421"}
        assert len(processes.children(node.process.pid)) == workers


def test_sockets_from_systemd_are_taken(make_node: NodeMaker) -> None:
    node = make_node(LOCAL, workers=2, start=False)
    sockets = [
        socket.create_server((HOST, port))
        for port in (node.ports.submission, node.ports.submissions, node.ports.mx)
    ]
    script = (
        "import os, sys\n"
        "for place, number in enumerate(map(int, sys.argv[2].split(','))):\n"
        "    os.dup2(number, 3 + place)\n"
        "os.environ |= {'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '3'}\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'gatepost', '-c', sys.argv[1], 'serve'])\n"
    )
    # out of the way of 3, 4 and 5
    numbers = [os.dup2(sock.fileno(), 60 + place) for place, sock in enumerate(sockets)]
    for sock in sockets:
        sock.close()
    with node.log.open("ab") as log:
        node.process = node.first = subprocess.Popen(
            [sys.executable, "-c", script, str(node.config), ",".join(map(str, numbers))],
            pass_fds=numbers,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment(),
            start_new_session=True,
        )
    kept = os.dup(numbers[2])
    for number in numbers:
        os.close(number)
    for port in (node.ports.submission, node.ports.mx):
        with Talk(port) as talk:
            talk.hello()
    wait_until(lambda: SERVE in node.log.read_text(), "two workers")
    with Knocker(node.ports.mx) as knocker:
        node.restart()  # and handed on
        knocker.wait_for(60)
    assert set(knocker.received) <= {"220", "421"}
    # The service manager holds them while nobody serves: who comes waits for the next start.
    with socket.socket(fileno=kept) as held:
        node.stop()
        with Talk(node.ports.mx) as early:
            held.settimeout(60)
            taken, _ = held.accept()
            with taken:
                taken.sendall(b"220 next\r\n")
            assert early.reply() == "220 next"


def test_a_service_manager_is_told(make_node: NodeMaker, tmp_path: Path, monkeypatch) -> None:
    node = make_node(LOCAL, start=False)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(60)
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        node.start()
        assert manager.recv(100) == b"READY=1\nSTATUS="
        node.restart()
        heard = {manager.recv(100) for _ in range(2)}
        assert heard == {b"READY=1\nSTATUS=", f"MAINPID={node.process.pid}".encode()}
        node.stop()
        assert manager.recv(100) == b"STOPPING=1"


def test_nobody_to_restart(make_node: NodeMaker) -> None:
    node = make_node(LOCAL, start=False)
    refused = node.run("restart", check=False)
    assert refused.returncode == 1
    assert "no gatepost serves" in refused.stderr
    # a lock that somebody wrote his own number into
    lock = node.data_dir / "serve.lock"
    node.start()
    wait_until(lambda: SERVE in node.log.read_text(), "a worker")
    with subprocess.Popen(["sleep", "60"]) as bystander:
        try:
            lock.write_text(f'{{"pid": {bystander.pid}, "failed": 0, "because": ""}}')
            refused = node.run("restart", check=False)
            assert refused.returncode == 1
            assert bystander.poll() is None
        finally:
            bystander.kill()


def test_a_stopped_worker_holds_nobody_up(make_node: NodeMaker) -> None:
    """The supervisor waits for no worker; what one does not take is kept for it."""
    node = make_node(LOCAL, workers=2)
    wait_until(lambda: "all workers serve" in node.log.read_text(), "both workers")
    supervisor = node.process
    wait_until(lambda: SERVE in node.log.read_text(), "two workers")
    stopped = processes.children(supervisor.pid)[0]
    chain = node.certificate.read_bytes()
    os.kill(stopped, signal.SIGSTOP)
    try:
        for number in range(3):
            begin = len(node.log.read_text())
            fresh = node.directory / "fresh.pem"
            fresh.write_bytes(chain * (600 + number))  # more than fits between two processes
            fresh.replace(node.certificate)
            wait_until(
                lambda: "certificates reloaded" in node.log.read_text()[begin:],  # noqa: B023
                f"certificates for the {number + 1}. time",
            )
        others = [pid for pid in processes.children(supervisor.pid) if pid != stopped]
        for pid in others:
            os.kill(pid, signal.SIGKILL)
        wait_until(
            lambda: len(set(processes.children(supervisor.pid)) - {stopped, *others}) == 1,
            "a worker in the place of the dead one",
        )
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert greets(node.ports.mx)


@pytest.mark.parametrize(
    ("started", "arguments", "run"),
    [
        (["python", "-m", "gatepost", "serve"], ["…/gatepost/__main__.py", "serve"],
         [sys.executable, "-m", "gatepost", "serve"]),
        (["/v/bin/python", "/bin/sh", "-c", "x"], ["/bin/sh", "-c", "x"], ["/bin/sh", "-c", "x"]),
        (["python", "nowhere.py", "serve"], ["nowhere.py", "serve"],
         [sys.executable, "nowhere.py", "serve"]),
    ],
)  # fmt: skip
def test_it_is_started_as_we_were(started, arguments, run):
    assert command(started, arguments) == run


def test_a_link_to_another_version_is_followed(tmp_path: Path) -> None:
    link = tmp_path / "gatepost"
    link.symlink_to("/bin/sh")
    assert command(["python", str(link)], [str(link), "serve"]) == [str(link), "serve"]
