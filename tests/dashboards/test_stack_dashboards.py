"""The dashboard of each stack on that stack's own metrics, in a real Prometheus: it shows what the daemon reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import pytest

from autoscaler.core.signals import Scope, Signals
from autoscaler.stacks.load import stack_names
from tests.dashboards.panels import PanelQuery, load, panels, queries
from tests.sources.chat import ENGINES
from tests.stacks.fixtures import FIXTURES, Write
from tests.stacks.services import FROM_S, NOW_S, fill, read, service
from tests.stacks.test_sglang import PODS
from tests.support.prometheus import Prometheus, running_prometheus
from tests.support.series_dynamo import worker_labels
from tests.support.series_sglang import pages as sglang_pages
from tests.support.vllm_series import Fleet

MODEL = "llama"
# A framework around engines of several kinds is shown on one more of them.
SERVED = [*((stack, stack) for stack in stack_names()), *((stack, "vllm") for stack in ("kthena", "ome", "rbg"))]
SERVED += [("grove", "trtllm"), ("grove", "sglang"), ("aibrix", "sglang"), ("dynamo", "sglang"), ("llm-d", "sglang")]
SERVED += [("hyperpod", "vllm")]
# A dashboard's percentile may not be the policy's; where the daemon knows more than a query, the panel says so.
PERCENTILE = "tpot_s"
COARSER = "no query"


@pytest.fixture(scope="module")
def server() -> Iterator[Prometheus]:
    with running_prometheus() as running:
        for stack, engine in SERVED:
            WRITTEN.get((stack, engine), FIXTURES[engine])(running, selector(stack, engine), MODEL)
        yield running


def sglang_told_by(by_role: Callable[[str, str], Mapping[str, str]]) -> Write:
    def write(server: Prometheus, labels: Mapping[str, str], model: str) -> None:
        namespace = labels["namespace"]
        for page in sglang_pages(PODS, namespace, model, version=(5, 23)):
            role = "prefill" if page.target["pod"].startswith("p") else "decode"
            fill(server, [replace(page, target={**page.target, **labels, **by_role(namespace, role)})])

    return write


def vllm_in_containers(server: Prometheus, labels: Mapping[str, str], model: str) -> None:
    by_role = {role: {"container": f"{role}-llama"} for role in ("prefill", "decode")}
    server.write(Fleet(ENGINES, model, labels, by_role=by_role).time_series(FROM_S, NOW_S))


DYNAMO_COMPONENTS = {"prefill": "prefill", "decode": "backend"}
WRITTEN: Mapping[tuple[str, str], Write] = {
    ("dynamo", "sglang"): sglang_told_by(lambda namespace, role: worker_labels(namespace, DYNAMO_COMPONENTS[role])),
    ("llm-d", "sglang"): sglang_told_by(lambda namespace, role: {"job": f"{namespace}/{role}-podmonitor"}),
    ("hyperpod", "vllm"): vllm_in_containers,
}


def selector(stack: str, engine: str) -> Mapping[str, str]:
    return {"namespace": f"{engine}-on-{stack}"} | ({"aigateway": "llama"} if stack == "moreh" else {})


def shown(server: Prometheus, query: PanelQuery, stack: str, engine: str) -> list[float]:
    expr = query.filled({"namespace": f"{engine}-on-{stack}", "service": MODEL})
    found = server.query(expr, NOW_S)
    assert isinstance(found, list)
    return [value for _, value in found]


def measured(server: Prometheus, stack: str, engine: str) -> Signals:
    return read(server, service(stack, selector=selector(stack, engine), model=MODEL))


@pytest.mark.parametrize(("stack", "engine"), SERVED)
def test_a_panel_shows_what_the_daemon_reads(server: Prometheus, stack: str, engine: str) -> None:
    signals = measured(server, stack, engine)
    dashboard = load(f"stacks/{stack}.json")
    described = {panel["title"]: panel["description"] for panel in panels(dashboard)}
    drawn = 0
    for query in queries(dashboard):
        read_by_daemon = signals[Scope(query.panel.partition(":")[0].lower())][query.legend].usable
        values = shown(server, query, stack, engine)
        assert all(math.isfinite(value) for value in values)
        if read_by_daemon is not None and query.legend != PERCENTILE and COARSER not in described[query.panel]:
            assert values == [pytest.approx(read_by_daemon, rel=1e-9)], query.panel
        drawn += bool(values)

    assert drawn >= 10


@pytest.mark.parametrize("stack", stack_names())
def test_every_panel_has_data_on_some_engine_of_its_stack(server: Prometheus, stack: str) -> None:
    engines = [engine for served, engine in SERVED if served == stack]
    dashboard = load(f"stacks/{stack}.json")

    drawn = {
        query.panel for query in queries(dashboard) if any(shown(server, query, stack, engine) for engine in engines)
    }

    assert {panel["title"] for panel in panels(dashboard)} - drawn == set()
