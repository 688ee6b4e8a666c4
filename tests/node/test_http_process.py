"""What runs beside the requests of the HTTP process."""

import asyncio
import socket
from pathlib import Path

import pytest

from gatepost.model.ids import WorkerId
from gatepost.model.settings import (
    HttpSettings,
    ListenerSettings,
    Role,
    Settings,
    TlsSettings,
)
from gatepost.net.counters import Counters
from gatepost.node import http
from gatepost.node.http import HttpPlace
from gatepost.store.sqlite import SqliteStore, open_sqlite


async def test_it_leaves_its_segment_and_shows_that_it_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests = asyncio.Event()

    async def rest(store: SqliteStore) -> None:
        rests.set()

    monkeypatch.setattr(SqliteStore, "rest", rest)
    monkeypatch.chdir(tmp_path)  # as every process of a node is in its data_dir
    settings = Settings(
        hostname="relay.test.example",
        data_dir=tmp_path,
        tls=TlsSettings(certificate=tmp_path / "c", private_key=tmp_path / "k"),
        listeners=(ListenerSettings(address="127.0.0.1:2587", role=Role.SUBMISSION),),
        http=HttpSettings(address="127.0.0.1:8025"),
    )
    await (await open_sqlite(tmp_path, WorkerId("n/start/1/"))).close()
    ours, theirs = socket.socketpair()
    listening = socket.create_server(("127.0.0.1", 0))
    counters = Counters.create(2)
    place = HttpPlace(WorkerId("n/1/1.1/"), "n", theirs, listening, counters, 1)
    serving = asyncio.create_task(http._serve(settings, place))
    async with asyncio.timeout(60):
        await rests.wait()
        assert counters.tick_of(1)
        ours.close()  # its supervisor is gone
        await serving
    listening.close()
