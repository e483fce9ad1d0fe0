"""How busy each pod is: what is asked on every stack, and what is made of the answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import log, nan
from pathlib import Path

import pytest

from autoscaler.config import load_paths
from autoscaler.core.policy import Role
from autoscaler.daemon.pod_load import PodLoads, load_expressions
from autoscaler.daemon.queries import pod_label, service_queries
from autoscaler.sources.answers import Answer, Element
from autoscaler.sources.promql import check
from autoscaler.stacks.queries import ServiceQueries
from tests.daemon.builders import HandClock

VLLM = Path("policies/vllm.yaml")


def queries_of(file: Path) -> tuple[ServiceQueries, str]:
    (loaded,) = load_paths([file])
    return service_queries(loaded.policy), pod_label(loaded.policy)


@dataclass
class Source:
    """Answers each expression with what the test has for it, in order."""

    queries: ServiceQueries
    answers: list[Answer] = field(default_factory=list)

    def ask(self, expressions: Iterable[str], now_s: float, /) -> Mapping[str, Answer]:  # noqa: ARG002 - no time
        return dict(zip(expressions, self.answers, strict=True))


def pods(**requests: float) -> Answer:
    return Answer(tuple(Element({"pod": name}, value) for name, value in requests.items()))


def loads(*answers: Answer) -> PodLoads:
    queries, label = queries_of(VLLM)
    return PodLoads(Source(queries, list(answers)), label, HandClock())


@pytest.mark.parametrize("file", sorted(Path("policies").glob("*.yaml")), ids=lambda file: file.stem)
@pytest.mark.parametrize("role", [Role.PREFILL, Role.DECODE])
def test_every_stack_tells_how_busy_each_replica_is(file: Path, role: Role) -> None:
    queries, label = queries_of(file)

    gauges = load_expressions(queries, role, label)

    assert gauges != []
    assert all(text.startswith(f"sum by ({label}) (") for ways in gauges for text in ways)


def test_the_expressions_can_be_evaluated_without_a_server_too() -> None:
    queries, label = queries_of(VLLM)

    assert [check(text) for ways in load_expressions(queries, Role.DECODE, label) for text in ways]


def test_what_runs_and_what_waits_counts() -> None:
    assert loads(pods(a=3.0, b=1.0), pods(a=2.0, c=nan)).requests(Role.DECODE) == {"a": 5.0, "b": 1.0}


def test_engines_that_tell_nothing_are_asked_about_in_another_way() -> None:
    queries, label = queries_of(Path("policies/dynamo.yaml"))
    source = Source(queries, [pods(), pods(a=1.0, b=0.0)])

    assert PodLoads(source, label, HandClock()).requests(Role.PREFILL) == {"a": 1.0, "b": 0.0}


def test_half_an_answer_is_none() -> None:
    assert loads(pods(a=3.0), Answer(error="down")).requests(Role.DECODE) == {}


def test_series_without_a_pod_are_nobodys() -> None:
    assert loads(Answer((Element({}, 4.0),)), pods()).requests(Role.DECODE) == {}


def test_a_role_without_gauges_is_not_asked_about() -> None:
    assert loads().requests(Role.AGGREGATED) == {}


@pytest.mark.parametrize(
    ("answers", "seconds"),
    [
        ((pods(x=200.0), pods(x=0.02)), 4.0 * log(100.0)),
        ((pods(x=200.0), pods()), None),
        ((pods(x=nan), pods(x=0.02)), None),
    ],
)
def test_the_longest_streams_follow_from_the_mean_one(answers: tuple[Answer, ...], seconds: float | None) -> None:
    assert loads(*answers).longest_stream_s() == (None if seconds is None else pytest.approx(seconds))
