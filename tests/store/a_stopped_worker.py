"""A process that is stopped in the midst of a transaction: `python -m tests.store.a_stopped_worker URL HOW`.

`asked`: behind a question; `telling`: between two statements that travel together; `told`: while it
is sent more than it takes. It says so, and stops itself.
"""

import asyncio
import signal
import sys
import threading
from collections.abc import Callable, Mapping

from gatepost.model.ids import WorkerId
from gatepost.store.postgresql import open_postgresql
from gatepost.store.postgresql_connection import Address
from gatepost.store.presences import Announcement
from tests.store.makers import NOON

NAME = WorkerId("stopped/1/0")


def stop() -> None:
    print("stops", flush=True)
    # This thread takes it, before it does anything else.
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def beat(transaction) -> None:
    transaction.beat(Announcement(NAME, "stopped", "home", "1", (), NOON))


def asked(transaction) -> None:
    beat(transaction)
    transaction.presences()
    stop()


def telling(transaction) -> None:
    beat(transaction)
    stop()


def told(transaction) -> None:
    beat(transaction)
    transaction._run("SELECT repeat('x', 1000) FROM generate_series(1, 100000)")
    stop()


WAYS: Mapping[str, Callable[..., None]] = {"asked": asked, "telling": telling, "told": told}


async def main(url: str, how: str) -> None:
    store = await open_postgresql(Address(url), NAME)
    await store.write(beat)
    await store.write(WAYS[how])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
