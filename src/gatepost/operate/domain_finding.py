"""What was found about one record of a sending domain, and how to mend it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Standing(StrEnum):
    """How a record stands. Only MISSING and WRONG want a mend; NOTE is good to know."""

    GOOD = "good"
    NOTE = "note"
    MISSING = "missing"
    WRONG = "wrong"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one record: what is so, and the exact mend ("" for none)."""

    purpose: str
    name: str
    standing: Standing
    what: str
    mend: str = ""

    @property
    def is_serious(self) -> bool:
        """Tell whether the answer to `check` is no."""
        return self.standing in {Standing.MISSING, Standing.WRONG, Standing.UNKNOWN}


def finding_json(finding: Finding) -> dict[str, Any]:
    """Return a finding as plain values."""
    return {
        "purpose": finding.purpose,
        "name": finding.name,
        "standing": finding.standing.value,
        "what": finding.what,
        "mend": finding.mend,
    }
