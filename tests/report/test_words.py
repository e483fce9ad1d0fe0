from __future__ import annotations

import pytest

from autoscaler.core.decision import Reason
from autoscaler.core.signals import Signal, SignalState, measured
from autoscaler.report.words import binding_stage, quantity, reason_text, signal_text, story_text
from tests.report.builders import growing, steady


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0.625, "ratio", "62.5 %"),
        (0.0302, "s", "30.2 ms"),
        (12.0, "s", "12 s"),
        (0.0, "s", "0 s"),
        (40.0, "requests", "40 requests"),
        (12_345.0, "tokens/s", "12.3k tokens/s"),
    ],
)
def test_a_quantity_is_short_and_has_its_unit(value: float, unit: str, words: str) -> None:
    assert quantity(value, unit) == words


def test_a_stale_number_is_not_shown_as_if_it_were_fresh() -> None:
    assert signal_text(Signal(0.5, "ratio", 90.0, SignalState.STALE)) == "stale"
    assert signal_text(measured(0.5, "ratio", 1.0)) == "50 %"


def test_the_last_stage_that_changed_the_number_binds() -> None:
    assert binding_stage(growing()).reason is Reason.AT_MAX


def test_the_reason_is_that_of_the_binding_stage() -> None:
    assert reason_text(growing()) == "at max: the policy allows at most 5"


def test_the_story_names_the_proposal_and_the_guard_that_binds() -> None:
    words = story_text(growing("40 waiting must drain in 0.4 s"))

    assert words == "prefill backlog: 40 waiting must drain in 0.4 s; at max: the policy allows at most 5"


def test_the_story_names_the_proposal_alone_when_no_guard_binds() -> None:
    assert story_text(steady()) == "kv utilization: 3 replicas at 70% of their KV"


def test_the_proposal_binds_when_nothing_changed() -> None:
    assert binding_stage(steady()) == steady().stages[0]
