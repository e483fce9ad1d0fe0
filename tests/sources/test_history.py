from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from autoscaler.core.policy import Role
from autoscaler.core.signals import Scope
from autoscaler.sources.history import History, HistoryError, HistoryReader
from autoscaler.sources.http import Connection
from autoscaler.sources.query_client import Failure, FailureKind, QueryClient
from autoscaler.stacks.candidates import Kind
from autoscaler.stacks.queries import Candidate, Expression, ReplicaQuery, ServiceQueries, SignalQuery
from tests.support.loopback import Reply, running_loopback

STEP_S = 120.0
RATE = (Scope.SERVICE, "request_rate")
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


TOO_MANY = Failure(FailureKind.EXPRESSION, "refused the query (422): too many samples", hopeless=False)


def test_a_server_that_refuses_every_question_is_quoted() -> None:
    with pytest.raises(HistoryError, match="too many samples"):
        read(queries("rate"), lambda *_: TOO_MANY)


def test_a_signal_whose_query_is_refused_is_absent_in_the_words_of_the_server() -> None:
    history = read(queries("rate"), lambda text, *_: TOO_MANY if text == "rate" else [])

    assert history.why_absent[Scope.SERVICE, "request_rate"] == "refused the query (422): too many samples"


def test_a_signal_of_which_one_way_is_refused_tells_of_both() -> None:
    history = read(queries("old", "rate"), lambda text, *_: TOO_MANY if text == "rate" else [])

    why = history.why_absent[Scope.SERVICE, "request_rate"]
    assert "no series match old_selector" in why
    assert why.endswith("refused the query (422): too many samples")


def test_a_value_that_cannot_be_is_named() -> None:
    history = read(queries("rate"), lambda _text, *span: [{"metric": {}, "values": points(-5.0, *span)}])

    assert history.why_absent[RATE] == "its value is -5, which cannot be"


def test_points_at_times_that_nobody_asked_for_are_left_out() -> None:
    def answers(_text: str, start_s: float, end_s: float) -> list[dict[str, Any]]:
        strange: Points = [[-1e300, "9"], [start_s - STEP_S, "9"], [end_s + STEP_S, "9"], [9e12, "9"]]
        return [{"metric": {}, "values": points(1.0, start_s, end_s) + strange}, {"metric": {"a": "b"}, "values": []}]

    assert (read(queries("rate"), answers).signal(*RATE) == 1.0).all()


def test_a_bucket_whose_bound_is_no_number_is_left_out() -> None:
    def answers(text: str, start_s: float, end_s: float) -> list[dict[str, Any]]:
        counts = {"10": 1.0, "x": 2.0, "100": 4.0} if "_bucket" in text else {}
        return [{"metric": {"le": le}, "values": points(count, start_s, end_s)} for le, count in counts.items()]

    inputs = read(queries("rate"), answers).inputs

    assert inputs is not None
    assert inputs.bounds.tolist() == [10, 100]


def matrix(series: str) -> bytes:
    return f'{{"status": "success", "data": {{"resultType": "matrix", "result": {series}}}}}'.encode()


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Sign in</html>",
        b"null",
        b"[]",
        b"[" * 200_000,
        b'{"a": ' + b"9" * 10_000 + b"}",
        matrix("null"),
        matrix('{"a": 1}'),
        matrix('[1, "2"]'),
        matrix("[5]"),
        matrix('[{"values": [[120, "1"]]}]'),
        matrix('[{"metric": {}}]'),
        matrix('[{"metric": {}, "values": null}]'),
        matrix('[{"metric": [1], "values": [[120, "1"]]}]'),
        matrix('[{"metric": {"a": null}, "values": [[120, "1"]]}]'),
        matrix('[{"metric": {}, "values": [[120, "x"]]}]'),
        matrix('[{"metric": {}, "values": [[120]]}]'),
        matrix('[{"metric": {}, "values": [["soon", "1"]]}]'),
        matrix('[{"metric": {}, "values": [[NaN, "1"]]}]'),
        matrix(f'[{{"metric": {{}}, "values": [[120, {"9" * 4000}]]}}]'),
    ],
    ids=lambda body: body[:90].decode(),
)
def test_an_answer_of_another_form_is_named_so(body: bytes) -> None:
    with running_loopback(lambda _: Reply(200, body)) as server:
        client = QueryClient(Connection(server.url))
        found = client.ask_range("up", 0.0, 240.0, STEP_S, 5.0)
        client.close()

    assert isinstance(found, Failure)
    assert found.kind is FailureKind.MALFORMED
    assert "is it a Prometheus API?" in found.message


def test_series_without_points_are_no_obstacle() -> None:
    body = matrix('[{"metric": {}, "values": []}, {"metric": {"a": "b"}, "values": [[120, "NaN"], [240, "+Inf"]]}]')
    with running_loopback(lambda _: Reply(200, body)) as server:
        client = QueryClient(Connection(server.url))
        found = client.ask_range("up", 0.0, 240.0, STEP_S, 5.0)
        client.close()

    assert isinstance(found, list)
    assert [one["metric"] for one in found] == [{}, {"a": "b"}]
    assert found[1]["values"][1] == (240.0, math.inf)


def test_a_server_that_fails_ends_the_reading_in_its_own_words() -> None:
    with pytest.raises(HistoryError, match="took no connection"):
        read(queries("rate"), lambda *_: Failure(FailureKind.TIMEOUT, "took no connection within 60 s", hopeless=True))


def test_why_a_signal_is_missing_is_kept() -> None:
    history = read(queries("rate"), lambda *_: [])

    assert "no series match rate_selector" in history.why_absent[Scope.SERVICE, "request_rate"]
