"""What `gatepost store repair` tells its operator."""

from dataclasses import replace
from pathlib import Path

import pytest

from gatepost.operate.repair import report
from gatepost.store.sqlite_repair import Repair
from gatepost.store.sqlite_restore import Restored

DONE = Repair(kept=Path("damaged"))


@pytest.mark.parametrize(("messages", "told"), [(0, False), (3, True)])
def test_a_lost_log_took_more_than_messages(messages: int, *, told: bool) -> None:
    said = report(replace(DONE, restored=Restored(messages=messages)))
    assert any("egress list" in line for line in said) is told
