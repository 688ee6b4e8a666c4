"""What is wrong with gatepost.toml, and where."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: where, what, and how to mend it.

    `line` counts from 1; 0 where there is no line (a file that is not there, the environment).
    `key` is the path of the key, "limits.recipients" or "listeners[1].role"; "" for the whole file.
    """

    file: str
    line: int
    key: str
    what: str
    mend: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(p for p in (place, self.key, f"{self.what} - {self.mend}") if p)


class SettingsError(Exception):
    """The configuration cannot be used; `faults` says all that is wrong, in file order."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(f) for f in faults))
