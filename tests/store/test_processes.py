"""Several processes on one store: leases, kill -9, a disk that is full."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatepost.model.ids import SubmissionId, WorkerId
from gatepost.store.queue_view import QueueFilter
from gatepost.store.segments import segments
from gatepost.store.sqlite import open_sqlite
from gatepost.store.verify import verify
from tests.store.a_worker import octets_of
from tests.store.makers import NOON, delivery, submission

ROOT = Path(__file__).parents[2]
WORKER = WorkerId("node/1/9")


class Workers:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.running: list[subprocess.Popen[str]] = []

    def start(self, verb: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.store.a_worker", verb, str(self.directory)]
        started = subprocess.Popen(
            [*command, str(len(self.running))],
            cwd=ROOT, env={"PYTHONPATH": f"{ROOT}/src:{ROOT}"},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.running.append(started)
        return started

    def stop(self) -> None:
        for process in self.running:
            process.kill()
            process.communicate()


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    made = Workers(tmp_path)
    yield made
    made.stop()


def finished(process: "subprocess.Popen[str]") -> list[str]:
    out, errors = process.communicate(timeout=150)
    assert process.returncode == 0, errors
    return out.split()


async def test_two_processes_never_get_the_same_delivery(workers, tmp_path):
    store = await open_sqlite(tmp_path, WORKER)
    message = submission()
    ways = [delivery(message, f"{n}@y.example") for n in range(400)]
    job = lambda transaction: transaction.add_deliveries(message, ways)  # noqa: E731
    await store.write(job, (message.id, (b"x",)))
    running = [workers.start("drain") for _ in range(3)]
    got = [name for process in running for name in finished(process)]
    assert len(got) == len(set(got)) == 400
    assert set(got) == {way.id for way in ways}
    rows = await store.read(lambda r: r.deliveries(QueueFilter(id=message.id), limit=999))
    assert {(row.delivery.attempts, row.delivery.leases) for row in rows} == {(1, 1)}
    assert await store.read(lambda r: r.content(message.id)) is None
    assert await verify(store) == []
    await store.close()


@pytest.mark.crash
async def test_what_a_killed_process_called_durable_is_there(workers, tmp_path):
    told: set[str] = set()
    for _ in range(3):
        killed, other = workers.start("accept"), workers.start("accept")
        for process in (killed, other):
            for _ in range(100):
                told.add(process.stdout.readline().strip())
        killed.kill()
        other.kill()
        for process in (killed, other):
            # A line may be torn: only whole ones were said.
            told.update(line.strip() for line in process.stdout if line.endswith("\n"))
    store = await open_sqlite(tmp_path, WORKER)
    assert len(told) >= 600
    for name in told:
        found = await store.read(lambda r, name=name: r.content(SubmissionId(name)))
        assert found == octets_of(name)
    assert await verify(store) == []
    # Octets of unfinished batches are garbage beside them, and no harm.
    before = segments(tmp_path / "content")
    await store.tidy(NOON)
    assert await verify(store) == []
    assert len(before) == 6
    await store.close()


async def test_a_full_disk_is_said_and_recovered_from(workers, tmp_path):
    (name,) = finished(workers.start("full"))
    store = await open_sqlite(tmp_path, WORKER)
    assert await store.read(lambda r: r.content(SubmissionId(name))) == octets_of(name)
    assert await verify(store) == []
    await store.close()
