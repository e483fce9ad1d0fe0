from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from autoscaler.core.policy import Role
from autoscaler.core.signals import Scope
from autoscaler.sources.history import History, HistoryError, HistoryReader
from autoscaler.sources.query_client import Failure, FailureKind
from autoscaler.stacks.candidates import Kind
from autoscaler.stacks.queries import Candidate, Expression, ReplicaQuery, ServiceQueries, SignalQuery

STEP_S = 120.0
MEAN = 'sum(rate(tokens_sum{role="decode"}[5m])) / (sum(rate(tokens_count{role="decode"}[5m])) > 0)'

Points = list[list[Any]]
Answers = Callable[[str, float, float], list[dict[str, Any]] | Failure]


def candidate(text: str, note: str = "") -> Candidate:
    return Candidate(Kind.VALUE, (Expression(text, (f"{text}_selector",)),), note=note)


def queries(*ways: str, **changes: Any) -> ServiceQueries:
    signals = (
        SignalQuery(Scope.SERVICE, "request_rate", tuple(candidate(way) for way in ways)),
        SignalQuery(Scope.SERVICE, "input_tokens_mean", (candidate(MEAN),)),
    )
    replicas = {Role.DECODE: ReplicaQuery((candidate("asked"),), (candidate("ready"),))}
    return ServiceQueries(
        **{"service": "chat", "stack": "own", "signals": signals, "replicas": replicas}
        | {"stale_after_s": 60.0}
        | changes
    )


def points(value: float, start_s: float, end_s: float) -> Points:
    return [[at_s, str(value)] for at_s in np.arange(start_s, end_s + 1, STEP_S).tolist()]


class Told:
    """A server that answers as it is told."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def ask_range(self, expression: str, start_s: float, end_s: float, *_rest: float) -> list[dict[str, Any]] | Failure:
        return self._answers(expression, start_s, end_s)

    def close(self) -> None:
        """Holds nothing."""


def read(asked: ServiceQueries, answers: Answers, *, steps: int = 10) -> History:
    reader = HistoryReader(asked, Told(answers))
    return reader.read(0.0, steps * STEP_S, STEP_S, [(Scope.SERVICE, "request_rate"), (Scope.SERVICE, "nonsense")])


def test_the_first_way_that_has_a_value_at_a_step_is_taken_at_that_step() -> None:
    def answers(text: str, start_s: float, end_s: float) -> list[dict[str, Any]]:
        if text == "new":
            return [{"metric": {}, "values": points(2.0, 6 * STEP_S, end_s)}]
        return [{"metric": {}, "values": points(1.0, start_s, end_s)}] if text == "old" else []

    history = read(queries("new", "old"), answers)

    assert history.signal(Scope.SERVICE, "request_rate").tolist() == [1.0] * 5 + [2.0] * 5
    assert np.isnan(history.signal(Scope.SERVICE, "nonsense")).all()
    assert np.isnan(history.asked_for[Role.DECODE]).all()


def test_a_long_time_is_asked_for_in_parts_that_servers_accept() -> None:
    spans = []

    def answers(text: str, start_s: float, end_s: float) -> list[dict[str, Any]]:
        if text == "rate":
            spans.append(round((end_s - start_s) / STEP_S) + 1)
        return [{"metric": {}, "values": points(1.0, start_s, end_s)}]

    history = read(queries("rate"), answers, steps=4000)

    assert max(spans) <= 1500
    assert sum(spans) == history.at_s.size == 4000
    assert (history.signal(Scope.SERVICE, "request_rate") == 1.0).all()


def test_the_histogram_behind_a_mean_is_found_and_taken_apart() -> None:
    wanted = 'sum by (le) (rate(tokens_bucket{role="decode"}[120s]))'

    def answers(text: str, start_s: float, end_s: float) -> list[dict[str, Any]]:
        counts = {"10": 1.0, "100": 4.0, "+Inf": 5.0} if text == wanted else {}
        return [{"metric": {"le": le}, "values": points(count, start_s, end_s)} for le, count in counts.items()]

    history = read(queries("rate"), answers)

    assert history.inputs is not None
    assert history.inputs.bounds.tolist() == [10, 100, np.inf]
    assert history.inputs.rates[0].tolist() == [1, 3, 1]
    assert history.outputs is None


def test_a_dialect_that_most_of_the_time_is_told_in_is_spoken() -> None:
    other = queries("spoken", dialect="b_", probe="b_running")

    def answers(text: str, start_s: float, end_s: float) -> list[dict[str, Any]]:
        return (
            [{"metric": {}, "values": points(3.0, start_s, end_s)}]
            if text in ("spoken", "max(timestamp(b_running))")
            else []
        )

    history = read(queries("unspoken", dialect="a_", probe="a_running", alternatives=(other,)), answers)

    assert (history.signal(Scope.SERVICE, "request_rate") == 3.0).all()


def test_a_query_that_this_server_does_not_understand_is_no_obstacle() -> None:
    def answers(text: str, start_s: float, end_s: float) -> list[dict[str, Any]] | Failure:
        if text == "new":
            return Failure(FailureKind.EXPRESSION, "unknown function", hopeless=False)
        return [{"metric": {}, "values": points(1.0, start_s, end_s)}]

    assert (read(queries("new", "old"), answers).signal(Scope.SERVICE, "request_rate") == 1.0).all()


def test_a_server_that_fails_ends_the_reading_in_its_own_words() -> None:
    with pytest.raises(HistoryError, match="took no connection"):
        read(queries("rate"), lambda *_: Failure(FailureKind.TIMEOUT, "took no connection within 60 s", hopeless=True))


def test_why_a_signal_is_missing_is_kept() -> None:
    history = read(queries("rate"), lambda *_: [])

    assert "no series match rate_selector" in history.why_absent[Scope.SERVICE, "request_rate"]
