"""The command `gatepost`, also `python -m gatepost`."""

import gc
import os
import sys

from gatepost.cli.app import app
from gatepost.cli.context import WRONG, say_error


def main() -> None:
    """Run the command line; an exception that nobody foresaw is our fault, and says so."""
    # What is imported lives as long as the program: it need not be looked through again and again.
    gc.set_threshold(50_000)
    try:
        app(prog_name="gatepost")
    except Exception as error:  # noqa: BLE001 - the top of the program
        say_error(f"gatepost: this is a fault of ours: {type(error).__name__}: {error}")
        if "--debug" in sys.argv or os.environ.get("GATEPOST_DEBUG"):
            import traceback  # noqa: PLC0415 - 10 ms that only a fault needs

            traceback.print_exc()
        else:
            say_error("  Please report it, with what --debug shows: gatepost --debug …")
        sys.exit(WRONG)


if __name__ == "__main__":
    main()
