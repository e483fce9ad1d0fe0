from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.config import ScalingPolicy
from autoscaler.config.load import FileReport, parse
from tests.config.builders import changed
from tests.config.test_model import HPA_BEHAVIOR

FULL = changed(
    {
        "spec.mode": "enforce",
        "spec.interval": "20s",
        "spec.selector": {"namespace": "serving"},
        "spec.objectives.attainment": "99%",
        "spec.objectives.ttft.percentile": "p99",
        "spec.roles.prefill.min": 1,
        "spec.roles.prefill.fallbackReplicas": 2,
        "spec.roles.prefill.startupTime": "240s",
        "spec.roles.decode.behavior": HPA_BEHAVIOR,
        "spec.signals": {"decode": {"waiting": "sum(waiting)"}},
        "spec.prometheus": {
            "url": "https://prometheus",
            "basicAuth": {"username": "u", "password": "p"},
            "tls": {"caFile": "/ca.pem", "verify": True},
            "headers": {"X-Scope-OrgID": "team-a"},
            "timeout": "5s",
        },
    }
)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["5s", "1ms", "99%", "p95", "0", "-1", "1e400s", "http://h", "{x}", "$prefill", "9" * 70 + "h"]),
)
junk = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


PLACES = list(places(FULL))


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    document = copy.deepcopy(FULL)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(PLACES))
        holder: Any = document
        try:
            for key in place[:-1]:
                holder = holder[key]
            match draw(st.sampled_from(["replace", "remove", "rename"])):
                case "replace":
                    holder[place[-1]] = draw(junk)
                case "remove":
                    del holder[place[-1]]
                case _:
                    holder[draw(st.text(max_size=12))] = holder.pop(place[-1])
        except (AttributeError, KeyError, IndexError, TypeError):
            continue  # an earlier change took the place away
    return document


def checked(raw: bytes) -> FileReport:
    report = parse(raw, Path("policy.yaml"))
    for problem in report.errors:
        assert problem.message
        assert "\n" not in str(problem)
        assert problem.file == "policy.yaml"
    for loaded in report.policies:
        loaded.policy.core()
    return report


@settings(max_examples=300)
@given(mutated())
def test_a_mutated_policy_is_used_or_refused_with_words_and_never_crashes(document: dict[str, Any]) -> None:
    report = checked(yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "surrogatepass"))

    assert bool(report.errors) != bool(report.policies)


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_policy_and_no_crash(raw: bytes) -> None:
    assert checked(raw).policies == ()


TEXT = yaml.safe_dump(FULL).encode()


@settings(max_examples=300)
@given(st.integers(0, len(TEXT) - 1), st.integers(0, 20), st.binary(max_size=6))
def test_a_damaged_file_never_crashes(start: int, length: int, inserted: bytes) -> None:
    checked(TEXT[:start] + inserted + TEXT[start + length :])


@settings(max_examples=200)
@given(mutated())
def test_what_is_accepted_reads_back_the_same(document: dict[str, Any]) -> None:
    report = parse(yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "surrogatepass"), Path("policy.yaml"))

    for loaded in report.policies:
        dumped = loaded.policy.model_dump(mode="json", by_alias=True, exclude_none=True)
        again = ScalingPolicy.model_validate(dumped)
        assert again.core() == loaded.policy.core()
