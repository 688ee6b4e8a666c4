"""After a loss of power: what had been accepted comes back, before anybody serves or looks."""

import logging
from pathlib import Path

from gatepost.operate.repair import is_behind
from gatepost.store.protocols import Store
from gatepost.store.recovered import LookLaterError, OldDatabaseError, Recovered

_log = logging.getLogger(__name__)


class BehindError(Exception):
    """The database lacks what journal and segments have: it is an old copy, or its log was lost."""


async def recover(store: Store, data_dir: Path) -> None:
    """Have a store of one node bring back what its rows do not tell of. Nobody serves it, or whoever does
    has done it.

    Raises:
        BehindError: the database is older than what lies beside it; nothing was done.
        OSError: the journal cannot be read.
        StoreUnavailableError: there is no telling; who served now might tidy away what was accepted.

    """
    if not isinstance(store, Recovered):
        return
    if await is_behind(store, data_dir):
        raise BehindError
    try:
        await store.recover()
    except OldDatabaseError as error:
        raise BehindError from error
    except LookLaterError as trouble:
        _log.error("what was accepted when the power went is looked for later: %s", trouble)
