"""Run what failed in the last run of tests again, alone and twice, and say what is unsteady.

For `.ci/run`: hundreds of servers and clients run side by side on whatever machine there is. A test
that fails there and passes twice by itself is named at the end, to be mended, and does not hold up
a change. More than a handful of failures, or an error before a test began, stand as they are; so do
those in tests/crash, which count what was lost: once in a hundred is too often.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

_LAST_FAILED: Final = Path(".pytest_cache/v/cache/lastfailed")
_MOST: Final = 3
_TIMES: Final = 2
_STANDS: Final = "tests/crash/"


def failed() -> list[str]:
    """Return the node ids that failed; empty where nothing is known."""
    try:
        return sorted(json.loads(_LAST_FAILED.read_text()))
    except FileNotFoundError:
        return []


def main() -> int:
    """Return the exit status: 0 when all that failed passes alone."""
    tests = failed()
    if not tests or len(tests) > _MOST or not all("::" in test for test in tests):
        print(f"no second look: {len(tests)} failures (1 to {_MOST} tests get one)")
        return 1
    if lost := [test for test in tests if test.startswith(_STANDS)]:
        print("no second look: what may be a loss stands:", *lost)
        return 1
    command = (sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "no:cacheprovider")
    for _ in range(_TIMES):
        if subprocess.run((*command, *tests), check=False).returncode:
            return 1
    print("UNSTEADY: these failed among the others and passed alone; mend them:")
    print(*(f"  {test}" for test in tests), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
