from __future__ import annotations

import pytest

from autoscaler.sources.promql.matchers import Matcher


@pytest.mark.parametrize(
    ("matcher", "accepted", "refused"),
    [
        (Matcher("pod", "a"), ["a"], ["", "ab"]),
        (Matcher("pod", ""), [""], ["a"]),
        (Matcher("pod", "a", is_negated=True), ["", "ab"], ["a"]),
        (Matcher("pod", "a.*", is_regex=True), ["a", "ab"], ["", "ba", "a\n"]),
        (Matcher("pod", "a|b", is_regex=True), ["a", "b"], ["ab"]),
        (Matcher("pod", "", is_regex=True), [""], ["a"]),
        (Matcher("pod", "a$", is_regex=True), ["a"], ["a\n"]),
        (Matcher("pod", r"\d", is_regex=True), ["7"], ["٧"]),
        (Matcher("pod", "(?i)prefill", is_regex=True), ["Prefill"], ["decode"]),
        (Matcher("pod", "a.*", is_regex=True, is_negated=True), ["", "b"], ["ab"]),
    ],
)
def test_a_matcher_sees_the_whole_value(matcher: Matcher, accepted: list[str], refused: list[str]) -> None:
    assert [value for value in accepted + refused if matcher.accepts(value)] == accepted
