"""Tables: aligned, and nothing is cut where a terminal is narrow."""

import sys

import pytest

from gatepost.cli.context import print_table

COLUMNS, ROWS = ("ID", "WHAT"), [("1", "waits\nfor a host"), ("200", "")]
WIDE = "ID   WHAT\n1    waits\\x0afor a host\n200\n"


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (None, WIDE),
        ("24", WIDE),
        ("23", "ID\n    WHAT\n1\n    waits\\x0afor a host\n200\n"),
    ],
)
def test_the_last_column_stands_below_where_there_is_no_room(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    width: str | None,
    shown: str,
) -> None:
    if width is not None:
        monkeypatch.setenv("COLUMNS", width)
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setenv("NO_COLOR", "1")
    print_table(COLUMNS, ROWS)
    told = capsys.readouterr().out
    assert told.replace("\x1b[1m", "").replace("\x1b[0m", "") == shown
    assert ("\x1b[1m" in told) == (width is not None)


def test_what_is_empty_says_so_to_a_person_only(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [], empty="Nothing waits.")
    assert capsys.readouterr() == ("", "Nothing waits.\n")
