"""Warnings that come again and again are told a few times; nobody waits for who reads them."""

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import suppress

import pytest

from gatepost.node.logs import Damper, LineHandler, Unblocked


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


class Pipe:
    """A log at a pipe that somebody reads when we say so."""

    def __init__(self) -> None:
        self.out, self.into = os.pipe()
        self.is_read = True
        self.logger = logging.getLogger("room of a pipe")
        self.logger.setLevel(logging.INFO)
        self.logger.propagate = False
        self.handler = LineHandler(Unblocked(self.into))
        self.logger.addHandler(self.handler)
        # What it says of itself goes the same way.
        logging.getLogger("gatepost.node.logs").addHandler(self.handler)

    def fill(self) -> int:
        """Write lines until one is lost; return how many there were."""
        count = 0
        while not self.handler._dropped:
            self.logger.info("line %d %s", count, "x" * 500)
            count += 1
        return count

    def read(self) -> list[str]:
        os.set_blocking(self.out, False)
        octets = b""
        with suppress(BlockingIOError):
            while piece := os.read(self.out, 65536):
                octets += piece
        return octets.decode().split("\n")

    def close(self) -> None:
        self.logger.removeHandler(self.handler)
        logging.getLogger("gatepost.node.logs").removeHandler(self.handler)
        self.stop_reading()
        os.close(self.into)

    def stop_reading(self) -> None:
        """Let nobody read any more."""
        if self.is_read:
            os.close(self.out)
        self.is_read = False


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


def test_a_reader_that_stands_still_keeps_nobody_waiting(pipe: Pipe) -> None:
    count = pipe.fill()
    for _ in range(1000):
        pipe.logger.warning("nobody reads this")
    written = pipe.read()
    assert written.pop() == ""
    assert [line.split()[1] for line in written] == [str(n) for n in range(count - 1)]
    pipe.logger.info("somebody reads again")
    pipe.logger.info("and again")
    assert pipe.read() == [
        "somebody reads again",
        "1001 lines of this log were lost: they could not be written",
        "and again",
        "",
    ]


def test_a_line_that_was_cut_spoils_no_other(pipe: Pipe) -> None:
    pipe.logger.error("a" * 200_000)
    assert pipe.handler._dropped == 1
    cut = pipe.read()
    assert 4096 < len(cut[0]) < 200_000
    assert cut == ["a" * len(cut[0])]
    pipe.logger.error("b")
    assert pipe.read() == ["", "b", "1 lines of this log were lost: they could not be written", ""]


def test_long_lines_come_whole_where_somebody_reads(pipe: Pipe) -> None:
    # Not by its logger: pytest would send it on to where no surrogate goes.
    pipe.handler.handle(line("%s", "ä" * 10_000 + "\udc80"))
    assert pipe.read() == ["ä" * 10_000 + "\\udc80", ""]


def test_a_log_that_nobody_will_ever_read_stops_nothing(pipe: Pipe) -> None:
    pipe.stop_reading()
    pipe.logger.error("broken pipe")
    assert pipe.handler._dropped == 1


def test_a_full_disk_costs_lines_only(monkeypatch: pytest.MonkeyPatch, pipe: Pipe) -> None:
    def no_room(_file: int, _octets: bytes) -> int:
        raise OSError(errno.ENOSPC, "no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", no_room)
        pipe.logger.error("lost")
    pipe.logger.error("kept")
    assert pipe.read()[0] == "kept"


def test_a_faulty_line_is_reported_and_raises_nothing(
    pipe: Pipe, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe.handler.handle(line("%d things", "many"))
    assert "Logging error" in capsys.readouterr().err
    assert pipe.handler._dropped == 0
