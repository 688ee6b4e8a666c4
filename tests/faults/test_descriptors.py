"""No file descriptor left for real (EMFILE, ENFILE): clients are put off, no processor burns, and all goes on
by itself when there are some again.
"""

import errno
import os
import resource
import socket
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.crash import processes
from tests.faults.conftest import Scene, World
from tests.node.talk import Talk
from tests.support.node import HOST, wait_until

pytestmark = [pytest.mark.crash, pytest.mark.timeout(240)]

KNOCKS = 40


def workers(scene: Scene) -> list[int]:
    assert scene.node.process is not None
    return processes.children(scene.node.process.pid)


def leave_none(pid: int) -> None:
    """Lower the limit of a living process to what it has open: it gets not one more."""
    numbers = {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    lowest_free = next(number for number in range(len(numbers) + 1) if number not in numbers)
    limit(pid, lowest_free)


def limit(pid: int, files: int) -> None:
    hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(files, hard), hard))


def knock(port: int) -> str:
    """How somebody new is received: "220", "421", "closed", or "nothing" for long."""
    try:
        with socket.create_connection((HOST, port), timeout=15) as sock:
            return sock.recv(3).decode() or "closed"
    except TimeoutError:
        return "nothing"
    except ConnectionError:
        return "closed"


def knock_often(port: int) -> Counter[str]:
    """Knock until nobody answers, or often."""
    said: Counter[str] = Counter()
    while said.total() < KNOCKS and not said["nothing"]:
        said[knock(port)] += 1
    return said


def spent(pids: list[int]) -> float:
    return sum(map(processes.cpu_seconds, pids))


def come_to_rest(pids: list[int]) -> None:
    """Wait until processes that have nothing to do hardly work, over three seconds."""

    def rest() -> bool:
        before = spent(pids)
        time.sleep(3)
        took = spent(pids) - before
        print(f"\n{took:.2f} s of three")
        return took < 0.9

    wait_until(rest, "processes that rest")


def begin(scene: Scene, sessions: int) -> list[Talk]:
    scene.node.set_up()
    scene.node.start()
    wait_until(lambda: len(workers(scene)) == 2, "two workers")
    scene.wait_for_words("all workers serve")
    talks = [scene.session() for _ in range(sessions)]
    for talk in talks:
        assert scene.send(talk).startswith("250")
    scene.wait_until_arrived()
    return talks


def end(scene: Scene, talks: list[Talk], former: list[int]) -> None:
    """Everybody is let in again, all that was promised arrives, nobody died."""
    wait_until(lambda: knock_often(scene.node.ports.submission)["220"] == KNOCKS, "all let in")
    for talk in [*talks, scene.session()]:
        scene.send_until(talk, "250")
    scene.wait_until_arrived()
    wait_until(scene.is_up_to_date, "an empty queue")
    assert scene.node.json("queue", "verify") == []
    assert workers(scene) == former


def test_a_limit_that_is_lowered_under_living_workers(scene: Scene) -> None:
    talks = begin(scene, 6)
    former = workers(scene)
    scene.sink.kill()
    for talk in talks:
        assert scene.send(talk).startswith("250")

    port = scene.node.ports.submission

    def nobody_is_let_in() -> bool:
        # What a worker closes meanwhile, a call to the next hop say, is room for somebody; and what it had
        # closed just then may be below what it frees by resting, which is too high for it from now on.
        for pid in former:
            limit(pid, 10_000)
        wait_until(lambda: knock_often(port)["220"] == KNOCKS, "all let in")
        for pid in former:
            leave_none(pid)
        said = knock_often(port)
        print(f"\n{said}")
        return set(said) <= {"421", "closed"}

    wait_until(nobody_is_let_in, "nobody is let in", patience=120)
    for talk in talks:
        reply = scene.send(talk)
        assert reply[:3] in {"250", "421", "451", "452"}, reply
    come_to_rest(former)
    scene.wait_for_words("open files are allowed now")
    scene.sink.start()
    for pid in former:
        limit(pid, 10_000)
    end(scene, talks, former)


@pytest.mark.parametrize(
    "error", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS], ids=lambda e: errno.errorcode[e]
)
def test_the_system_has_none(scene: Scene, world: World, error: int) -> None:
    talks = begin(scene, 6)
    former = workers(scene)
    scene.sink.kill()
    for talk in talks:
        assert scene.send(talk).startswith("250")
    world.use_up_descriptors(error)
    strangers = [
        socket.create_connection((HOST, scene.node.ports.submission), timeout=60)
        for _ in range(KNOCKS)
    ]
    for talk in talks:
        reply = scene.send(talk)
        assert reply[:3] in {"250", "421", "451", "452"}, reply
    scene.wait_for_words("nobody can be let in")
    come_to_rest(former)
    world.use_up_descriptors(0)
    scene.sink.start()
    said = Counter(sock.recv(3).decode() or "closed" for sock in strangers)
    print(f"\n{said}")
    assert set(said) <= {"220", "closed"}
    end(scene, talks, former)
    for sock in strangers:
        sock.close()


def test_a_supervisor_that_cannot_bear_a_worker(scene: Scene) -> None:
    talks = begin(scene, 1)
    assert scene.node.process is not None
    supervisor = scene.node.process.pid
    leave_none(supervisor)
    for pid in workers(scene):
        os.kill(pid, 9)
    scene.wait_for_words("could not be born")
    come_to_rest([supervisor])
    limit(supervisor, 10_000)
    wait_until(lambda: len(workers(scene)) == 2, "two workers")
    talks[0].close()
    end(scene, [], workers(scene))
