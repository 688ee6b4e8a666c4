"""What reaches a worker in the moment of its birth."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

#: A node of one worker that works until told to stop. The signal comes the moment that the worker
#: is born, before it could say how it takes signals.
_PROGRAM = """
import os, signal, sys, time
from gatepost.node import supervisor

born = []
fork = os.fork

def told_at_birth():
    pid = fork()
    if pid == 0:
        os.kill(os.getpid(), signal.{name})
    else:
        born.append(pid)
    return pid

class Business:
    def work(self, me):
        print("works", flush=True)
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        while True:
            time.sleep(60)

    def bury(self, child):
        os.kill(os.getpid(), signal.SIGTERM)

    def named(self, index):
        return "it"

    def tick_of(self, child):
        return 0

    def reload(self):
        return False

    def watch(self):
        return None

    def dismiss(self):
        pass

    def close(self):
        pass

    def stop(self):
        pass

os.fork = told_at_birth
supervisor.hold_signals()
sys.exit(supervisor.Supervisor(1, Business()).run())
"""


def _run(name: str) -> subprocess.Popen[bytes]:
    program = [sys.executable, "-c", _PROGRAM.format(name=name)]
    return subprocess.Popen(program, stdout=subprocess.PIPE, start_new_session=True)


def _end(node: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(node.pid, signal.SIGKILL)


def test_a_worker_told_to_stop_at_its_birth_stops() -> None:
    with _run("SIGTERM") as node:
        try:
            assert node.wait(30) == 0
        finally:
            _end(node)
        assert node.stdout is not None
        assert node.stdout.read() == b""


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP", "SIGUSR2"])
def test_what_is_the_supervisors_business_does_not_touch_a_newborn(name: str) -> None:
    with _run(name) as node:
        try:
            assert node.stdout is not None
            assert node.stdout.readline() == b"works\n"
            node.send_signal(signal.SIGTERM)
            assert node.wait(30) == 0
        finally:
            _end(node)


#: A node whose first worker freezes once it has served; the second one ends it all.
_FREEZING = """
import os, signal, sys
from gatepost.net.counters import Counters
from gatepost.node import supervisor, watchdog

watchdog.HUNG = 0.5
counters = Counters.create(2)

class Business:
    def work(self, me):
        if me.birth == 1:
            counters.worker(me.region).tick()
            os.kill(os.getpid(), signal.SIGSTOP)
        print(me.birth, flush=True)
        os.kill(os.getppid(), signal.SIGTERM)
        return 0

    def bury(self, child):
        counters.clear(child.region)

    def tick_of(self, child):
        return counters.tick_of(child.region)

    def named(self, index):
        return "it"

    def watch(self):
        return None

    def dismiss(self):
        pass

    def close(self):
        pass

    def stop(self):
        pass

supervisor.hold_signals()
sys.exit(supervisor.Supervisor(1, Business()).run())
"""


def test_who_hangs_is_killed_and_another_takes_its_place() -> None:
    program = [sys.executable, "-c", _FREEZING]
    with subprocess.Popen(program, stdout=subprocess.PIPE, start_new_session=True) as node:
        try:
            assert node.stdout is not None
            assert node.stdout.readline() == b"2\n"
            node.wait(30)
        finally:
            _end(node)


#: A node of two workers whose new ones come to nothing at the first reload, and serve at the second.
_RELOADING = """
import os, signal, sys, time
from gatepost.node import supervisor
from gatepost.node.child import SERVES

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

class Business:
    reloads = 0

    def work(self, me):
        if self.reloads == 1 and me.index:
            return 70
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        me.pipe.send(SERVES)
        while True:
            time.sleep(60)

    def ready(self):
        say("ready")

    def bury(self, child):
        say("buried", child.birth)

    def named(self, index):
        return f"worker {index}"

    def tick_of(self, child):
        return 0

    def reload(self):
        self.reloads += 1
        if self.reloads == 3:
            raise ValueError("nobody foresaw this")
        return True

    def reloaded(self):
        say("reloaded")

    def not_reloaded(self, why):
        say("not reloaded:", why)

    def watch(self):
        return None

    def dismiss(self):
        pass

    def close(self):
        pass

    def stop(self):
        say("stopping")

supervisor.hold_signals()
sys.exit(supervisor.Supervisor(2, Business()).run())
"""


#: A node of one worker whose new one does not serve before a file is there.
_SLOWLY_RELOADING = _RELOADING.replace(
    """        if self.reloads == 1 and me.index:
            return 70
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
""",
    """        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        say("born", me.birth, me.is_stopgap, os.getpid())
        while self.reloads and not me.is_stopgap and not os.path.exists(sys.argv[1]):
            time.sleep(0.05)
""",
).replace("Supervisor(2", "Supervisor(1")


def test_who_dies_during_a_reload_has_a_stopgap_until_the_new_one_serves(tmp_path: Path) -> None:
    goes_on = tmp_path / "goes-on"
    program = [sys.executable, "-c", _SLOWLY_RELOADING, str(goes_on)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, start_new_session=True) as node:
        try:
            assert node.stdout is not None
            out = node.stdout

            def told() -> list[str]:
                return out.readline().decode().split()

            born, number, is_stopgap, pid = told()
            assert (born, number, is_stopgap, told()) == ("born", "1", "False", ["ready"])
            node.send_signal(signal.SIGHUP)
            assert told()[:3] == ["born", "2", "False"]
            os.kill(int(pid), signal.SIGKILL)
            assert told() == ["buried", "1"]
            assert told()[:3] == ["born", "3", "True"]
            goes_on.touch()
            assert sorted([told(), told()]) == [["buried", "3"], ["reloaded"]]
            node.send_signal(signal.SIGTERM)
            assert sorted([told(), told()]) == [["buried", "2"], ["stopping"]]
            assert node.wait(30) == 0
        finally:
            _end(node)


def test_workers_end_at_a_reload_only_when_the_new_ones_serve() -> None:
    program = [sys.executable, "-c", _RELOADING]
    with subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as node:
        try:
            assert node.stdout is not None
            assert node.stderr is not None

            def told(number: int) -> list[str]:
                return sorted(node.stdout.readline().decode().strip() for _ in range(number))

            assert told(1) == ["ready"]
            node.send_signal(signal.SIGHUP)  # the newcomers: births 3 and 4
            assert told(3) == [
                "buried 3",
                "buried 4",
                "not reloaded: the new worker 1 ended by exit status 70",
            ]
            node.send_signal(signal.SIGHUP)  # births 5 and 6
            assert told(3) == ["buried 1", "buried 2", "reloaded"]
            node.send_signal(signal.SIGHUP)
            while "nobody foresaw this" not in node.stderr.readline().decode():
                pass
            node.send_signal(signal.SIGTERM)
            assert told(3) == ["buried 5", "buried 6", "stopping"]
            assert node.wait(30) == 0
        finally:
            _end(node)
