"""Versions and marks: who may use a database, and what is left to do."""

import pytest

from gatepost.store.schema import Marks, Version
from gatepost.store.sqlite_schema import VERSIONS

PLAIN, LATER = Version("a"), Version("b", post=("c",))
BREAKING = Version("d", breaks=True)


@pytest.mark.parametrize(
    ("marks", "known", "admitted"),
    [
        (Marks(0, 0, 0), 16, True),
        (Marks(15, 15, 15), 16, True),
        (Marks(16, 16, 16), 16, True),
        (Marks(18, 16, 18), 16, True),
        (Marks(18, 17, 18), 16, False),
        (Marks(18, 18, 18), 16, False),
        # a mark that is beyond its own database turns nobody away who knows all of it
        (Marks(16, 18, 16), 16, True),
    ],
)
def test_a_program_is_admitted_while_it_knows_enough(marks, known, admitted):
    assert marks.admit(known) is admitted


@pytest.mark.parametrize(
    ("marks", "versions", "after", "alone"),
    [
        (Marks(), (PLAIN,), Marks(1, 0, 1), False),
        (Marks(1, 0, 1), (PLAIN, PLAIN, PLAIN), Marks(3, 0, 3), False),
        (Marks(1, 0, 1), (PLAIN, LATER, PLAIN), Marks(3, 0, 1), False),
        (Marks(1, 0, 1), (PLAIN, BREAKING, PLAIN), Marks(3, 2, 3), True),
        (Marks(2, 2, 2), (PLAIN, BREAKING, PLAIN), Marks(3, 2, 3), False),
        (Marks(2, 2, 1), (PLAIN, LATER, BREAKING), Marks(3, 3, 1), True),
    ],
)
def test_what_pre_leaves_behind(marks, versions, after, alone):
    assert marks.must_be_alone(versions) is alone
    assert marks.after_pre(versions) == after


def test_what_changes_the_daily_tables_breaks_older_programs():
    """They would make tomorrow's as they know them."""
    assert all(version.breaks for version in VERSIONS if version.daily)
