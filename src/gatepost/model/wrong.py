"""A value that cannot stand, in words for a person: what is wrong, and how to mend it."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing that is wrong with a value.

    `what` and `mend` are sentences without a full stop. `at` leads from the value to the part
    that is meant, as in (1, "address") for the second of some listeners.
    """

    what: str
    mend: str
    at: tuple[str | int, ...] = ()


class WrongValueError(ValueError):
    """Holds every `Wrong` that a check found."""

    def __init__(self, wrongs: Iterable[Wrong]) -> None:
        self.wrongs = tuple(wrongs)
        super().__init__("; ".join(f"{w.what}: {w.mend}" for w in self.wrongs))


def wrong(what: str, mend: str, *at: str | int) -> WrongValueError:
    """Return the exception for one wrong, to be raised."""
    return WrongValueError([Wrong(what, mend, at)])
