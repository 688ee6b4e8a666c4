"""A node whose state lies on a small disk of its own, a next hop, and a client that keeps count."""

import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.crash.conftest import SinkProcess
from tests.node.talk import Talk, plain, upgraded
from tests.support.node import Node, wait_until
from tests.support.programs import need, no_rights

SETTINGS = """
[[routes]]
match = ["*"]
via = "smtp:127.0.0.1:{port}"
tls = "never"

[retry]
first = "200 ms"
longest = "1 s"
"""
MEBI = 2**20


@dataclass(frozen=True, slots=True)
class Disk:
    """A small tmpfs."""

    path: Path

    @property
    def free(self) -> int:
        """Octets that anybody may still write."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def fill(self, leave: int) -> None:
        """Write until no more than `leave` octets are free."""
        with self._ballast.open("ab") as file:
            while (surplus := self.free - leave) > 0:
                try:
                    os.posix_fallocate(file.fileno(), file.tell(), min(surplus, MEBI))
                except OSError:
                    return
                file.seek(0, os.SEEK_END)

    def relieve(self) -> None:
        """Take all away again that `fill` wrote."""
        self._ballast.unlink(missing_ok=True)

    def use_up_names(self) -> None:
        """Make files until there can be no more."""
        self._names.mkdir(exist_ok=True)
        for number in range(100_000):
            try:
                (self._names / str(number)).touch()
            except OSError:
                return

    def free_names(self) -> None:
        """Remove them."""
        for path in self._names.iterdir():
            path.unlink()
        self._names.rmdir()

    def remount(self, how: str) -> None:
        """Make it "ro" or "rw" under whoever uses it."""
        subprocess.run(["mount", "-o", f"remount,{how}", self.path], check=True, timeout=30)

    @property
    def _ballast(self) -> Path:
        return self.path / "ballast"

    @property
    def _names(self) -> Path:
        return self.path / "names"


@pytest.fixture
def make_disk() -> Iterator[Callable[..., Disk]]:
    """Mount small disks: make_disk(path, size="32m", inodes=1000). Needs root."""
    with ExitStack() as stack:

        def make(path: Path, *, size: str = "32m", inodes: int = 0) -> Disk:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            options = f"size={size},mode=700" + (f",nr_inodes={inodes}" if inodes else "")
            words = ["mount", "-t", "tmpfs", "-o", options, "gatepost-test", path]
            done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
            if done.returncode:
                no_rights(f"a disk of its own needs root and mount(8): {done.stderr.strip()}")
            stack.callback(subprocess.run, ["umount", "-l", path], check=True, timeout=30)
            return Disk(path)

        yield make


@dataclass(frozen=True, slots=True)
class World:
    """What `world.c` does to the programs of a node: a turned clock, a broken disk."""

    control: Path

    def turn_clock(self, seconds: int) -> None:
        """Set the time of day off by so many seconds, for all of them at once."""
        self._write(0, seconds)

    def break_disk(self, error: int) -> None:
        """Let every change of the state fail with this errno; 0: mend it."""
        self._write(1, error)

    def use_up_descriptors(self, error: int) -> None:
        """Let whatever needs a new file descriptor fail with this errno; 0: there are some again."""
        self._write(2, error)

    def deadlock(self, process: int) -> None:
        """Let who syncs the write-ahead log in this process never come back."""
        self._write(3, process)

    def _write(self, place: int, value: int) -> None:
        with self.control.open("r+b") as file:
            file.seek(8 * place)
            file.write(struct.pack("q", value))


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """world.so."""
    if not sys.platform.startswith("linux"):
        pytest.skip("LD_PRELOAD and /proc: Linux")
    built = tmp_path_factory.mktemp("world") / "world.so"
    source = Path(__file__).with_name("world.c")
    words = [need("cc"), "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", built, source, "-ldl"]
    subprocess.run(words, check=True, timeout=60)
    return built


@pytest.fixture
def world(scene: "Scene", shim: Path, tmp_path: Path) -> World:
    """Make the node of this test one of a world that can be turned upside down."""
    control = tmp_path / "world"
    control.write_bytes(bytes(32))
    scene.node.surroundings |= {
        "LD_PRELOAD": str(shim),
        "WORLD_CONTROL": str(control),
        "WORLD_BELOW": str(scene.node.data_dir),
    }
    return World(control)


@dataclass
class Scene:
    """A running node, the next hop behind it, and which recipients were promised their mail."""

    node: Node
    sink: SinkProcess
    promised: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def session(self) -> Talk:
        """Return a session that has logged in."""
        talk = upgraded(self.node.ports.submission)
        talk.must(plain(self.node.account, self.node.password), "235")
        return talk

    def send(self, talk: Talk, *, octets: int = 2000) -> str:
        """Send one message; return the first reply that is no 2xx or 3xx, or the last one."""
        number = next(self._numbers)
        name = f"m{number}"
        node = self.node
        for command in (f"MAIL FROM:<{node.account}>", f"RCPT TO:<{name}@next.test>", "DATA"):
            reply = talk.ask(command)
            if reply[:1] not in "23":
                talk.must("RSET", "250")
                return reply
        body = (b"%070d\r\n" % number) * (octets // 72 + 1)
        head = (
            f"From: <{node.account}>\r\nTo: <{name}@next.test>\r\nSubject: {name}\r\n"
            f"X-Mark: {name} {zlib.crc32(body):08x}\r\n\r\n"
        )
        reply = talk.message(head.encode() + body)
        if reply.startswith("250"):
            self.promised.append(name)
        return reply

    def missing(self) -> set[str]:
        """Return the accepted messages that have not come to the next hop, whole."""
        return set(self.promised) - {copy.id for copy in self.sink.arrivals().copies if copy.whole}

    def send_until(self, talk: Talk, beginning: str) -> str:
        """Send until a message is answered with this; return the whole reply."""
        reply = ""

        def answered() -> bool:
            nonlocal reply
            reply = self.send(talk)
            return reply.startswith(beginning)

        wait_until(answered, f"{beginning} instead of {reply}")
        return reply

    def refusal(self) -> str:
        """Start a node that cannot; return what it says."""
        done = self.node.run("serve", check=False)
        assert done.returncode == 2, done.stderr
        return done.stderr

    def wait_for_words(self, words: str) -> None:
        """Wait until the log says this."""
        wait_until(lambda: words in self.node.log.read_text(), f"{words!r} in the log")

    def is_up_to_date(self) -> bool:
        """Tell whether nothing is left in the queue."""
        return not self.node.json("queue", "list", "--limit", "1")

    def wait_until_arrived(self) -> None:
        """Wait until everybody got what was promised."""
        wait_until(lambda: not self.missing(), "all accepted mail at the next hop")


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[SinkProcess]:
    """A next hop that takes everything."""
    sink = SinkProcess(tmp_path / "journal")
    sink.start()
    yield sink
    sink.kill()


@pytest.fixture
def scene(tmp_path: Path, sink: SinkProcess) -> Iterator[Scene]:
    """A node that is set up, and not yet started: mount what it needs first."""
    node = Node(tmp_path / "node", SETTINGS.format(port=sink.port), workers=2)
    try:
        yield Scene(node, sink)
    finally:
        node.stop()


@pytest.fixture
def ext4(scene: Scene, tmp_path: Path) -> Iterator[Path]:
    """An ext4 in a file, mounted where the state lies; the file's path."""
    image = tmp_path / "image"
    place = scene.node.data_dir
    place.mkdir(parents=True, mode=0o700)
    with image.open("wb") as file:
        file.truncate(48 * MEBI)
    subprocess.run([need("mkfs.ext4"), "-q", "-F", image], check=True, timeout=30)
    if mount_image(image, place):
        no_rights("a disk of its own needs root, mount(8) and loop devices")
    yield image
    scene.node.stop()
    subprocess.run(["umount", "-l", place], check=True, timeout=30)


def events(directory: Path) -> list[dict[str, Any]]:
    """Return what a journal tells; a line that has no end yet is none."""
    found = sorted(directory.glob("*.jsonl"))
    octets = [file.read_bytes().rpartition(b"\n")[0] for file in found]
    return [json.loads(line) for each in octets for line in each.splitlines()]


def mount_image(image: Path, place: Path) -> int:
    """Mount a file with a file system in it; return the status of mount(8)."""
    return subprocess.run(["mount", "-o", "loop", image, place], timeout=30, check=False).returncode
