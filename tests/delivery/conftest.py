"""A next hop that says what a test tells it to."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.sink import Sink


@pytest_asyncio.fixture
async def sink() -> AsyncIterator[Sink]:
    async with Sink() as server:
        yield server
