"""Ctrl-Z on a command that writes: it stops, and its neighbours go on."""

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

from gatepost.model.ids import WorkerId
from gatepost.store.sqlite import open_sqlite
from gatepost.store.sqlite_place import LOCK
from tests.support.node import wait_until

SCRIPT = """
import asyncio, pathlib, sys
from gatepost.model.ids import WorkerId
from gatepost.store.sqlite import open_sqlite
from gatepost.store.unstoppable import stop_between_batches

def job(_):
    print("inside", flush=True)
    sys.stdin.readline()

async def main():
    store = await open_sqlite(pathlib.Path(sys.argv[1]), WorkerId("cli/1/0"))
    await store.write(job)
    await store.close()

stop_between_batches()
asyncio.run(main())
"""


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


async def test_a_command_that_is_stopped_holds_up_nobody(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path, WorkerId("node/1/0"))
    await store.close()
    command = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert command.stdout is not None
        assert command.stdout.readline() == b"inside\n"
        # A group without a terminal is orphaned: the kernel would not stop it by SIGTSTP itself.
        os.kill(command.pid, signal.SIGTSTP)
        assert command.stdin is not None
        command.stdin.write(b"go on\n")
        command.stdin.flush()
        wait_until(lambda: is_stopped(command.pid), "the stop")
        lock = os.open(tmp_path / LOCK, os.O_RDWR)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(lock)
        os.kill(command.pid, signal.SIGCONT)
        assert command.wait(30) == 0
    finally:
        command.kill()
        command.wait()
