"""Durations, sizes and rates as people write them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.model.quantities import (
    duration_words,
    parse_duration,
    parse_rate,
    parse_size,
    size_words,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0 s", 0),
        ("250 ms", 0.25),
        ("5min", 300),
        (" 5  min ", 300),
        ("1.5 h", 5400),
        ("5 D", 432_000),
        ("2 weeks", 1_209_600),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value", ["", "5", "min", "5 minuts", "-5 min", "5 min 3", 5, None, True, [], "٣ s", "1e3 s"]
)
def test_what_is_no_duration_says_what_to_write(value: object) -> None:
    with pytest.raises(ValueError, match="should be a duration such as"):
        parse_duration(value)


def test_a_duration_beyond_all_reason_is_refused_not_overflowed() -> None:
    with pytest.raises(ValueError, match="at most 100 years"):
        parse_duration("999999999999 w")


@pytest.mark.parametrize(
    ("value", "octets"),
    [(0, 0), (1000, 1000), ("0 B", 0), ("25 MiB", 25 * 2**20), ("1.5 KiB", 1536), ("1 GB", 10**9)],
)
def test_a_size_is_octets_or_a_number_and_a_unit(value: object, octets: int) -> None:
    assert parse_size(value) == octets


@pytest.mark.parametrize("value", ["25", "MiB", -1, True, 1.5, "25 MiB/s", None])
def test_what_is_no_size_says_what_to_write(value: object) -> None:
    with pytest.raises(ValueError, match="should be a size such as"):
        parse_size(value)


@pytest.mark.parametrize(("value", "octets"), [("100 B/s", 100), ("1 KiB / s", 1024), (100, 100)])
def test_a_rate_is_a_size_a_second(value: object, octets: int) -> None:
    assert parse_rate(value) == octets


@pytest.mark.parametrize("value", ["100 B", "100 B/min", "/s", True, -1, None])
def test_what_is_no_rate_says_what_to_write(value: object) -> None:
    with pytest.raises(ValueError, match="should be a rate such as"):
        parse_rate(value)


@given(st.text())
def test_garbage_is_a_value_error_and_nothing_else(text: str) -> None:
    for parse in (parse_duration, parse_size, parse_rate):
        try:
            parse(text)
        except ValueError:
            continue


@given(st.integers(0, 10**6), st.sampled_from(["ms", "s", "min", "h", "d", "w"]))
def test_whole_durations_are_exact(number: int, unit: str) -> None:
    seconds = {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800}[unit]
    if number * seconds <= 36_500 * 86400:
        assert parse_duration(f"{number} {unit}") == timedelta(seconds=number * seconds)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (59, "59 s"),
        (300, "5 min"),
        (3661, "1 h 1 min"),
        (3605, "1 h"),
        (90000, "1 d 1 h"),
        (86400 * 2, "2 d"),
        (-300, "5 min"),
    ],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert duration_words(timedelta(seconds=seconds)) == words


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=30_000)))
def test_a_told_duration_is_never_longer_than_the_true_one_rounded(span: timedelta) -> None:
    told = sum((parse_duration(p) for p in _parts(duration_words(span))), timedelta())
    assert timedelta(0) <= timedelta(seconds=round(span.total_seconds())) - told
    assert told * 2 >= span - timedelta(seconds=1)


def _parts(words: str) -> list[str]:
    split = words.split()
    return [" ".join(pair) for pair in zip(split[::2], split[1::2], strict=True)]


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (25 * 2**20, "25.0 MiB"),
        (2**40, "1024.0 GiB"),
    ],
)
def test_a_size_is_told_in_its_unit(octets: int, words: str) -> None:
    assert size_words(octets) == words
