"""The shim, built once, and a directory whose files it watches."""

import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crash.power.loss import Keep, Lost, lose_power
from tests.support.programs import need


@dataclass(frozen=True, slots=True)
class Power:
    """What may be lost: the files below `below`; `environment` makes a program's changes noted."""

    below: Path
    log: Path
    shim: Path

    def environment(self, *, lie: bool = False) -> dict[str, str]:
        """Return what a program needs; with `lie` its syncs do nothing. A sync lasts 3 ms."""
        return {
            "LD_PRELOAD": str(self.shim),
            "POWERLOG_BELOW": str(self.below),
            "POWERLOG_LOG": str(self.log),
            "POWERLOG_LIE": str(int(lie)),
            "POWERLOG_SYNC_NS": "3000000",
        }

    def lose(self, chance: random.Random, keep: Keep) -> Lost:
        """Lose the power; nobody may use the files."""
        return lose_power(self.below, self.log, chance, keep)

    def run(self, program: str, *, lie: bool = False) -> None:
        """Run a Python program in the watched directory."""
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=self.below,
            env=self.environment(lie=lie),
            check=True,
            timeout=100,
        )


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """powerlog.so."""
    if not sys.platform.startswith("linux"):
        pytest.skip("LD_PRELOAD and /proc: Linux")
    built = tmp_path_factory.mktemp("powerlog") / "powerlog.so"
    source = Path(__file__).with_name("powerlog.c")
    cc = need("cc")
    words = [cc, "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", built, source, "-ldl"]
    subprocess.run(words, check=True, timeout=60)
    return built


@pytest.fixture
def power(tmp_path: Path, shim: Path) -> Power:
    """A place that is watched, empty."""
    log = tmp_path / "powerlog"
    (log / "kept").mkdir(parents=True)
    below = tmp_path / "node" / "state"
    below.mkdir(parents=True)
    return Power(below, log, shim)
