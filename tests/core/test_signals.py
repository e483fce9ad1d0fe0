from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.signals import CATALOGUE, Scope, SignalState, absent, measured, unit_of
from autoscaler.core.snapshot import PoolState, Snapshot
from tests.support.core import STEADY, Missing, signals, snapshot


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_absent_and_says_so(value: float) -> None:
    signal = measured(value, "s", 1.0)

    assert signal.state is SignalState.ABSENT
    assert signal.value is None
    assert str(value) in signal.detail


@given(st.floats(allow_nan=True, allow_infinity=True), st.floats(0, 1e9))
def test_a_usable_value_is_always_finite(value: float, age_s: float) -> None:
    usable = measured(value, "s", age_s, stale_after_s=60.0).usable

    assert usable is None or math.isfinite(usable)


def test_an_old_sample_is_stale_keeps_its_value_and_may_not_be_used() -> None:
    signal = measured(0.4, "s", 61.0, stale_after_s=60.0, detail="an upper bound")

    assert (signal.state, signal.value, signal.usable) == (SignalState.STALE, 0.4, None)
    assert "61 s old, allowed are 60 s" in signal.detail
    assert "an upper bound" in signal.detail


def test_a_sample_as_old_as_allowed_may_be_used() -> None:
    assert measured(0.4, "s", 60.0, stale_after_s=60.0).usable == 0.4


def test_a_sample_from_the_future_is_fresh() -> None:
    assert measured(0.4, "s", -5.0).age_s == 0.0


def test_absent_is_not_zero() -> None:
    signal = absent("requests", "no series matches")

    assert signal.usable is None
    assert signal.value is None


def test_a_signal_that_the_stack_does_not_know_is_not_usable() -> None:
    seen = snapshot({"decode.running": Missing.UNKNOWN_TO_STACK})

    assert seen.signal(Scope.DECODE, "running") is None
    assert seen.usable(Scope.DECODE, "running") is None


def test_a_service_without_any_signal_of_a_scope_answers_none() -> None:
    assert Snapshot("chat", 0.0, {}, {}, {}).usable(Scope.SERVICE, "ttft_s") is None


def test_the_unit_of_a_signal_is_in_the_catalogue() -> None:
    assert unit_of(Scope.DECODE, "step_time_s") == "s"
    with pytest.raises(KeyError):
        unit_of(Scope.DECODE, "step_time")


def test_names_of_times_carry_their_unit() -> None:
    for names in CATALOGUE.values():
        for name, spec in names.items():
            assert name.endswith("_s") == (spec.unit in {"s", "tokens/s"})


def test_the_builder_gives_every_canonical_signal_a_default() -> None:
    assert set(STEADY) == {f"{scope}.{name}" for scope, names in CATALOGUE.items() for name in names}
    assert all(signal.usable is not None for named in signals().values() for signal in named.values())


@pytest.mark.parametrize(("current", "ready", "starting"), [(3, 1, 2), (3, 3, 0), (2, 3, 0)])
def test_starting_replicas_are_those_asked_for_that_do_not_serve(current: int, ready: int, starting: int) -> None:
    assert PoolState(current, ready).starting == starting
