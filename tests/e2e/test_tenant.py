"""What a tenant's policy has Prometheus asked: on every stack, in every query, only series of its own namespace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from autoscaler.config import LoadedPolicy
from autoscaler.config.load import parse
from autoscaler.core.policy import Role
from autoscaler.core.state import State
from autoscaler.daemon.assembly import connections, past
from autoscaler.daemon.pod_load import PodLoads
from autoscaler.daemon.queries import pod_label
from autoscaler.daemon.surroundings import Surroundings
from autoscaler.daemon.tenancy import Tenancy
from autoscaler.sources.prometheus import PrometheusSource
from tests.daemon.builders import HandClock, capturing
from tests.support.loopback import Loopback, Reply, Request, json_reply, running_loopback

NAMESPACE_LABELS = ("namespace", "kubernetes_namespace")


def as_a_tenant_would(path: Path) -> LoadedPolicy:
    """A shipped policy; the series of a gateway take a label of their own."""
    document = yaml.safe_load(path.read_text())
    if path.stem == "aibrix":
        document["spec"]["gatewaySelector"] = {"namespace": document["metadata"]["namespace"]}
    (loaded,) = parse(yaml.safe_dump(document).encode(), path).policies
    return loaded


POLICIES = [as_a_tenant_would(path) for path in sorted(Path("policies").glob("*.yaml"))]


def answer(request: Request) -> Reply:
    """One number for whatever is asked, so that every question that follows from an answer is asked too."""
    at_s = float(request.form["end" if "range" in request.path else "time"])
    if "range" in request.path:
        series: dict[str, Any] = {"metric": {}, "values": [[at_s, "1"]]}
        return json_reply({"status": "success", "data": {"resultType": "matrix", "result": [series]}})
    sample = {"metric": {}, "value": [at_s, "1"]}
    return json_reply({"status": "success", "data": {"resultType": "vector", "result": [sample]}})


def ask_everything(loaded: LoadedPolicy, server: Loopback) -> None:
    """As a daemon does: signals, the load of each pod, the past."""
    clock, (log, _), around = HandClock(), capturing(), Surroundings(prometheus_url=server.url)
    source, target = connections(loaded.policy, around, clock, log, writes=False)
    assert isinstance(source, PrometheusSource)
    recorded = past(loaded.policy, around, clock, log)
    assert recorded is not None
    for _ in range(2):
        source.read(clock.now_s())
        clock.at_s += 60.0
    loads = PodLoads(source, pod_label(loaded.policy), clock)
    for role in (Role.PREFILL, Role.DECODE):
        loads.requests(role)
    loads.longest_stream_s()
    recorded.put_into(loaded.policy.core(), State(), clock.now_s())
    for one in (source, target, recorded):
        one.close()


def selectors(query: str) -> Iterator[promql_parser.VectorSelector]:
    found: list[promql_parser.VectorSelector] = []

    def visit(node: object) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)

    promql_parser.walk(promql_parser.parse(query), visit)
    yield from found


def is_limited(selector: promql_parser.VectorSelector, namespace: str) -> bool:
    equal = [one for one in selector.matchers.matchers if one.op == promql_parser.MatchOp.Equal]
    return any(one.name in NAMESPACE_LABELS and one.value == namespace for one in equal)


@pytest.mark.parametrize("loaded", POLICIES, ids=lambda loaded: loaded.file.stem)
def test_no_query_reads_another_namespace(
    loaded: LoadedPolicy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    assert list(Tenancy(prometheus_given=True).problems(loaded)) == []
    with running_loopback(answer) as server:
        ask_everything(loaded, server)

    assert {request.path.partition("?")[0] for request in server.requests} >= {"/api/v1/query", "/api/v1/query_range"}
    queries = {request.form["query"] for request in server.requests if "query" in request.form}
    asked = [selector for query in queries for selector in selectors(query)]
    assert len(asked) > 10
    assert [str(one) for one in asked if not is_limited(one, loaded.policy.metadata.namespace)] == []
