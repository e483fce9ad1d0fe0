from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.prometheus import (
    Prometheus,
    PrometheusUnavailableError,
    QueryError,
    TimeSeries,
    running_prometheus,
)

T0_S = 1_700_000_000
T1_S = T0_S + 86_400
BACKFILL = f'# TYPE load gauge\nload{{pod="a"}} 0.5 {T0_S}\n# EOF\n'


@pytest.fixture(scope="module")
def prometheus() -> Iterator[Prometheus]:
    with running_prometheus(openmetrics=BACKFILL) as server:
        yield server


def test_backfilled_samples_are_there_from_the_start(prometheus: Prometheus) -> None:
    assert prometheus.query("load", T0_S) == [({"__name__": "load", "pod": "a"}, 0.5)]


def test_written_samples_are_there_at_once_and_end_with_their_marker(prometheus: Prometheus) -> None:
    prometheus.write([TimeSeries({"__name__": "queue"}, [(T1_S, 1.0), (T1_S + 0.5, math.inf), (T1_S + 1, None)])])

    assert prometheus.query("queue", T1_S + 0.999) == [({"__name__": "queue"}, math.inf)]
    assert prometheus.query("queue", T1_S + 1) == []
    assert prometheus.samples("queue[5s]", T1_S + 1) == [({"__name__": "queue"}, [(T1_S, 1), (T1_S + 0.5, math.inf)])]


def test_writing_nothing_is_no_error(prometheus: Prometheus) -> None:
    prometheus.write([])


def test_a_scalar_is_a_number(prometheus: Prometheus) -> None:
    assert prometheus.query("1 + 1", T0_S) == 2.0


def test_a_refused_query_says_why(prometheus: Prometheus) -> None:
    with pytest.raises(QueryError, match="unclosed left parenthesis"):
        prometheus.query("rate(queue", T0_S)


def test_a_bad_configuration_shows_the_log() -> None:
    with ExitStack() as stack, pytest.raises(PrometheusUnavailableError, match="field nonsense not found"):
        stack.enter_context(running_prometheus("nonsense: 1\n"))


def test_a_missing_binary_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with ExitStack() as stack, pytest.raises(PrometheusUnavailableError, match="apt-get install prometheus"):
        stack.enter_context(running_prometheus())
