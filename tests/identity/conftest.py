"""People over a real store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.identity.people import People, open_people


@pytest.fixture
async def people(tmp_path: Path) -> AsyncIterator[People]:
    found = await open_people(tmp_path)
    yield found
    found.authenticator.close()
    await found.store.close()
