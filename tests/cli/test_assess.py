from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from autoscaler.cli.assess import assess, checked_price
from autoscaler.cli.engine_fit import Fit, corrected, fit_of
from autoscaler.cli.exits import CliError, ExitCode
from autoscaler.cli.history import gpus_used, load_of
from autoscaler.cli.measured import risk_of
from autoscaler.cli.spans import parse_since_s
from autoscaler.core.policy import LatencyObjective, Objectives, Role
from autoscaler.core.signals import Scope
from autoscaler.report.assessment import Price
from autoscaler.simulation.replay import NOBODY
from autoscaler.sources.history import History
from tests.e2e.day_one import policy

STEPS = 20
OBJECTIVES = Objectives(LatencyObjective(0.95, 2.0), LatencyObjective(0.95, 0.05), 0.99)
POLICY = policy("http://nowhere").core()


def history(**signals: float | list[float]) -> History:
    """Signals by `scope__name`, constant or step by step."""
    values = {
        (Scope(name.partition("__")[0]), name.partition("__")[2]): np.broadcast_to(value, STEPS).astype(np.float64)
        for name, value in signals.items()
    }
    two = np.full(STEPS, 2.0)
    counts = {Role.PREFILL: two, Role.DECODE: two}
    return History(120.0 * np.arange(1.0, STEPS + 1), 120.0, values, {}, counts, counts, None, None)


def test_a_promise_is_broken_where_too_few_were_in_time() -> None:
    shares = [0.99] * 15 + [0.9] * 5
    found = risk_of(history(service__ttft_attainment_ratio=shares, service__ttft_s=1.0), OBJECTIVES)

    assert found["ttft"].tolist() == [0.0] * 15 + [1.0] * 5
    assert np.isnan(found["tpot"]).all()


def test_where_no_share_is_known_the_percentile_decides() -> None:
    found = risk_of(history(service__tpot_s=[0.04] * 10 + [0.06] * 10), OBJECTIVES)

    assert found["tpot"].sum() == 10


@pytest.mark.parametrize(
    ("signals", "absent", "words"),
    [
        (
            {"service__request_rate": np.nan},
            "request_rate",
            "chat: the request rate is not known at any time: too many",
        ),
        (
            {"service__request_rate": 1.0, "service__output_tokens_mean": 9.0},
            "input_tokens_mean",
            "chat: the input tokens mean is not known at any time: too many samples",
        ),
        ({"service__request_rate": 0.0}, "input_tokens_mean", "holds no request"),
    ],
)
def test_a_load_that_cannot_be_made_says_which_signal_it_lacks_and_why(
    signals: dict[str, float], absent: str, words: str
) -> None:
    known = replace(history(**signals), why_absent={(Scope.SERVICE, absent): "too many samples"})

    with pytest.raises(CliError, match=words) as ended:
        load_of(known, 0, "chat")

    assert ended.value.code is ExitCode.UNHEALTHY


def test_timing_that_is_measured_to_be_right_needs_no_correction() -> None:
    engine = POLICY.roles[Role.PREFILL].engine
    assert engine is not None
    prefill_s = engine.prefill.request_ms(1000.0, 500.0) / 1e3
    step_s = engine.decode.step_ms(10.0, 0.5 * engine.kv_capacity_tokens) / 1e3

    fit = fit_of(
        history(
            prefill__prefill_time_s=prefill_s,
            prefill__uncached_ratio=0.5,
            service__input_tokens_mean=1000.0,
            decode__step_time_s=step_s,
            decode__running=20.0,
            decode__kv_utilization_mean=0.5,
        ),
        POLICY,
    )

    assert fit.prefill_ratio == pytest.approx(1.0)
    assert fit.decode_ratio == pytest.approx(1.0)
    assert fit.trust_ratio == pytest.approx(1.0)


def test_timing_is_corrected_by_what_was_measured() -> None:
    slower = corrected(POLICY, Fit(2.0, 1.5))

    for role, pool in slower.roles.items():
        was, now = POLICY.roles[role].engine, pool.engine
        assert was is not None
        assert now is not None
        assert now.prefill.request_ms(1000.0) == pytest.approx(2.0 * was.prefill.request_ms(1000.0))
        assert now.decode.step_ms(8.0, 1e4) == pytest.approx(1.5 * was.decode.step_ms(8.0, 1e4))


def test_timing_of_another_engine_is_distrusted_and_left_alone() -> None:
    fit = Fit(9.0, 1.0)

    assert fit.trust_ratio == 0.0
    assert corrected(POLICY, replace(fit, decode_ratio=None)) == POLICY


def test_without_any_measured_time_trust_is_low() -> None:
    assert Fit(None, None).trust_ratio < 0.5 < Fit(1.0, None).trust_ratio


def test_gpus_are_unknown_while_the_count_of_any_role_is() -> None:
    known = history()
    gap = known.asked_for[Role.PREFILL].copy()
    gap[3] = np.nan
    patchy = replace(known, asked_for={**known.asked_for, Role.PREFILL: gap})

    used = gpus_used(patchy, {Role.PREFILL: 4.0, Role.DECODE: 8.0})

    assert used[2] == 2 * 4 + 2 * 8
    assert np.isnan(used[3])
    assert np.isnan(gpus_used(known, {Role.AGGREGATED: 1.0})).all()


@pytest.mark.parametrize(("text", "seconds"), [("36h", 129_600), ("7d", 604_800), ("90m", 5400)])
def test_times_are_read_in_days_too(text: str, seconds: float) -> None:
    assert parse_since_s(text) == seconds


@pytest.mark.parametrize("text", ["yesterday", "5m", "-2d", "d", "", "367d", "1000000d", "²d", "9" * 5000 + "d"])
def test_a_time_that_is_none_or_too_short_is_refused(text: str) -> None:
    with pytest.raises(CliError, match="wants a time of at least ten minutes"):
        parse_since_s(text)


def test_a_price_is_an_amount() -> None:
    assert checked_price("2.5", "EUR") == Price(2.5, "EUR")
    assert checked_price("2.5", None) == Price(2.5, "USD")
    assert checked_price(None, None).of(10.0) is None
    for text in ("cheap", "-1", "nan"):
        with pytest.raises(CliError, match="wants an amount"):
            checked_price(text, "EUR")


def test_a_currency_without_a_price_is_refused() -> None:
    with pytest.raises(CliError, match="--currency EUR is that of --gpu-hour-price: pass that too"):
        checked_price(None, "EUR")


def test_a_prometheus_that_is_not_there_is_said_before_anything_is_made() -> None:
    with pytest.raises(CliError, match="cannot be reached") as ended:
        assess(policy("http://127.0.0.1:1"), None, 3600.0, Price(), seed=0, watcher=NOBODY)

    assert ended.value.code is ExitCode.UNHEALTHY
