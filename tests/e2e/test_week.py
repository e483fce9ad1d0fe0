"""A report over a whole week on a real Prometheus, as a new user asks for it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from typer.testing import CliRunner

from autoscaler.cli.main import app
from tests.e2e.day_one import MODEL, document
from tests.support.prometheus import Prometheus, running_prometheus
from tests.support.simulated_history import NAMESPACE

Floats = NDArray[np.float64]
Bounds = tuple[float, float, float]

DAY_S = 86_400.0
WEEK_S = 7 * DAY_S
# Recorded beyond the present: the week reported on ends at the step that the clock has reached by then.
AHEAD_S = 1800.0
SCRAPE_S = 60.0
FLEET = {"prefill": 3, "decode": 2}
REQUESTS_PER_S = 0.02
SHARES = (0.4, 0.9, 1.0)
"""Of the observations, below each bound."""
GAUGES = (("num_requests_running", 1.0), ("num_requests_waiting", 0.0), ("kv_cache_usage_perc", 0.1))
HISTOGRAMS: Mapping[str, tuple[tuple[str, Bounds, float], ...]] = {
    "prefill": (("e2e_request_latency_seconds", (0.1, 0.5, 1.0), 0.2),),
    "decode": (
        ("time_to_first_token_seconds", (0.025, 0.05, 0.1), 0.03),
        ("request_time_per_output_token_seconds", (0.01, 0.025, 0.04), 0.015),
        ("request_prompt_tokens", (500.0, 1000.0, 5000.0), 900.0),
        ("request_generation_tokens", (200.0, 500.0, 2000.0), 400.0),
    ),
}


class Week:
    """Samples of a week that swings with the day and rests at its end, one pod of each role."""

    def __init__(self, start_s: float) -> None:
        self.at_s = start_s + np.arange(0.0, WEEK_S + AHEAD_S + 1.0, SCRAPE_S)
        elapsed_days = (self.at_s - start_s) / DAY_S
        swing = 1.0 + 0.7 * np.sin(2 * math.pi * elapsed_days)
        self.requests = np.cumsum(REQUESTS_PER_S * swing * np.where(elapsed_days < 5.0, 1.0, 0.4)) * SCRAPE_S
        self.lines: list[str] = []

    def openmetrics(self) -> str:
        for role, replicas in FLEET.items():
            labels = f'pod="{role[0]}-0",role="{role}",namespace="{NAMESPACE}",model_name="{MODEL}"'
            self.write("vllm:request_success_total", labels, self.requests)
            self.write("vllm:prompt_tokens_by_source_total", f'{labels},source="local_compute"', 900.0 * self.requests)
            for gauge, value in GAUGES:
                self.write(f"vllm:{gauge}", labels, np.full(self.at_s.size, value))
            for name, bounds, mean in HISTOGRAMS[role]:
                self.histogram(f"vllm:{name}", labels, bounds, mean)
            workload = f'deployment="vllm-{role}",namespace="{NAMESPACE}"'
            for name in ("kube_deployment_spec_replicas", "kube_deployment_status_replicas_ready"):
                self.write(name, workload, np.full(self.at_s.size, float(replicas)))
        return "\n".join([*self.lines, "# EOF", ""])

    def histogram(self, name: str, labels: str, bounds: Bounds, mean: float) -> None:
        for bound, share in (*zip(bounds, SHARES, strict=True), ("+Inf", 1.0)):
            self.write(f"{name}_bucket", f'{labels},le="{bound}"', share * self.requests)
        self.write(f"{name}_count", labels, self.requests)
        self.write(f"{name}_sum", labels, mean * self.requests)

    def write(self, name: str, labels: str, values: Floats) -> None:
        head = f"{name}{{{labels}}}"
        samples = zip(values.tolist(), self.at_s.tolist(), strict=True)
        self.lines += [f"{head} {value:.9g} {at_s:.0f}" for value, at_s in samples]


@pytest.fixture
def server() -> Iterator[Prometheus]:
    until_s = math.floor(time.time() / 120.0) * 120.0
    with running_prometheus(openmetrics=Week(until_s - WEEK_S).openmetrics(), block_h=7 * 24) as running:
        yield running


def test_a_week_is_reported_on_in_one_go(server: Prometheus, tmp_path: Path) -> None:
    file = tmp_path / "chat.yaml"
    file.write_text(yaml.safe_dump(document(server.url, interval="10m")))

    done = CliRunner(env={"HOME": str(tmp_path), "KUBECONFIG": None, "TERM": "dumb"}).invoke(
        app, ["report", "--policy", str(file), "--since", "7d", "-o", "json"]
    )

    assert done.exit_code == 0, done.stderr
    (record,) = json.loads(done.stdout)
    held = WEEK_S / 3600.0 * 4.0 * sum(FLEET.values())
    (played,) = record["policies"]
    assert record["hours"] == WEEK_S / 3600.0
    assert record["used"]["gpu_hours"] == pytest.approx(held, rel=0.01)
    assert (record["risk"]["hours"], record["risk"]["known_hours"]) == (0.0, WEEK_S / 3600.0)
    assert record["needed_gpu_hours"] <= played["gpu_hours"] + 1.0 < 0.5 * held
    assert played["attainment_ratio"] > 0.99
    known = {ground["what"]: ground["ratio"] for ground in record["confidence"]["grounds"]}
    assert {what: known[what] for what in ("span", "load", "usage", "lengths")} == dict.fromkeys(
        ("span", "load", "usage", "lengths"), 1.0
    )
