from __future__ import annotations

from typing import Any

import pytest

from autoscaler.config.wording import path_of
from tests.config.builders import REMOVED, as_yaml, changed, error, errors, report

SECRET = "hunter2-hunter2"


def test_a_misspelt_key_is_answered_with_the_nearest_and_all_that_are_allowed() -> None:
    found = error({"spec.roles.prefill.startup_time": "240s"})

    assert found.path == "spec.roles.prefill.startup_time"
    assert found.nearest == "startupTime"
    allowed = "target, selector, min, max, gpusPerReplica, startupTime, fallbackReplicas, behavior, policy"
    assert found.allowed == allowed


def test_a_key_in_the_wrong_place_is_sent_home() -> None:
    assert "it belongs to spec.roles.prefill" in error({"spec.startupTime": "240s"}).message


def test_an_unknown_key_at_the_top_lists_the_four() -> None:
    assert error({"status": {}}).allowed == "apiVersion, kind, metadata, spec"


def test_an_unknown_word_is_answered_with_the_nearest() -> None:
    found = error({"spec.mode": "Enforce"})

    assert (found.value, found.allowed, found.nearest) == ("Enforce", "recommend, server-dry-run, enforce", "enforce")


def test_a_missing_key_is_named_with_its_path() -> None:
    found = error({"spec.objectives.ttft.target": REMOVED})

    assert (found.path, found.message) == ("spec.objectives.ttft.target", "is missing")


@pytest.mark.parametrize("changes", [{"spec.mode": "x"}, {"spec.objectives.ttft.target": "2 parsecs"}])
def test_a_default_that_follows_from_a_refused_value_is_no_problem_of_its_own(changes: dict[str, Any]) -> None:
    both = errors({**changes, "spec.prometheus": REMOVED})

    assert len(both) == 1
    assert "default factory" not in str(both[0])


def test_a_key_without_a_value_is_not_taken_for_its_default() -> None:
    found = error({"spec.roles.prefill.min": None})

    assert found.message == "has no value: give it one, or remove the key"
    assert found.value is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"spec.roles.prefill.max": "8"}, "must be a whole number, not text: take the quotes away"),
        ({"spec.roles.prefill.max": "eight"}, "must be a whole number"),
        ({"spec.roles.prefill.max": True}, "must be a whole number"),
        ({"spec.roles.prefill.max": 8.5}, "must be a whole number"),
        ({"spec.roles.prefill.gpusPerReplica": "4"}, "must be a number, not text: take the quotes away"),
        ({"spec.roles.prefill.gpusPerReplica": float("inf")}, "must be a finite number"),
        ({"spec.prometheus.tls": {"verify": "no"}}, "must be true or false"),
        ({"spec.objectives": "fast"}, "must be a mapping"),
        ({"spec.selector": ["a"]}, "must be a mapping"),
        ({"spec.roles.prefill.behavior": {"scaleUp": {"policies": {}}}}, "must be a list"),
    ],
)
def test_a_wrong_type_is_named_in_plain_words(changes: dict[str, Any], words: str) -> None:
    assert words in error(changes).message


def test_a_number_where_text_is_wanted_is_shown_in_quotes() -> None:
    found = report(as_yaml(changed({"spec.selector": {"release": "X"}})).replace("release: X", "release: 1.20")).errors[
        0
    ]

    assert found.message == "must be text: put quotes around it"
    assert (found.value, found.nearest) == ("1.20", "'1.20'")


def test_a_kubernetes_label_is_answered_with_its_name_in_prometheus() -> None:
    found = error({"spec.selector": {"llm-d.ai/role": "decode"}})

    assert found.path == "spec.selector['llm-d.ai/role']"
    assert found.nearest == "llm_d_ai_role"


def test_a_wrong_name_is_answered_with_a_right_one() -> None:
    assert error({"metadata.name": "Llama_70b"}).nearest == "llama-70b"


def test_a_misspelt_signal_is_answered_with_the_nearest() -> None:
    found = error({"spec.signals": {"decode": {"kv_utilisation_mean": "x"}}})

    assert found.path == "spec.signals.decode.kv_utilisation_mean"
    assert found.nearest == "kv_utilization_mean"


def test_problems_carry_the_line_of_their_key_and_come_in_that_order() -> None:
    text = as_yaml(changed({"spec.mode": "x", "metadata.name": "X"}))
    lines = [number for number, line in enumerate(text.splitlines(), 1) if "name: X" in line or "mode: x" in line]

    assert [problem.line for problem in report(text).errors] == lines


def test_a_document_of_another_kind_is_refused_with_one_problem() -> None:
    (found,) = report("apiVersion: apps/v1\nkind: Deployment\nmetadata: {}\nspec: {}\n").errors

    assert (found.path, found.value, found.allowed, found.line) == ("kind", "Deployment", "ScalingPolicy", 2)


def test_a_document_of_another_version_is_refused_with_one_problem() -> None:
    (found,) = errors({"apiVersion": "pd-autoscaler.io/v2", "spec": {}})

    assert (found.path, found.allowed) == ("apiVersion", "pd-autoscaler.io/v1alpha1")


@pytest.mark.parametrize(
    "prometheus",
    [
        {"bearerToken": [SECRET]},
        {"bearerToken": {"value": SECRET}},
        {"bearerToken": SECRET, "bearerTokenFile": "f"},
        {"bearerTokn": SECRET},
        {"basicAuth": SECRET},
        {"basicAuth": {"username": "u", "pasword": SECRET}},
        {"basicAuth": {"username": "u", "password": SECRET, "passwordFile": "f"}},
        {"basicAuth": {"username": 5, "password": SECRET}},
        {"headers": SECRET},
        {"headers": [SECRET]},
        {"headers": {"bad name": SECRET}},
        {"headers": {"X-A": f"{SECRET}\n"}},
        {"headers": {"X-A": [SECRET]}},
        {"url": f"http://me:{SECRET}@prometheus"},
        {"url": f"ftp://me:{SECRET}@prometheus"},
        {"url": f"//me:{SECRET}@prometheus"},
        {"url": f"me:{SECRET}@prometheus"},
        {"url": f"http://me:{SECRET}@[x"},
        {"url": f"http://me:{SECRET}/ {SECRET}@x"},
        {"tls": {"keyFile": f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n", "certFile": "c"}},
        SECRET,
        [SECRET],
        f"http://me:{SECRET}@prometheus",
    ],
)
def test_no_problem_shows_a_secret(prometheus: object) -> None:
    found = errors({"spec.prometheus": prometheus})

    assert found
    assert SECRET not in "".join(str(problem) for problem in found)


def test_a_long_value_is_cut() -> None:
    assert len(error({"spec.mode": "x" * 5000}).value or "") < 70


@pytest.mark.parametrize(("path", "value"), [("spec.mode", "enforce"), ("apiVersion", "pd-autoscaler.io/v1alpha1")])
def test_a_line_end_too_many_is_shown_and_does_not_end_the_message(path: str, value: str) -> None:
    found = error({path: f"{value}\n"})

    assert found.value == f"'{value}\\n'"
    assert "\n" not in str(found)


def test_a_path_reads_like_the_document() -> None:
    path = path_of(("spec", "roles", "prefill", "behavior", "scaleUp", "policies", 0, "value"))

    assert path == "spec.roles.prefill.behavior.scaleUp.policies[0].value"
