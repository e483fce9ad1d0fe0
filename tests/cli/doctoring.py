"""A policy examined against a real Prometheus, and a cluster where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from autoscaler.cli.doctor_text import lines
from autoscaler.cli.examination import Examination, examine_policy
from autoscaler.config import load_paths
from autoscaler.daemon.surroundings import Surroundings
from tests.daemon.builders import HandClock
from tests.e2e.stage import policy_document
from tests.sources.chat import NOW_S
from tests.support.kube import Cluster
from tests.support.prometheus import Prometheus, running_prometheus


@pytest.fixture(scope="module")
def server() -> Iterator[Prometheus]:
    with running_prometheus() as running:
        yield running


def examine(
    server: Prometheus, folder: Path, namespace: str, *, cluster: Cluster | None = None, token: str = "", **spec: object
) -> Examination:
    path = folder / "policy.yaml"
    settings = {"model": "llama", "selector": {"namespace": namespace}, **spec}
    place = cluster.namespace if cluster is not None else namespace
    document = policy_document("chat", place, server.url, mode="recommend", **settings)
    document["spec"] = {key: value for key, value in document["spec"].items() if value is not None}
    path.write_text(yaml.safe_dump(document))
    (loaded,) = load_paths([path])
    clock = HandClock()
    clock.at_s = NOW_S
    kubeconfig = cluster.kubeconfig(folder / "kubeconfig", token=token) if cluster is not None else None
    return examine_policy(loaded.policy, Surroundings(kubeconfig=str(kubeconfig) if kubeconfig else None), clock)


def text(found: Examination) -> str:
    return "\n".join(lines(found))
