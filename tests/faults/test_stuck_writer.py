"""A store's writer that never comes back ends its process; one whom the world keeps waiting ends nobody."""

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.crash import processes
from tests.faults.conftest import Scene, World
from tests.node.talk import Talk
from tests.support.node import wait_until
from tests.support.programs import need

pytestmark = [pytest.mark.crash, pytest.mark.timeout(240)]

#: Seconds after which a process is held for hung, in these tests: less than clients wait for an answer.
HUNG = 12
SHORT = f"from gatepost.node import watchdog\nwatchdog.HUNG = {HUNG}.0\n"
AWAY = "451 4.3.0 "


def begin(scene: Scene) -> list[int]:
    """Start a node that is quick to call a process hung; return its workers."""
    scene.node.prelude = SHORT
    scene.node.set_up()
    scene.node.start()
    scene.wait_for_words("all workers serve")
    return workers(scene)


def workers(scene: Scene) -> list[int]:
    assert scene.node.process is not None
    return processes.children(scene.node.process.pid)


def end(scene: Scene) -> None:
    """Mail goes on, all that was promised arrives, and the store is whole."""
    scene.send_until(scene.session(), "250")
    scene.wait_until_arrived()
    wait_until(scene.is_up_to_date, "an empty queue")
    assert scene.node.json("queue", "verify") == []


def answer(scene: Scene, talk: Talk) -> str:
    talk.socket.settimeout(60)
    try:
        return scene.send(talk)[:3] or "gone"
    except (OSError, AssertionError):
        return "gone"


def test_a_deadlocked_writer_ends_its_worker_and_no_other(scene: Scene, world: World) -> None:
    former = begin(scene)
    talks = [scene.session() for _ in range(12)]
    for talk in talks:
        assert scene.send(talk).startswith("250")
    scene.wait_until_arrived()
    # One worker may have taken nearly all of them; nobody would miss the other.
    other, stuck = sorted(former, key=processes.sockets)
    world.deadlock(stuck)  # amid a commit: it holds the lock for which the other worker waits
    with ThreadPoolExecutor(len(talks)) as pool:
        said = list(pool.map(lambda talk: answer(scene, talk), talks))
    print(f"\n{said}")
    assert "gone" in said
    assert set(said) <= {"250", "451", "gone"}
    scene.wait_for_words(f"has hung for {HUNG} s; killed")
    assert "it does not get on, and waits for nothing" in scene.node.log.read_text()
    wait_until(lambda: len(workers(scene)) == 2, "another in its place")
    assert other in workers(scene)
    assert stuck not in workers(scene)
    end(scene)


@contextmanager
def frozen(place: Path) -> Iterator[None]:
    """Let a file system take no change, as a machine's snapshot does, or a disk that is gone."""
    subprocess.run([need("fsfreeze"), "--freeze", place], check=True, timeout=30)
    try:
        yield
    finally:
        subprocess.run([need("fsfreeze"), "--unfreeze", place], check=True, timeout=30)


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """Let another process sit on the store's lock."""
    lock = os.open(place / "store.lock", os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


@pytest.mark.alone
@pytest.mark.parametrize("how", [frozen, locked], ids=lambda how: how.__name__)
def test_nobody_is_killed_for_what_the_world_keeps_waiting(scene: Scene, ext4: Path, how) -> None:
    former = begin(scene)
    talks = [scene.session() for _ in range(6)]
    for talk in talks:
        assert scene.send(talk).startswith("250")
    with how(scene.node.data_dir):
        for patience in (60, 5):  # who comes later hears it at once
            asked = time.monotonic()
            with ThreadPoolExecutor(len(talks)) as pool:
                said = list(pool.map(lambda talk: answer(scene, talk), talks))
            took = time.monotonic() - asked
            print(f"\n{said} after {took:.1f} s")
            assert said == ["451"] * len(talks)
            assert took < patience
        assert "has hung" not in scene.node.log.read_text()
        assert workers(scene) == former
    end(scene)
    assert workers(scene) == former
    assert "has hung" not in scene.node.log.read_text()
