from __future__ import annotations

import pytest

from autoscaler.config.problems import PolicyError, Problem, Severity, nearest

KEYS = ("target", "selector", "min", "max", "gpusPerReplica", "startupTime", "fallbackReplicas", "behavior")


def test_a_problem_says_where_what_and_what_next() -> None:
    problem = Problem("spec.mode", "is not known", "enforced", "recommend, enforce", "enforce", "a.yaml", 7)

    expected = "a.yaml:7: spec.mode: is not known (got enforced, allowed: recommend, enforce, did you mean enforce?)"
    assert str(problem) == expected


def test_a_problem_of_a_whole_file_has_neither_line_nor_path() -> None:
    assert str(Problem("", "is empty", file="a.yaml")) == "a.yaml: is empty"


def test_a_warning_is_marked_as_one() -> None:
    problem = Problem("spec.interval", "is long", file="a.yaml", line=3, severity=Severity.WARNING)

    assert str(problem) == "a.yaml:3: warning: spec.interval: is long"


def test_a_policy_error_shows_all_problems_one_a_line() -> None:
    assert str(PolicyError([Problem("a", "x"), Problem("b", "y")])) == "a: x\nb: y"


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("startup_time", "startupTime"),
        ("STARTUPTIME", "startupTime"),
        ("startupTme", "startupTime"),
        ("minReplicas", "min"),
        ("gpuPerReplica", "gpusPerReplica"),
        ("banana", None),
        ("", None),
    ],
)
def test_the_nearest_name_is_the_one_that_was_meant(word: str, meant: str | None) -> None:
    assert nearest(word, KEYS) == meant
