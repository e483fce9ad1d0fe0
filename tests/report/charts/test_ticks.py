from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.report.charts.ticks import number, time_label, time_ticks, value_ticks


@given(st.floats(1e-9, 1e15))
def test_value_ticks_begin_at_0_cover_the_values_and_are_few(highest: float) -> None:
    ticks = value_ticks(highest)

    assert ticks[0] == 0
    assert ticks[-1] >= highest * (1 - 1e-6)
    assert 2 <= len(ticks) <= 7


@pytest.mark.parametrize("highest", [0.0, -3.0, math.nan, math.inf])
def test_an_axis_without_values_still_has_one(highest: float) -> None:
    assert value_ticks(highest) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]


@given(st.floats(0.01, 1e6))
def test_things_that_are_counted_have_no_fractions(highest: float) -> None:
    assert all(tick == round(tick) for tick in value_ticks(highest, whole=True))


@given(st.floats(0, 2e9), st.floats(60, 1e8))
def test_time_ticks_lie_inside_and_are_few(start_s: float, span_s: float) -> None:
    ticks = time_ticks(start_s, start_s + span_s)

    assert all(start_s - 1 <= tick <= start_s + span_s + 1 for tick in ticks)
    assert len(ticks) <= 8


def test_a_day_is_marked_every_few_hours() -> None:
    assert [tick / 3600 for tick in time_ticks(0.0, 86_400.0)] == [0, 6, 12, 18, 24]


@pytest.mark.parametrize(
    ("at_s", "span_s", "unix", "words"),
    [
        (7200.0, 14_400.0, False, "2 h"),
        (600.0, 3600.0, False, "10 min"),
        (172_800.0, 864_000.0, False, "2 d"),
        (30.0, 60.0, False, "30 s"),
        (1_700_006_400.0, 86_400.0, True, "00:00"),
        (1_700_000_000.0, 86_400.0, True, "22:13"),
    ],
)
def test_times_are_told_as_people_tell_them(at_s: float, span_s: float, unix: bool, words: str) -> None:
    midnight = at_s % 86_400 == 0 and unix
    assert time_label(at_s, span_s, unix=unix) == ("Nov 15" if midnight else words)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.25, "0.25"), (12.0, "12"), (9999.0, "9999"), (12_300.0, "12.3k"), (3e6, "3M"), (math.nan, "–")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text
