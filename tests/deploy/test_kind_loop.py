"""The example's parts at work on loopback: pods under load, a Prometheus that scrapes them, what is read from it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from threading import Event, Thread
from urllib.parse import urlsplit

import pytest
import yaml

from autoscaler.config import load_paths
from autoscaler.core.engines import find_engine
from autoscaler.core.policy import Role
from autoscaler.core.signals import Scope
from autoscaler.daemon.queries import service_queries
from autoscaler.simulation.cluster.load import Load, Tide
from autoscaler.simulation.cluster.pod import Pod
from autoscaler.sources.http import Connection
from autoscaler.sources.prometheus import PrometheusSource
from tests.deploy.rendering import DEPLOY
from tests.support.prometheus import Prometheus, running_prometheus, wait_until

POLICY = DEPLOY / "examples" / "kind" / "policy.yaml"
MODEL = "llama-3.1-70b"


@pytest.fixture
def prometheus() -> Iterator[Prometheus]:
    """Scrapes one pod of each role, which are under load, with the labels that the example's relabelling sets."""
    _, engine = find_engine(MODEL, "h100", 4)
    stop = Event()
    with ExitStack() as stack:
        pods = {
            role: stack.enter_context(Pod(role, engine, MODEL, host="127.0.0.1", port=0))
            for role in (Role.PREFILL, Role.DECODE)
        }
        targets = [
            {
                "targets": [urlsplit(pod.url).netloc],
                "labels": {"namespace": "serving", "pod": f"vllm-{role}-0", "role": role.value},
            }
            for role, pod in pods.items()
        ]
        scrape = {"job_name": "vllm", "scrape_interval": "1s", "static_configs": targets}
        config = yaml.safe_dump({"scrape_configs": [scrape]})
        load = Load(
            pods[Role.PREFILL].url, pods[Role.DECODE].url, Tide(10.0, 10.0, 60.0), prompt_tokens=500, output_tokens=5
        )
        sender = Thread(target=load.run, args=(stop,))
        sender.start()
        stack.callback(sender.join)
        stack.callback(stop.set)
        yield stack.enter_context(running_prometheus(config))


# What both pools and the service must at least be known by; a KV transfer takes no time and has no signal.
NEEDED = {
    Scope.PREFILL: {"queue_depth", "in_flight", "offered_tokens_per_s", "prefill_time_s", "kv_utilization_mean"},
    Scope.DECODE: {"running", "waiting", "generation_tokens_per_s", "kv_utilization_mean", "kv_capacity_tokens"},
    Scope.SERVICE: {"ttft_s", "tpot_s", "request_rate", "input_tokens_mean", "output_tokens_mean"},
}


def unusable(source: PrometheusSource) -> dict[str, str]:
    """What is needed and cannot be used yet, with the reason."""
    signals = source.read(time.time())
    return {
        f"{scope}.{name}": signals[scope][name].detail
        for scope, names in NEEDED.items()
        for name in sorted(names)
        if signals[scope][name].usable is None
    }


def test_the_policy_of_the_example_finds_its_signals_in_what_its_pods_serve(prometheus: Prometheus) -> None:
    (loaded,) = load_paths([POLICY])
    source = PrometheusSource(service_queries(loaded.policy), Connection(url=prometheus.url, timeout_s=5.0))
    try:
        wait_until(lambda: not unusable(source), "the pods' load shows in all signals", timeout_s=40.0)
        assert (source.read(time.time())[Scope.SERVICE]["request_rate"].usable or 0.0) > 0.0
    finally:
        source.close()
