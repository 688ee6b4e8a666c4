"""What reaches a worker in the moment of its birth."""

import contextlib
import os
import signal
import subprocess
import sys

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
