"""Services on any stack, read from a Prometheus, and the checks that all stacks share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing

import pytest

from autoscaler.core.policy import LatencyObjective, Objectives, Role
from autoscaler.core.signals import CATALOGUE, Scope, Signal, Signals, SignalState
from autoscaler.sources.http import Connection
from autoscaler.sources.prometheus import PrometheusSource
from autoscaler.stacks.candidates import Dispatch
from autoscaler.stacks.load import load_stack
from autoscaler.stacks.placeholders import Matcher
from autoscaler.stacks.queries import ServiceQueries
from autoscaler.stacks.resolve import ServiceLabels, Workload, resolve
from tests.support.prometheus import Prometheus
from tests.support.series_kit import Page, write_pages

NOW_S = 1_760_000_000.0
FROM_S = NOW_S - 330.0
OBJECTIVES = Objectives(LatencyObjective(0.95, 0.9), LatencyObjective(0.9, 0.06), 0.95)
SCOPES = (Scope.PREFILL, Scope.DECODE, Scope.SERVICE)
ALL_PATHS = frozenset(f"{scope}.{name}" for scope in SCOPES for name in CATALOGUE[scope])


def service(
    stack: str,
    *,
    selector: Mapping[str, str],
    model: str | None = "llama",
    targets: tuple[str, str] | None = None,
    dispatch: Dispatch | None = None,
) -> ServiceQueries:
    namespace = selector.get("namespace")
    workloads = dict(
        zip((Role.PREFILL, Role.DECODE), (Workload(name, namespace) for name in targets or ()), strict=False)
    )
    labels = ServiceLabels(
        model=model,
        selector=tuple(Matcher(label, value) for label, value in selector.items()),
        workloads=workloads,
        dispatch=dispatch,
    )
    return resolve(load_stack(stack), "chat", labels, OBJECTIVES)


def fill(server: Prometheus, pages: Iterable[Page]) -> None:
    write_pages(server, pages, FROM_S, NOW_S)


def read(server: Prometheus, of: ServiceQueries, at_s: float = NOW_S) -> Signals:
    with closing(PrometheusSource(of, Connection(server.url))) as source:
        return source.read(at_s)


def pick(signals: Signals, path: str) -> Signal:
    scope, name = path.split(".")
    return signals[Scope(scope)][name]


def check(signals: Signals, path: str, expected: float | str) -> None:
    """Compare a signal with what is expected of it."""
    signal = pick(signals, path)
    if isinstance(expected, str):
        assert signal.state is SignalState.ABSENT, f"{path} is {signal.value}"
        assert expected in signal.detail
    else:
        assert signal.state is SignalState.VALUE, f"{path}: {signal.detail}"
        assert signal.value == pytest.approx(expected, rel=1e-6), path
