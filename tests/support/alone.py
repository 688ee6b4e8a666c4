"""What forks, in a process that has one thread: a child of many may wait for ever for what another held, and
Python warns of that from 3.12 on.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def alone(module: str, name: str, *arguments: str) -> None:
    """Call a function of a module of tests, with texts; it has failed where it raises."""
    code = f"import sys; from {module} import {name}; {name}(*sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-W", "error:This process:DeprecationWarning", "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
