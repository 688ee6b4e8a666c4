"""The command `gatepost`, also `python -m gatepost`."""

import contextlib
import errno
import gc
import os
import sys

from gatepost.cli.app import app
from gatepost.cli.context import WRONG, say_error


def main() -> None:
    """Run the command line; an exception that nobody foresaw is our fault, and says so."""
    # What is imported lives as long as the program: it need not be looked through again and again.
    gc.set_threshold(50_000)
    _open_streams()
    try:
        app(prog_name="gatepost")
    except Exception as error:  # noqa: BLE001 - the top of the program
        if _is_unwritten(error):
            _forget_output()
            with contextlib.suppress(OSError):
                say_error("gatepost: what was to be said could not be written: the disk is full")
            sys.exit(WRONG)
        say_error(f"gatepost: this is a fault of ours: {type(error).__name__}: {error}")
        if "--debug" in sys.argv or os.environ.get("GATEPOST_DEBUG"):
            import traceback  # noqa: PLC0415 - 10 ms that only a fault needs

            traceback.print_exc()
        else:
            say_error("  Please report it, with what --debug shows: gatepost --debug …")
        sys.exit(WRONG)


def _open_streams() -> None:
    """Lead nowhere what was closed (`>&-`): else the next file that is opened gets its number, and what
    is printed goes there.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, open(number, mode))  # noqa: SIM115, PTH123 - for as long as the program runs


def _is_unwritten(error: Exception) -> bool:
    """Tell whether our own output went nowhere: no file has a name there."""
    is_full = isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
    return is_full and getattr(error, "filename", None) is None


def _forget_output() -> None:
    """Let go of what is left in buffers: it would be tried again at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(nowhere, stream.fileno())


if __name__ == "__main__":
    main()
