"""Too few open files: nobody is cut off, no processor burns, and mail still goes out."""

import socket
from collections import Counter
from contextlib import ExitStack

import pytest

from tests.crash import processes
from tests.faults.conftest import Scene
from tests.node.talk import Talk
from tests.support.node import HOST, on_all_workers, wait_until

pytestmark = [pytest.mark.crash, pytest.mark.timeout(240)]

FEW = 150
#: From how many addresses of loopback the crowd comes: one alone has a cap of its own.
ADDRESSES = 20
CROWD = 600


def greeting(sock: socket.socket) -> str:
    try:
        return sock.recv(200).decode()[:10] or "closed"
    except BlockingIOError:
        return ""
    except OSError:
        return "closed"


def is_let_in(port: int) -> bool:
    with Talk(port) as talk:
        return talk.reply().startswith("220 ")


def test_a_crowd_that_takes_all_it_can_get(scene: Scene) -> None:
    node = scene.node
    node.open_files = FEW
    node.set_up()
    node.start()
    scene.wait_for_words(f"{FEW} open files per process allow 108: others are put off (421)")
    talks = [scene.session() for _ in range(4)]
    assert node.process is not None
    workers = processes.children(node.process.pid)
    with ExitStack() as stack:
        crowd = []
        for number in range(CROWD):
            sock = stack.enter_context(socket.socket())
            sock.bind((f"127.0.0.{number % ADDRESSES + 2}", 0))
            sock.setblocking(False)
            sock.connect_ex((HOST, node.ports.submission))
            crowd.append(sock)
        said: Counter[str] = Counter()
        left = list(crowd)

        def all_answered() -> bool:
            for sock in list(left):
                if word := greeting(sock):
                    said[word] += 1
                    left.remove(sock)
            return not left

        wait_until(all_answered, "an answer for everybody")
        print(f"\n{said}")
        assert said["220 relay."] <= 108
        assert said["421 4.3.2 "] + said["closed"] >= CROWD - 108
        before = sum(map(processes.cpu_seconds, workers))
        for _ in range(20):
            for talk in talks:
                assert scene.send(talk).startswith("250")
        scene.wait_until_arrived()
        spent = sum(map(processes.cpu_seconds, workers)) - before
        assert spent < 5, f"{spent:.1f} s for 80 messages"
        assert processes.children(node.process.pid) == workers
    on_all_workers(lambda: is_let_in(node.ports.submission), "room for others again")
    assert scene.send(scene.session()).startswith("250")
    scene.wait_until_arrived()


def test_too_few_to_begin_with(scene: Scene) -> None:
    scene.node.open_files = 40
    scene.node.set_up()
    with pytest.raises(AssertionError, match="serve ended") as problem:
        scene.node.start()
    assert "40 open files per process are too few, 128 the least; raise" in str(problem.value)
