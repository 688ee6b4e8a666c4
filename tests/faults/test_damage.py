"""A damaged database, a torn write-ahead log, a journal that goes away: at rest and while running."""

import os
from pathlib import Path

import pytest

from gatepost.store.evidence import REASONS
from tests.faults.conftest import Scene, events
from tests.support.node import wait_until
from tests.support.write_ahead_log import copy_log_in

pytestmark = [pytest.mark.crash, pytest.mark.timeout(240)]

PAGE = 4096


def waiting(scene: Scene, count: int) -> None:
    """Set up a node with accepted mail that waits for the next hop."""
    scene.node.set_up()
    scene.node.start()
    scene.sink.kill()
    talk = scene.session()
    for _ in range(count):
        assert scene.send(talk).startswith("250")
    talk.close()


def database(scene: Scene) -> Path:
    return scene.node.data_dir / "gatepost.db"


def repaired(scene: Scene) -> str:
    done = scene.node.run("store", "repair", check=False)
    assert done.returncode in {0, 1}, done.stderr
    print(f"\n{done.stdout}")
    return done.stdout


def test_serve_names_the_repair_and_the_repair_brings_the_mail_back(scene: Scene) -> None:
    waiting(scene, 30)
    assert scene.node.run("store", "repair", check=False).returncode == 2, "a server runs"
    scene.node.stop()
    copy_log_in(database(scene))
    with database(scene).open("r+b") as file:
        file.write(b"damaged " * (PAGE // 8))
    damaged = database(scene).read_bytes()
    refusal = scene.refusal()
    assert str(database(scene)) in refusal
    assert 'run "gatepost store repair"' in refusal
    said = repaired(scene)
    assert "30 messages, 30 deliveries in the queue" in said
    (kept,) = scene.node.data_dir.glob("damaged-*")
    assert (kept / "gatepost.db").read_bytes() == damaged
    scene.sink.start()
    scene.node.start()
    assert scene.send(scene.session()).startswith("250")
    scene.wait_until_arrived()
    wait_until(scene.is_up_to_date, "an empty queue")
    assert scene.node.json("queue", "verify") == []


def test_pages_that_rot_while_the_node_runs(scene: Scene) -> None:
    waiting(scene, 30)
    talk = scene.session()
    with database(scene).open("r+b") as file:
        for page in range(1, os.fstat(file.fileno()).st_size // PAGE):
            file.seek(page * PAGE)
            file.write(b"\xa5" * 16)
    scene.sink.start()
    replies = [scene.send(talk) for _ in range(3)]
    assert all(reply[:3] in {"250", "451"} for reply in replies), replies
    scene.node.stop()
    repaired(scene)
    scene.node.start()
    assert scene.node.run("queue", "list").returncode == 0


@pytest.mark.parametrize("how", ["torn", "removed"])
def test_a_log_that_is_lost_loses_no_mail_and_nothing_is_sent_twice(scene: Scene, how: str) -> None:
    scene.node.set_up()
    scene.node.start()
    talk = scene.session()
    assert all(scene.send(talk).startswith("250") for _ in range(30))
    scene.wait_until_arrived()
    scene.sink.kill()
    assert all(scene.send(talk).startswith("250") for _ in range(20))
    scene.node.kill()
    log = scene.node.data_dir / "gatepost.db-wal"
    size = log.stat().st_size
    if how == "removed":
        log.unlink()
    else:
        with log.open("r+b") as file:
            file.seek(size // 2)
            file.write(os.urandom(size - size // 2))
    refusal = scene.refusal()
    assert "is older than what lies beside it" in refusal
    assert 'run "gatepost store repair"' in refusal.lower()
    repaired(scene)
    scene.sink.start()
    scene.node.start()
    held = {row["recipient"] for row in scene.node.json("queue", "list", "--state", "held")}

    def waits_for_nobody_else() -> bool:
        return {f"{name}@next.test" for name in scene.missing()} <= held

    wait_until(waits_for_nobody_else, "all mail that is not held at the next hop")
    for reason in REASONS:
        words = ("queue", "release", "--yes", "--reason", reason)
        scene.node.run(*words, check=False)
    scene.wait_until_arrived()
    wait_until(scene.is_up_to_date, "an empty queue")
    names = [copy.id for copy in scene.sink.arrivals().copies]
    twice = {name for name in names if names.count(name) > 1}
    assert {f"{name}@next.test" for name in twice} <= held
    assert scene.node.json("queue", "verify") == []


def test_the_journal_goes_on_when_its_file_is_cut_moved_or_removed(scene: Scene) -> None:
    scene.node.set_up()
    scene.node.start()
    talk = scene.session()
    directory = scene.node.data_dir / "journal"

    def positions() -> list[int]:
        return [event["position"] for event in events(directory)]

    def kinds_after(position: int) -> list[int]:
        return [at for at in positions() if at > position]

    assert scene.send(talk).startswith("250")
    scene.wait_until_arrived()
    wait_until(lambda: bool(positions()), "a journal")
    for spoil in ("cut", "move", "remove"):
        last = max(positions(), default=0)
        file = max(directory.glob("*.jsonl"))
        if spoil == "cut":  # at the end of a line, in one step: its writer is at work
            octets = file.read_bytes()
            os.truncate(file, octets.rfind(b"\n", 0, len(octets) // 2 + 1) + 1)
        elif spoil == "move":
            file.rename(file.with_suffix(".1"))
        else:
            file.unlink()
        assert scene.send(talk).startswith("250")
        wait_until(lambda last=last: len(kinds_after(last)) >= 2, f"events after: {spoil}")
        found = kinds_after(last)
        assert found == sorted(set(found))
        scene.wait_until_arrived()
