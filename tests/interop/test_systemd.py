"""systemd understands our unit, and finds it well locked up."""

import subprocess
from pathlib import Path

import pytest

from tests.support.programs import need

pytestmark = pytest.mark.interop("systemd-analyze")

UNIT = Path(__file__).parents[2] / "packaging" / "gatepost.service"
#: systemd-analyze(1): exposure in tenths; 1.8 when this was written. "OK" ends at 4.9.
EXPOSURE = 25


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with a program that is there."""
    written = tmp_path / UNIT.name
    written.write_text(UNIT.read_text().replace("/usr/local/bin/gatepost", "/bin/true"))
    return written


@pytest.mark.parametrize(
    "verb", [["verify", "--man=no"], ["security", "--offline=true", f"--threshold={EXPOSURE}"]]
)
def test_the_unit_is_right(unit: Path, verb: list[str]) -> None:
    done = subprocess.run(
        [need("systemd-analyze"), *verb, str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "gatepost.service:" not in done.stderr
