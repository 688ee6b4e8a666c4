"""Disks that are full or read-only elsewhere than under the store: maildirs, the journal, certificates."""

import errno
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash import processes
from tests.faults.conftest import Disk, Scene, World, events
from tests.node.talk import Talk, anyone
from tests.support.node import Node, wait_until

FULL = "452 4.3.1 "

pytestmark = [pytest.mark.crash, pytest.mark.timeout(240)]

MakeDisk = Callable[..., Disk]

LOCAL = """
[[local_domains]]
name = "local.test"
mailboxes = ["alice", "bob"]
deliver_to = "maildir:mail"

[retry]
first = "200 ms"
longest = "1 s"
"""
BIG = b"0123456789abcdef" * 4 + b"\r\n"


def begin(scene: Scene) -> Path:
    """A node that delivers into maildirs; where they lie."""
    scene.node.settings = LOCAL
    scene.node.set_up()
    scene.node.start()
    return scene.node.data_dir / "mail"


def hand_in(scene: Scene, name: str, octets: int = 200_000) -> None:
    with Talk(scene.node.ports.mx) as talk:
        talk.hello()
        talk.envelope("s@else.test", f"{name}@local.test")
        body = BIG * (octets // len(BIG))
        assert talk.message(b"Subject: x\r\n\r\n" + body).startswith("250")


def files(maildir: Path, part: str) -> list[Path]:
    return sorted((maildir / part).iterdir()) if (maildir / part).is_dir() else []


def trouble(scene: Scene) -> list[str]:
    return [row["reason"] for row in scene.node.json("queue", "list")]


@pytest.mark.parametrize("how", ["full", "no names", "read-only"])
def test_a_maildir_that_takes_nothing(scene: Scene, make_disk: MakeDisk, how: str) -> None:
    disk = make_disk(scene.node.data_dir / "mail", size="4m", inodes=60)
    place = begin(scene)
    hand_in(scene, "alice")
    wait_until(lambda: len(files(place / "alice", "new")) == 1, "the first message")
    (first,) = files(place / "alice", "new")
    if how == "full":
        disk.fill(leave=100_000)  # the beginning of a message has room
    elif how == "no names":
        disk.use_up_names()
    else:
        disk.remount("ro")
    hand_in(scene, "alice")
    hand_in(scene, "bob")  # whose maildir is not there yet
    tried = {"full": "no space left", "no names": "no space left", "read-only": "read-only"}[how]
    wait_until(lambda: sum(tried in words for words in trouble(scene)) == 2, "both are told of")
    # Mail for others goes on meanwhile, and nothing half-written is seen by readers.
    assert files(place / "alice", "new") == [first]
    assert files(place / "bob", "new") == []
    if how == "full":
        disk.relieve()
    elif how == "no names":
        disk.free_names()
    else:
        disk.remount("rw")
    wait_until(lambda: len(files(place / "alice", "new")) == 2, "the second message")
    wait_until(lambda: len(files(place / "bob", "new")) == 1, "bob's message")
    wait_until(scene.is_up_to_date, "an empty queue")
    sizes = {file.stat().st_size for file in files(place / "alice", "new")}
    assert min(sizes) > 190_000, "whole messages"
    for mailbox in ("alice", "bob"):
        assert files(place / mailbox, "tmp") == []
    assert scene.node.json("queue", "verify") == []


def writer_waits(scene: Scene) -> bool:
    """Tell whether the log says so of the worker that writes; the other asks for the lock in vain."""
    lines = scene.node.log.read_text().splitlines()
    return any("the journal waits" in line and "/lock'" not in line for line in lines)


@pytest.mark.parametrize("error", [0, errno.EROFS, errno.EIO], ids=["full", "EROFS", "EIO"])
def test_a_journal_that_cannot_be_written(
    scene: Scene, world: World, make_disk: MakeDisk, error: int
) -> None:
    directory = scene.node.data_dir / "journal"
    disk = make_disk(directory, size="1m")
    scene.node.surroundings["WORLD_BELOW"] = str(directory)
    scene.node.set_up()
    scene.node.start()
    talk = scene.session()
    assert scene.send(talk).startswith("250")
    scene.wait_until_arrived()
    wait_until(lambda: len(events(directory)) >= 3, "a journal")
    if error:
        world.break_disk(error)
    else:
        disk.fill(leave=0)
    for _ in range(20):
        assert scene.send(talk).startswith("250")
    scene.wait_until_arrived()
    wait_until(lambda: writer_waits(scene), "the worker that writes the journal waits")
    wait_until(scene.is_up_to_date, "an empty queue")
    if error:
        world.break_disk(0)
    else:
        disk.relieve()

    def delivered() -> int:
        return sum(event["kind"] == "delivery.delivered" for event in events(directory))

    wait_until(lambda: delivered() >= len(scene.promised), "every event in the journal")
    # At least once, in order: a batch that failed half-way may come again, and no line is torn.
    positions = list(dict.fromkeys(event["position"] for event in events(directory)))
    assert positions == sorted(positions)
    scene.wait_for_words("the journal is written again")


def test_certificates_that_cannot_be_read_for_a_while(scene: Scene, make_disk: MakeDisk) -> None:
    """A disk for them that is away and comes back: the former ones stay, and the new ones are taken."""
    node = scene.node
    disk = make_disk(node.directory / "tls")
    node.set_up()
    for name in ("cert.pem", "key.pem"):
        shutil.move(node.directory / name, disk.path / name)
        (node.directory / name).symlink_to(disk.path / name)
    node.start()
    wait_until(lambda: "all workers serve" in node.log.read_text(), "both workers")
    (disk.path / "key.pem").write_bytes(b"")  # as an editor leaves it on a full disk
    scene.wait_for_words("certificate not taken over, the former one stays")
    assert scene.send(scene.session()).startswith("250")
    subprocess.run(["umount", "-l", disk.path], check=True, timeout=30)
    with Talk(node.ports.submissions, tls=anyone()) as talk:
        talk.hello()
    subprocess.run(["mount", "-t", "tmpfs", "gatepost-test", disk.path], check=True, timeout=30)
    node.run("init", str(disk.path / "fresh"))
    begin = len(node.log.read_text())
    for name in ("key.pem", "cert.pem"):
        (disk.path / "fresh" / name).rename(disk.path / name)
    wait_until(lambda: "certificates reloaded" in node.log.read_text()[begin:], "new certificates")
    assert scene.send(scene.session()).startswith("250")
    scene.wait_until_arrived()


def _are_two_others(node: Node, former: list[int]) -> bool:
    assert node.process is not None
    found = processes.children(node.process.pid)
    return len(found) == 2 and found != former


@pytest.mark.parametrize("error", [0, errno.EROFS, errno.EIO], ids=["full", "EROFS", "EIO"])
def test_a_log_that_cannot_be_written(
    scene: Scene, world: World, make_disk: MakeDisk, error: int
) -> None:
    node = scene.node
    directory = node.directory / "logs"
    disk = make_disk(directory, size="1m")
    node.log.symlink_to(directory / "serve.log")
    scene.node.surroundings["WORLD_BELOW"] = str(directory)
    node.set_up()
    node.start()
    scene.wait_for_words("all workers serve")
    assert node.process is not None
    if error:
        world.break_disk(error)
    else:
        with node.log.open("ab") as log:  # its last page has no room, either
            log.write(b"\n" * (-node.log.stat().st_size % resource.getpagesize()))
        disk.fill(leave=0)
    for number in range(2):
        former = processes.children(node.process.pid)
        os.kill(former[number], signal.SIGKILL)  # which is told of
        wait_until(lambda former=former: _are_two_others(node, former), "another worker")
    assert scene.send(scene.session()).startswith("250")
    if error:
        world.break_disk(0)
    else:
        disk.relieve()
    os.kill(processes.children(node.process.pid)[0], signal.SIGKILL)
    scene.wait_for_words("lines of this log were lost")
    assert scene.send(scene.session()).startswith("250")
    scene.wait_until_arrived()
    assert node.stop() == 0


def test_a_stop_with_nowhere_to_say_so(scene: Scene, make_disk: MakeDisk) -> None:
    node = scene.node
    disk = make_disk(node.directory / "logs", size="1m")
    node.log.symlink_to(disk.path / "serve.log")
    node.set_up()
    node.start()
    scene.wait_for_words("all workers serve")
    disk.fill(leave=0)
    assert scene.send(scene.session()).startswith("250")
    scene.wait_until_arrived()
    assert node.stop() == 0


def test_a_restart_on_a_full_disk(scene: Scene, make_disk: MakeDisk) -> None:
    node = scene.node
    disk = make_disk(node.data_dir)
    node.set_up()
    node.start()
    scene.wait_for_words("all workers serve")
    disk.fill(leave=0)
    node.restart()  # what a server says of itself takes no more room
    assert scene.send(scene.session()).startswith(FULL)
    disk.relieve()
    node.restart()
    scene.send_until(scene.session(), "250")
    scene.wait_until_arrived()
