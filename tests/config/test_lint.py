from __future__ import annotations

from typing import Any

import pytest

from autoscaler.config.problems import Severity
from tests.config.builders import REMOVED, warnings

LLAMA = {"model": "llama-3.1-70b", "gpu": "h100", "tensorParallel": 4}
DEEPSEEK = {"model": "deepseek-r1", "gpu": "h200", "tensorParallel": 8}


def test_a_sensible_policy_has_no_warnings() -> None:
    assert warnings({}) == []


@pytest.mark.parametrize(("engine", "tpot"), [(LLAMA, "16ms"), (DEEPSEEK, "16ms")])
def test_an_objective_just_within_what_the_engine_can_do_alone_is_not_doubted(
    engine: dict[str, Any], tpot: str
) -> None:
    assert warnings({"spec.engine": engine, "spec.objectives.tpot.target": tpot}) == []


def test_a_policy_without_an_address_is_noted_and_not_refused() -> None:
    (note,) = warnings({"spec.prometheus": REMOVED})

    assert note.severity is Severity.NOTE
    assert "--prometheus URL" in note.message


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        (
            {"spec.objectives.ttft.target": "500ms", "spec.objectives.tpot.target": "800ms"},
            "spec.objectives.tpot.target",
            "are the two swapped",
        ),
        ({"spec.objectives.tpot.target": "1ms"}, "spec.objectives.tpot.target", "no number of replicas"),
        ({"spec.objectives.tpot.target": "1500ms"}, "spec.objectives.tpot.target", "is the unit ms"),
        (
            {"spec.objectives.ttft.target": "10ms", "spec.objectives.tpot.target": "5ms"},
            "spec.objectives.ttft.target",
            "no number of replicas",
        ),
        ({"spec.objectives.ttft.target": "10m"}, "spec.objectives.ttft.target", "is the unit ms"),
        (
            {"spec.engine": LLAMA, "spec.objectives.tpot.target": "15ms"},
            "spec.objectives.tpot.target",
            "a step with one short sequence takes 15.2ms by spec.engine (built-in table, llama-3.1-70b bf16",
        ),
        (
            {"spec.engine": DEEPSEEK, "spec.objectives.ttft.target": "35ms", "spec.objectives.tpot.target": "20ms"},
            "spec.objectives.ttft.target",
            "a pass with one short prompt takes 39.2ms by spec.engine",
        ),
        (
            {"spec.roles.prefill.selector": {"role": "decode"}, "spec.roles.decode.selector": {"role": "decode"}},
            "spec.roles.decode.selector",
            "nothing tells the pools apart",
        ),
        ({"spec.objectives.ttft.percentile": "p5"}, "spec.objectives.ttft.percentile", "more than half"),
        ({"spec.objectives.attainment": "40%"}, "spec.objectives.attainment", "more than half"),
        ({"spec.staleAfter": "10s"}, "spec.staleAfter", "shorter than the interval, 15s"),
        (
            {"spec.staleAfter": "30s", "spec.prometheus": REMOVED, "spec.scrape": {"interval": "20s"}},
            "spec.staleAfter",
            "one late scrape",
        ),
        (
            {"spec.fallbackAfter": "30s", "spec.roles.decode.fallbackReplicas": 2},
            "spec.fallbackAfter",
            "shorter than staleAfter, 1m",
        ),
        ({"spec.fallbackAfter": "10m"}, "spec.fallbackAfter", "neither role has fallbackReplicas"),
        ({"spec.roles.prefill.min": 0}, "spec.roles.prefill.min", "a whole startup"),
        (
            {"spec.roles.prefill.behavior": {"scaleUp": {"stabilizationWindowSeconds": 10}}},
            "spec.roles.prefill.behavior.scaleUp.stabilizationWindowSeconds",
            "no two decisions",
        ),
        (
            {
                "spec.roles.decode.behavior": {
                    "scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 10}]}
                }
            },
            "spec.roles.decode.behavior.scaleDown.policies[0].periodSeconds",
            "at every decision",
        ),
        (
            {"spec.roles.decode.behavior": {"scaleUp": {"selectPolicy": "Disabled"}}},
            "spec.roles.decode.behavior.scaleUp.selectPolicy",
            "can never grow",
        ),
        ({"spec.prometheus.timeout": "15s"}, "spec.prometheus.timeout", "delays decisions"),
        ({"spec.prometheus": {"url": "https://p", "tls": {"verify": False}}}, "spec.prometheus.tls.verify", "steer"),
        ({"spec.prometheus.tls": {"caFile": "ca.pem"}}, "spec.prometheus.tls", "has no effect"),
        ({"spec.prometheus.bearerToken": "t"}, "spec.prometheus.url", "in clear text"),
    ],
)
def test_what_is_probably_not_meant_is_a_warning(changes: dict[str, Any], path: str, words: str) -> None:
    (found,) = warnings(changes)

    assert (found.path, found.severity) == (path, Severity.WARNING)
    assert words in found.message
    assert found.line is not None


def test_default_rates_give_no_warning_when_decisions_are_rarer() -> None:
    assert warnings({"spec.interval": "60s"}) == []
