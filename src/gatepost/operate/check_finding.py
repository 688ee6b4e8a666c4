"""What `check` finds: one thing looked at, how it is, what to do."""

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How much a finding matters: FAULT it cannot serve, NO it should not, WARNING it may."""

    FINE = "fine"
    WARNING = "warning"
    NO = "no"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: `subject` is what, `what` how it is, `mend` what to do ("" when fine)."""

    grade: Grade
    subject: str
    what: str
    mend: str = ""
