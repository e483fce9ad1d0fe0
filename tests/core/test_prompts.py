"""Where prompts are counted, and which of them prefill gets."""

from __future__ import annotations

import math

import pytest

from autoscaler.core.decision import SwitchStep
from autoscaler.core.lengths import lengths_now
from autoscaler.core.prompts import Prompts, prompts_now
from tests.support.core import Missing, Reading, snapshot

BOTH_PLACES: dict[str, Reading] = {
    "prefill.offered_tokens_per_s": 3000.0,
    "prefill.uncached_ratio": 0.25,
    "decode.offered_tokens_per_s": 5000.0,
    "decode.uncached_ratio": 0.75,
}


def now(step: SwitchStep, changes: dict[str, Reading] | None = None, threshold_tokens: float = 0.0) -> Prompts:
    found = prompts_now(snapshot(changes), step, threshold_tokens)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("step", "tokens_per_s"),
    [
        (SwitchStep.ON, 3000.0),
        (SwitchStep.GROWING_DECODE, 3000.0),
        (SwitchStep.OFF, 5000.0),
        (SwitchStep.GROWING_PREFILL, 5000.0),
    ],
)
def test_prompts_are_counted_where_the_switch_sends_them(step: SwitchStep, tokens_per_s: float) -> None:
    assert now(step, BOTH_PLACES).tokens_per_s == tokens_per_s


@pytest.mark.parametrize(("prefill", "larger"), [(3000.0, 0.75), (8000.0, 0.25)])
@pytest.mark.parametrize("step", [SwitchStep.OPENING, SwitchStep.CLOSING, SwitchStep.DRAINING_PREFILL])
def test_while_the_switch_moves_the_place_that_counts_more_tells_the_load(
    step: SwitchStep, prefill: float, larger: float
) -> None:
    found = now(step, {**BOTH_PLACES, "prefill.offered_tokens_per_s": prefill})

    assert (found.tokens_per_s, found.uncached_ratio) == (max(prefill, 5000.0), larger)


def test_while_the_switch_moves_one_place_that_tells_is_enough() -> None:
    assert now(SwitchStep.OPENING, {**BOTH_PLACES, "decode.offered_tokens_per_s": Missing.STALE}).tokens_per_s == 3000.0


def test_nothing_is_told_where_no_place_can_tell() -> None:
    assert prompts_now(snapshot({"prefill.offered_tokens_per_s": Missing.ABSENT}), SwitchStep.ON) is None


@pytest.mark.parametrize("reading", [Missing.ABSENT, 1.0, 1.5])
def test_all_of_a_prompt_is_computed_where_no_cache_is_known_to_hold_any(reading: Reading) -> None:
    assert now(SwitchStep.ON, {"prefill.uncached_ratio": reading}).uncached_ratio == 1.0


def test_under_a_threshold_prefill_gets_the_long_prompts_alone() -> None:
    lengths = lengths_now(snapshot())
    assert lengths is not None

    found = now(SwitchStep.ON, threshold_tokens=4096.0)

    mean_of_the_long = lengths.tokens_above(4096.0) / lengths.share_above(4096.0)
    assert found.mean_tokens is not None
    assert found.mean_tokens == pytest.approx(2000.0 * mean_of_the_long / lengths.tokens_above(0.0))
    assert found.mean_tokens > 4096.0
    assert found.squares_ratio == 1.0 < now(SwitchStep.ON).squares_ratio


@pytest.mark.parametrize("threshold_tokens", [0.0, 4096.0])
def test_without_quantiles_prompts_are_taken_to_be_as_long_as_their_mean(threshold_tokens: float) -> None:
    unknown: dict[str, Reading] = {"service.input_tokens_p90": Missing.UNKNOWN_TO_STACK}

    found = now(SwitchStep.ON, unknown, threshold_tokens)

    assert (found.mean_tokens, found.squares_ratio) == (2000.0, 1.0)


def test_a_threshold_of_never_says_nothing_of_lengths() -> None:
    assert now(SwitchStep.ON, threshold_tokens=math.inf).mean_tokens == 2000.0
