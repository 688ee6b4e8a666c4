"""Warnings that come again and again are told a few times."""

import logging

from gatepost.node.logs import Damper


def line(words: str, *arguments: object, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("room", level, __file__, 1, words, arguments, None)


def test_a_flood_is_told_a_few_times_and_then_counted() -> None:
    now = 0.0
    damper = Damper(lambda: now)
    told = [damper.filter(line("%d events wait", number)) for number in range(100)]
    assert told == [True] * 5 + [False] * 95
    now = 31.0
    later = line("%d events wait", 100)
    assert damper.filter(later)
    assert later.getMessage() == "100 events wait (and 95 times more before)"
    assert damper.filter(line("%d events wait", 101))


def test_kinds_are_told_apart_and_errors_always_told() -> None:
    damper = Damper(lambda: 0.0)
    assert [damper.filter(line("%s", each)) for each in "abcdefgh"] == [True] * 8
    assert all(damper.filter(line("bad", level=logging.ERROR)) for _ in range(20))
