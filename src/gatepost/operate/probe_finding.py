"""A finding: what is wrong or worth knowing, why, and how to mend it."""

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How much a finding matters: a problem is in the way, a note is good to know."""

    PROBLEM = "problem"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding, in sentences without a full stop.

    `name` is stable, for programs; `port` None where it is about the host. `heard` is what the
    server said, where that is the reason.
    """

    grade: Grade
    name: str
    port: int | None
    what: str
    cause: str
    mend: str
    heard: str = ""
