"""What a person reads whose machine lacks Python or its venv module: one line, with the mend."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/find-python.sh"

#: Stands in for a Python: answers the two questions of the script as the case wants.
FAKE = """#!/bin/sh
case "$2" in
*version_info\\ \\<*) exit {old} ;;
*ensurepip*) exit {no_venv} ;;
*) echo 3.12 ;;
esac
"""


def find(directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(SCRIPT)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": str(directory), **environment},
    )


def fake(directory: Path, program: str, *, old: int = 0, no_venv: int = 0) -> str:
    path = directory / program
    path.write_text(FAKE.format(old=old, no_venv=no_venv))
    path.chmod(0o755)
    return str(path)


def test_python3_that_fits_is_taken(tmp_path: Path) -> None:
    wanted = fake(tmp_path, "python3")
    fake(tmp_path, "python3.13")
    assert find(tmp_path).stdout.strip() == wanted


def test_an_old_python3_gives_way_to_the_newest_that_fits(tmp_path: Path) -> None:
    fake(tmp_path, "python3", old=1)
    wanted = fake(tmp_path, "python3.12")
    fake(tmp_path, "python3.11")
    assert find(tmp_path).stdout.strip() == wanted


def test_a_python_without_venv_gives_way_to_one_that_has_it(tmp_path: Path) -> None:
    fake(tmp_path, "python3", no_venv=1)
    wanted = fake(tmp_path, "python3.11")
    assert find(tmp_path).stdout.strip() == wanted


@pytest.mark.parametrize(
    ("old", "no_venv", "said"),
    [
        (0, 1, "apt-get install python3.12-venv"),
        (1, 0, "apt-get install python3 python3-venv"),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    tmp_path: Path, old: int, no_venv: int, said: str
) -> None:
    fake(tmp_path, "python3", old=old, no_venv=no_venv)
    done = find(tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_python_overrides(tmp_path: Path) -> None:
    fake(tmp_path, "python3")
    assert find(tmp_path, PYTHON=sys.executable).stdout.strip() == sys.executable
    refused = find(tmp_path, PYTHON="/nonexistent/python")
    assert refused.returncode == 1
    assert "/nonexistent/python" in refused.stderr


def test_the_real_machine_has_one() -> None:
    done = subprocess.run(
        ["/bin/sh", str(SCRIPT)], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert done.returncode == 0 or "apt-get install" in done.stderr
