from __future__ import annotations

from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from autoscaler.config.values import Duration, Percentile, Ratio, format_duration, format_percentile, parse_duration_s

DURATION = TypeAdapter[float](Annotated[float, Duration(0.001, 86_400, "2s")])
SECONDS = TypeAdapter[float](Annotated[float, Duration(0, 3_600, "300", whole_seconds=True)])
RATIO = TypeAdapter[float](Annotated[float, Ratio("10%")])
TOLERANCE = TypeAdapter[float](Annotated[float, Ratio("10%", zero=True, milli=True)])
PERCENTILE = TypeAdapter[float](Annotated[float, Percentile()])


def refusal(adapter: TypeAdapter[float], value: Any) -> dict[str, Any]:
    with pytest.raises(ValidationError) as refused:
        adapter.validate_python(value)
    (detail,) = refused.value.errors()
    return dict(detail["ctx"])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2s", 2.0), ("50ms", 0.05), ("300s", 300.0), ("5m", 300.0), ("1h30m", 5400.0), ("1.5s", 1.5), ("1d", 86_400.0)],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert DURATION.validate_python(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", "2", "s", "-2s", "+2s", "2 s", "2S", "1m1h", "1s1s", "1e3s", ".5s", "2s ", "2s\n", "∞s", "9" * 400 + "s"],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    assert parse_duration_s(text) is None
    assert "is no duration" in refusal(DURATION, text)["message"]


@pytest.mark.parametrize(
    ("text", "meant"),
    [("2 s", "2s"), ("2sec", "2s"), ("50msec", "50ms"), ("5 Minutes", "5m"), ("1 hour 30 min", "1h30m")],
)
def test_a_wrong_unit_is_answered_with_the_right_one(text: str, meant: str) -> None:
    assert refusal(DURATION, text)["nearest"] == meant


@pytest.mark.parametrize("value", [2, 2.0, 0])
def test_a_bare_number_is_no_duration_and_the_message_shows_one(value: float) -> None:
    context = refusal(DURATION, value)

    assert "without a unit: write 2s" in context["message"]
    assert context["allowed"] == "1ms to 24h, such as 2s"


@pytest.mark.parametrize("value", [True, [], {}, b"2s"])
def test_other_types_are_no_durations(value: object) -> None:
    assert refusal(DURATION, value)["message"] == "is no duration"


@pytest.mark.parametrize("text", ["0s", "0.5ms", "25h"])
def test_a_duration_out_of_range_is_refused_with_the_range(text: str) -> None:
    assert refusal(DURATION, text)["allowed"] == "1ms to 24h, such as 2s"


@pytest.mark.parametrize(("value", "seconds"), [(300, 300.0), ("5m", 300.0), ("300s", 300.0), (0, 0.0)])
def test_a_seconds_key_takes_whole_seconds_or_a_duration(value: object, seconds: float) -> None:
    assert SECONDS.validate_python(value) == seconds


@pytest.mark.parametrize("value", [1.5, True, -1, 3601, "300"])
def test_a_seconds_key_takes_nothing_else(value: object) -> None:
    assert refusal(SECONDS, value)["allowed"] == "0 to 3600, such as 300"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.05, "50ms"), (2.0, "2s"), (90.0, "90s"), (600.0, "10m"), (7200.0, "2h"), (1.5, "1.5s"), (0, "0s")],
)
def test_a_duration_is_written_with_one_unit(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(min_value=1, max_value=10**9).map(lambda micros: micros / 1_000_000))
def test_a_written_duration_reads_back_the_same(seconds: float) -> None:
    assert parse_duration_s(format_duration(seconds)) == pytest.approx(seconds, abs=1e-9)


@pytest.mark.parametrize(
    ("value", "ratio"), [("15%", 0.15), (0.15, 0.15), ("0.15", 0.15), ("15 %", 0.15), ("99.9%", 0.999)]
)
def test_a_ratio_is_a_percentage_or_a_fraction(value: object, ratio: float) -> None:
    assert RATIO.validate_python(value) == pytest.approx(ratio)


@pytest.mark.parametrize("value", [0, 1, "100%", "0%", -0.1, "50m", "a", True, None, [], 10**400])
def test_what_is_no_ratio_is_refused(value: object) -> None:
    assert refusal(RATIO, value)["allowed"] == "more than 0 to less than 100%, such as 10%"


def test_a_bare_percentage_is_not_guessed_but_suggested() -> None:
    assert refusal(RATIO, 15)["nearest"] == "15%"


@pytest.mark.parametrize(("value", "ratio"), [("50m", 0.05), (0, 0.0), ("0", 0.0), ("10%", 0.1)])
def test_a_tolerance_may_be_zero_or_a_quantity_as_an_api_server_prints_it(value: object, ratio: float) -> None:
    assert TOLERANCE.validate_python(value) == pytest.approx(ratio)


@pytest.mark.parametrize("value", ["p95", "P95", 95, 0.95, "95%", "95", "0.95", 95.0])
def test_all_ways_to_write_a_percentile_mean_the_same(value: object) -> None:
    assert PERCENTILE.validate_python(value) == pytest.approx(0.95)


@pytest.mark.parametrize("value", [0, 1, 100, "p100", "p0", 1.0, -5, "p", "pp95", "95s", "0.5%", True, None, "p-5", ""])
def test_what_is_no_percentile_is_refused(value: object) -> None:
    assert "is no percentile" in refusal(PERCENTILE, value)["message"]


def test_p0_95_is_not_taken_for_the_first_percentile() -> None:
    assert refusal(PERCENTILE, "p0.95")["nearest"] == "p95"


@given(st.integers(min_value=10, max_value=999).map(lambda share: share / 1000))
def test_a_written_percentile_reads_back_the_same(share: float) -> None:
    assert PERCENTILE.validate_python(format_percentile(share)) == pytest.approx(share)
