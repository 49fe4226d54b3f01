from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.quantities import (
    Duration,
    PositiveDuration,
    Share,
    format_duration,
    format_share,
    parse_duration,
    parse_share,
)
from domain.records import Record

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


class Quantities(Record):
    any: Duration = HOUR
    positive: PositiveDuration = HOUR
    share: Share = 0.5


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("24h", 24 * HOUR),
        ("30m", 30 * MINUTE),
        ("30min", 30 * MINUTE),
        ("90s", 90 * SECOND),
        ("500ms", SECOND / 2),
        ("1.5h", 90 * MINUTE),
        ("1h 30m", 90 * MINUTE),
        ("1h30m", 90 * MINUTE),
        ("2d", 48 * HOUR),
        ("0s", 0 * SECOND),
        ("-5m", -5 * MINUTE),
        ("PT24H", 24 * HOUR),
        ("P1DT2H3M4.5S", 26 * HOUR + 3 * MINUTE + 4.5 * SECOND),
        ("-PT1M", -MINUTE),
    ],
)
def test_durations_are_read_as_people_write_them(text: str, length: timedelta) -> None:
    assert parse_duration(text) == length


@pytest.mark.parametrize(
    "text",
    [
        *("", "24", "h", "1 hour", "1h and 2m", "24h!", "1x", "1..5h"),
        *("P", "PT", "PT.H", "PT1.H", "P1H", "PT1D"),
        *("99999999999d", "9" * 400 + "h", "P99999999999D"),
        *(24, 1.5, None, True),
    ],
)
def test_what_is_no_duration_is_refused_with_an_example(text: object) -> None:
    with pytest.raises(ValueError, match=r"24h|PT24H"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=10**9))
def test_whole_milliseconds_survive_writing_and_reading(milliseconds: int) -> None:
    length = timedelta(milliseconds=milliseconds)
    again = parse_duration(format_duration(length))
    assert abs(again - length) <= timedelta(milliseconds=1)


@given(st.integers(min_value=-(10**7), max_value=10**7))
def test_whole_seconds_survive_writing_and_reading_exactly(seconds: int) -> None:
    length = timedelta(seconds=seconds)
    assert parse_duration(format_duration(length)) == length


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (26 * HOUR, "1d 2h"),
        (90 * SECOND, "1m 30s"),
        (SECOND / 2, "0.5s"),
        (timedelta(milliseconds=20), "20ms"),
        (-MINUTE, "-1m"),
        (0 * SECOND, "0s"),
    ],
)
def test_durations_are_written_briefly(length: timedelta, text: str) -> None:
    assert format_duration(length) == text


@pytest.mark.parametrize(
    ("text", "share"), [("1%", 0.01), ("0.1 %", 0.001), ("100%", 1.0), ("0%", 0.0)]
)
def test_shares_are_read_as_percentages(text: str, share: float) -> None:
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["1", 1, 0.01, "101%", "-1%", "one %", "", None, "1 percent"])
def test_what_is_no_percentage_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="write a percentage from 0% to 100%"):
        parse_share(text)


@given(st.integers(min_value=0, max_value=100_00))
def test_hundredths_of_a_percent_survive_writing_and_reading(hundredths: int) -> None:
    share = hundredths / 100_00
    assert parse_share(format_share(share)) == pytest.approx(share)


@given(
    st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=99)),
    st.integers(min_value=0, max_value=100_00),
)
def test_a_record_with_quantities_is_the_same_after_json(
    length: timedelta, hundredths: int
) -> None:
    whole = timedelta(seconds=int(length.total_seconds()))
    record = Quantities(any=whole, positive=whole + SECOND, share=hundredths / 100_00)
    again = Quantities.model_validate_json(record.model_dump_json())
    assert (again.any, again.positive) == (record.any, record.positive)
    assert again.share == pytest.approx(record.share)
    assert again.model_dump_json() == record.model_dump_json()


@pytest.mark.parametrize("text", ["0s", "-1h", timedelta(0)])
def test_a_wait_must_be_longer_than_nothing(text: object) -> None:
    with pytest.raises(ValidationError, match="must be longer than zero"):
        Quantities(positive=text)
