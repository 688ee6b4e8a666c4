"""Risk trial: do several processes share one SQLite file, each with its own content segment?

Every process has an event loop with CALLERS waiting callers and one writer thread (group commit):
append contents to its own segment, fdatasync, flock, BEGIN IMMEDIATE, rows, COMMIT, unlock.

    python bench/trials/two_workers.py [DIRECTORY] [--workers 2] [--seconds 5]

Prints per process: commits/s, messages/s, CPU-s per 1000 messages, longest wait of a caller and
the 99th percentile; then the ratio of the slowest process to the fastest.
"""

import argparse
import asyncio
import fcntl
import json
import os
import queue
import tempfile
import threading
import time
import zlib
from pathlib import Path

import apsw

CALLERS = 50
CONTENT = os.urandom(10_240)


def connect(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(5000)
    for pragma in ("journal_mode=wal", "synchronous=full", "wal_autocheckpoint=0"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection


class Writer(threading.Thread):
    """Commits what waits, as one batch."""

    def __init__(self, directory: Path, number: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(daemon=True)
        self.jobs: queue.SimpleQueue = queue.SimpleQueue()
        self.loop, self.number, self.offset, self.commits = loop, number, 0, 0
        self.longest_held = 0.0
        self.lock = os.open(directory / "store.lock", os.O_RDWR | os.O_CREAT, 0o600)
        self.segment = os.open(directory / f"{number}.seg", os.O_WRONLY | os.O_CREAT, 0o600)
        self.connection = connect(directory / "trial.db")

    def run(self) -> None:
        while True:
            batch = [self.jobs.get()]
            while len(batch) < 256 and not self.jobs.empty():
                batch.append(self.jobs.get_nowait())
            os.pwritev(self.segment, [CONTENT] * len(batch), self.offset)
            crc = [zlib.crc32(CONTENT) for _ in batch]
            os.fdatasync(self.segment)
            fcntl.flock(self.lock, fcntl.LOCK_EX)
            taken = time.monotonic()
            self.connection.execute("BEGIN IMMEDIATE")
            rows = [(f"{self.number}", self.offset, len(CONTENT), c, time.time()) for c in crc]
            self.connection.executemany("INSERT INTO message VALUES (NULL, ?, ?, ?, ?, ?)", rows)
            self.connection.execute("COMMIT")
            self.longest_held = max(self.longest_held, time.monotonic() - taken)
            fcntl.flock(self.lock, fcntl.LOCK_UN)
            self.offset += len(CONTENT) * len(batch)
            self.commits += 1
            self.loop.call_soon_threadsafe(lambda b=batch: [f.set_result(None) for f in b])


async def work(directory: Path, number: int, seconds: float, start_at: float) -> dict:
    loop = asyncio.get_running_loop()
    writer = Writer(directory, number, loop)
    writer.start()
    waits: list[float] = []
    await asyncio.sleep(max(0.0, start_at - time.time()))
    began, cpu = time.monotonic(), time.process_time()

    async def caller() -> None:
        while (asked := time.monotonic()) < began + seconds:
            future = loop.create_future()
            writer.jobs.put(future)
            await future
            waits.append(time.monotonic() - asked)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    spent = time.monotonic() - began
    waits.sort()
    return {
        "worker": number,
        "messages/s": round(len(waits) / spent),
        "commits/s": round(writer.commits / spent),
        "cpu_s_per_1000": round((time.process_time() - cpu) / len(waits) * 1000, 4),
        "wait_ms_p50": round(waits[len(waits) // 2] * 1000, 2),
        "wait_ms_p99": round(waits[len(waits) * 99 // 100] * 1000, 2),
        "wait_ms_longest": round(waits[-1] * 1000, 1),
        "lock_held_ms_longest": round(writer.longest_held * 1000, 1),
    }


def checkpoint(directory: Path, stop: float) -> None:
    connection = connect(directory / "trial.db")
    while time.time() < stop:
        time.sleep(0.25)
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", nargs="?")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.directory) as name:
        directory = Path(name)
        connection = connect(directory / "trial.db")
        connection.execute(
            "CREATE TABLE message (id INTEGER PRIMARY KEY, segment, offset, length, crc, at)"
        )
        connection.close()
        start_at = time.time() + 0.5
        pipes = []
        for number in range(given.workers):
            reader, writer = os.pipe()
            if os.fork() == 0:
                result = asyncio.run(work(directory, number, given.seconds, start_at))
                os.write(writer, json.dumps(result).encode())
                os._exit(0)
            os.close(writer)
            pipes.append(reader)
        checkpoint(directory, start_at + given.seconds)
        results = [json.loads(os.read(pipe, 65536)) for pipe in pipes]
        for result in results:
            print(json.dumps(result))
        rates = [result["messages/s"] for result in results]
        connection = connect(directory / "trial.db")
        rows = connection.execute("SELECT count(*) FROM message").get
        print(f"all: {sum(rates)} messages/s, slowest/fastest {min(rates) / max(rates):.2f}", rows)


if __name__ == "__main__":
    main()
