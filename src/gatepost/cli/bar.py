"""How far a long command has come, on one line of a terminal; nothing elsewhere."""

import sys
from typing import Final

from gatepost.cli import usage

#: Characters of a whole bar.
_WIDTH: Final = 30


class Bar:
    """One line that is written over and over, on standard error."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()
        self._length = 0

    def show(self, what: str, done: int, of: int) -> None:
        """Say that so many of all are done."""
        if not self._is_shown:
            return
        bar = ("#" * round(min(1.0, done / max(1, of)) * _WIDTH)).ljust(_WIDTH, ".")
        line = f"{what} [{bar}] {done} of {of}"
        usage.echo(f"\r{line.ljust(self._length)}", err=True, nl=False)
        self._length = len(line)

    def end(self) -> None:
        """Leave the line, if there is one."""
        if self._length:
            usage.echo(err=True)
            self._length = 0
