"""The state is its owner's alone, and opening it changes nothing else of the process."""

import asyncio
import os
import stat
from pathlib import Path

from gatepost.model.ids import WorkerId
from gatepost.store.sqlite import open_sqlite


async def test_every_file_is_the_owners_alone_whatever_the_mask(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        stores = await asyncio.gather(
            *(open_sqlite(tmp_path / "state", WorkerId(f"n/{i}/1/")) for i in range(4))
        )
        await asyncio.gather(*(s.write(lambda t: t.set_position("x", 1)) for s in stores))
        files = [f for f in (tmp_path / "state").rglob("*") if f.is_file()]
        assert {f.name for f in files} >= {"gatepost.db", "gatepost.db-wal", "gatepost.db-shm"}
        assert [f.name for f in files if stat.S_IMODE(f.stat().st_mode) & 0o077] == []
        for store in stores:
            await store.close()
    finally:
        left = os.umask(mask)
    assert left == 0, "the mask is the whole process's"
