"""What a worker does again and again until it stops: no fault ends it."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress

from gatepost.store.protocols import StoreUnavailableError

_log = logging.getLogger(__name__)


async def repeat(
    what: Callable[[], Coroutine[None, None, None]], seconds: float, stopping: asyncio.Event
) -> None:
    """Do something every so many seconds until the worker is stopping."""
    while not stopping.is_set():
        try:
            await what()
        except StoreUnavailableError as trouble:
            _log.warning("the store is away: %s", trouble)
        except Exception:  # noqa: BLE001 - the top of a task: what is in hand goes on
            _log.exception("a fault of ours; it is tried again")
        await pause(seconds, stopping)


async def pause(seconds: float, stopping: asyncio.Event) -> None:
    """Wait, but not longer than until the worker is stopping."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()
