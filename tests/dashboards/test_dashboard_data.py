"""Every panel's query on what the daemon really exported: a real Prometheus, a simulated service, and 200 of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

from tests.dashboards.panels import PanelQuery, load, queries, window_s
from tests.dashboards.recording import Recording, fleet, record
from tests.support.prometheus import Prometheus, running_prometheus

SERVICES = 200
# Three hours at a minute each: what Grafana asks for with the dashboards' time range and least interval.
POINTS = 180
SLOWEST_S = 1.0
#: Least and most plausible value by unit.
PLAUSIBLE = {
    "s": (0.0, 3600.0),
    "percentunit": (-1.0, 5.0),
    "short": (0.0, 100.0),
    "suffix: GPUs": (-200.0, 200.0),
    "suffix: replicas": (-30.0, 60.0),
    "suffix: tokens": (0.0, 1e6),
    "suffix: tokens/s": (0.0, 1e6),
    "suffix: requests": (0.0, 1e4),
    "suffix: requests/s": (0.0, 1e3),
}
PER_SERVICE = frozenset({"service.json", "stacks/vllm.json"})
ON_ONE = [
    (file, query) for file in ("fleet.json", "health.json", *sorted(PER_SERVICE)) for query in queries(load(file))
]
ON_MANY = [(file, query) for file in ("fleet.json", "health.json", "service.json") for query in queries(load(file))]


@pytest.fixture(scope="module")
def recording() -> Recording:
    return record(minutes=20.0)


@pytest.fixture(scope="module")
def one(recording: Recording) -> Iterator[Prometheus]:
    with running_prometheus(openmetrics=recording.openmetrics()) as server:
        yield server


@pytest.fixture(scope="module")
def many(recording: Recording) -> Iterator[tuple[Prometheus, Recording]]:
    wide = fleet(recording, SERVICES, every=8)
    with running_prometheus(openmetrics=wide.openmetrics()) as server:
        yield server, wide


def filled(server: Prometheus, file: str, query: PanelQuery, recording: Recording) -> str:
    service = recording.model if file.startswith("stacks/") else recording.service
    chosen = {"namespace": recording.namespace, "service": service} if file in PER_SERVICE else {}
    variables = {"namespace": ".*", "service": ".*", **chosen}
    return query.filled({**variables, "window": window_s(load(file), server, variables, recording.until_s)})


def name(case: Any) -> str:
    return case if isinstance(case, str) else str(case)


@pytest.mark.parametrize(("file", "query"), ON_ONE, ids=name)
def test_a_panel_shows_plausible_values(one: Prometheus, recording: Recording, file: str, query: PanelQuery) -> None:
    least, most = PLAUSIBLE.get(query.unit, (0.0, 1e4))

    elements = one.query(filled(one, file, query, recording), recording.until_s)

    assert isinstance(elements, list)
    assert elements
    assert all(math.isfinite(value) and least <= value <= most for _, value in elements), elements


def test_scalings_are_marked_on_the_service(one: Prometheus, recording: Recording) -> None:
    marked = 0
    for annotation in load("service.json")["annotations"]["list"]:
        expr = annotation["expr"].replace("$namespace", recording.namespace).replace("$service", recording.service)
        found = one.api(
            "query_range", query=expr, start=str(recording.ticks[0].at_s), end=str(recording.until_s), step="60"
        )
        marked += sum(len(series["values"]) for series in found["result"])

    written = sum(len(tick.writes) for tick in recording.ticks)
    assert written > 0
    assert marked >= written / 2


@pytest.mark.parametrize(("file", "query"), ON_MANY, ids=name)
def test_a_panel_is_quick_with_200_services(many: tuple[Prometheus, Recording], file: str, query: PanelQuery) -> None:
    server, wide = many
    expr = filled(server, file, query, wide)

    # The machine may be busy with something else: the best of three, asked for again only where that matters.
    seconds, series = _asked(server, expr, wide.until_s, instant=query.instant)
    for _ in range(2):
        if seconds >= SLOWEST_S:
            seconds, series = min((seconds, series), _asked(server, expr, wide.until_s, instant=query.instant))

    assert series > 0
    assert seconds < SLOWEST_S


def _asked(server: Prometheus, expr: str, until_s: float, *, instant: bool) -> tuple[float, int]:
    """Seconds by Prometheus' own clock, and series."""
    if instant:
        data = server.api("query", query=expr, time=str(until_s), stats="all")
    else:
        step_s = 600.0 / POINTS
        span = {"start": str(until_s - 600.0), "end": str(until_s), "step": str(step_s)}
        data = server.api("query_range", query=expr, stats="all", **span)
    return float(data["stats"]["timings"]["execTotalTime"]), len(data["result"])
