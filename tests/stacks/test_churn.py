"""What churn does to the series of any stack: restarts that count anew, and replicas that are gone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import cast

import pytest

from autoscaler.core.signals import Signals
from tests.stacks.fixtures import FIXTURES
from tests.stacks.services import NOW_S, read, service
from tests.support.prometheus import Prometheus, TimeSeries

RESTARTED_S = NOW_S - 60.0
GONE_S = NOW_S - 310.0
"""Beyond every window, but well within what the server keeps."""
COUNTERS = ("_total", "_bucket", "_sum", "_count", "disaggregated_serving_metrics")
POD_LABELS = ("pod", "endpoint", "instance", "instance_id")
Change = Callable[[Iterable[TimeSeries]], list[TimeSeries]]


class Churned:
    """A Prometheus to which series are written after a change."""

    def __init__(self, server: Prometheus, change: Change) -> None:
        self._server = server
        self._change = change

    def write(self, series: Iterable[TimeSeries]) -> None:
        self._server.write(self._change(series))


def restarted(series: Iterable[TimeSeries]) -> list[TimeSeries]:
    """The same, counting from zero again a minute ago."""
    return [_counts_anew(one) if one.labels["__name__"].endswith(COUNTERS) else one for one in series]


def _counts_anew(series: TimeSeries) -> TimeSeries:
    before = [value for at_s, value in series.samples if at_s < RESTARTED_S and value is not None]
    if not before:
        return series
    samples = [
        (at_s, value - before[-1] if at_s >= RESTARTED_S and value is not None else value)
        for at_s, value in series.samples
    ]
    return replace(series, samples=samples)


def with_one_gone(series: Iterable[TimeSeries]) -> list[TimeSeries]:
    """The same, with as many replicas again that were removed, and whose series linger without an end."""
    found = list(series)
    return [*found, *(_gone(one) for one in found if set(POD_LABELS) & one.labels.keys())]


def _gone(series: TimeSeries) -> TimeSeries:
    labels = {name: f"{text}-gone" if name in POD_LABELS else text for name, text in series.labels.items()}
    return TimeSeries(labels, [sample for sample in series.samples if sample[0] <= GONE_S])


def signals_of(server: Prometheus, stack: str, namespace: str, change: Change = list) -> Signals:
    labels = {"namespace": namespace, **({"aigateway": "chat"} if stack == "moreh" else {})}
    FIXTURES[stack](cast("Prometheus", Churned(server, change)), labels, "llama")
    return read(server, service(stack, selector=labels))


def values(signals: Signals) -> dict[str, float | None]:
    return {f"{scope}.{name}": one.value for scope, by_name in signals.items() for name, one in by_name.items()}


STACKS = tuple({write: stack for stack, write in FIXTURES.items()}.values())
"""One stack of each form of series; the others have those of their engine."""


@pytest.fixture(scope="module", params=STACKS)
def steady(request: pytest.FixtureRequest, server: Prometheus) -> tuple[str, dict[str, float | None]]:
    """A stack, and its signals without churn."""
    stack: str = request.param
    found = values(signals_of(server, stack, f"steady-{stack}"))
    assert sum(value is not None for value in found.values()) > len(found) / 2
    return stack, found


@pytest.mark.parametrize("change", [restarted, with_one_gone])
def test_churn_leaves_every_signal_as_it_is(
    server: Prometheus, steady: tuple[str, dict[str, float | None]], change: Change
) -> None:
    stack, expected = steady

    found = values(signals_of(server, stack, f"{change.__name__.replace('_', '-')}-{stack}", change))

    assert found == {
        path: value if value is None else pytest.approx(value, rel=1e-6) for path, value in expected.items()
    }
