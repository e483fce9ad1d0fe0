"""A vLLM service with prefill and decode pods on which everything happens that makes PromQL hard."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.sources.promql.recording import Labels, Scrape, metric

START_S = 1_700_000_000.0
END_S = START_S + 900.0

MODEL = {"engine": "0", "model_name": "llama"}
BOUNDS = ("0.01", "0.05", "0.1", "0.5", "1.0", "2.5", "10.0", "+Inf")
HISTOGRAMS = {
    "request_queue_time_seconds": 0.05,
    "e2e_request_latency_seconds": 1.2,
    "time_to_first_token_seconds": 0.4,
    "inter_token_latency_seconds": 0.03,
    "request_time_per_output_token_seconds": 0.04,
    "nixl_xfer_time_seconds": 0.02,
}
SUMMARIES = {"request_prompt_tokens": 900.0, "request_generation_tokens": 200.0, "nixl_bytes_transferred": 3e8}


@dataclass
class Engine:
    """Counters of one pod since its last start."""

    pod: str
    role: str
    chance: random.Random
    is_idle: bool = False
    is_old: bool = False
    counters: dict[Labels, float] = field(default_factory=dict)

    def work(self) -> None:
        """Let a few requests finish."""
        requests = 0 if self.is_idle else self.chance.randrange(1, 9)
        self._count("request_success_total", requests, finished_reason="stop")
        self._count("request_success_total", requests // 3, finished_reason="length")
        self._count("prompt_tokens_total", requests * 900)
        self._count("prompt_tokens_by_source_total", requests * 600, source="local_compute")
        self._count("prompt_tokens_by_source_total", requests * 300, source="local_cache_hit")
        self._count("prefix_cache_hits_total", requests * 300)
        self._count("prefix_cache_queries_total", requests * 900)
        self._count("num_preemptions_total", self.chance.randrange(2))
        self._count("nixl_num_failed_transfers_total", self.chance.randrange(2))
        for name, mean in SUMMARIES.items():
            self._count(f"{name}_sum", sum(self.chance.expovariate(1 / mean) for _ in range(requests)))
            self._count(f"{name}_count", requests)
        for name, mean in HISTOGRAMS.items():
            self._observe(name, [self.chance.expovariate(1 / mean) for _ in range(requests)])

    def page(self) -> dict[Labels, float]:
        """All series, with gauges drawn anew."""
        waiting, chance = self.chance.randrange(12), self.chance
        usage = "gpu_cache_usage_perc" if self.is_old else "kv_cache_usage_perc"
        gauges = {
            self._series("num_requests_waiting"): waiting,
            self._series("num_requests_waiting_by_reason", reason="capacity"): waiting // 2,
            self._series("num_requests_waiting_by_reason", reason="deferred"): waiting - waiting // 2,
            self._series("num_requests_running"): chance.randrange(64),
            self._series("num_requests_kv_fetch_by_stage", stage="waiting_to_start"): chance.randrange(4),
            self._series("num_requests_kv_fetch_by_stage", stage="in_progress"): chance.randrange(4),
            self._series(usage): math.nan if self.is_idle else chance.random(),
            self._series("engine_sleep_state", sleep_state="awake"): 1,
            metric("vllm:cache_config_info", engine="0", num_gpu_blocks="8192", block_size="16"): 1,
        }
        return {**self.counters, **{series: float(value) for series, value in gauges.items()}}

    def _series(self, name: str, **labels: str) -> Labels:
        return metric(f"vllm:{name}", **MODEL, **labels)

    def _count(self, name: str, amount: float, **labels: str) -> None:
        series = self._series(name, **labels)
        self.counters[series] = self.counters.get(series, 0.0) + amount

    def _observe(self, name: str, values: list[float]) -> None:
        for bound in BOUNDS:
            self._count(f"{name}_bucket", sum(value <= float(bound) for value in values), le=bound)
        self._count(f"{name}_sum", sum(values))
        self._count(f"{name}_count", len(values))


def scrapes(seed: int = 0) -> list[Scrape]:
    """All scrapes of the quarter of an hour between START_S and END_S."""
    chance = random.Random(seed)  # noqa: S311 - a reproducible cluster, no secrets
    return list(
        itertools.chain(
            _pod("prefill-0", "prefill", chance),
            _pod("prefill-1", "prefill", chance, down_s=(300, 420)),
            _pod("prefill-2", "prefill", chance, interval_s=15, is_old=True),
            _pod("decode-0", "decode", chance),
            _pod("decode-1", "decode", chance, restarts_s=(200, 215, 700)),
            _pod("decode-2", "decode", chance, end_s=500),
            _pod("decode-3", "decode", chance, start_s=570),
            _pod("decode-4", "decode", chance, interval_s=15, is_idle=True),
            _kube_state(chance),
        )
    )


def _pod(
    pod: str,
    role: str,
    chance: random.Random,
    *,
    start_s: float = 0,
    end_s: float | None = None,
    interval_s: float = 5,
    down_s: tuple[float, float] = (0, 0),
    restarts_s: tuple[float, ...] = (),
    is_idle: bool = False,
    is_old: bool = False,
) -> Iterator[Scrape]:
    target = tuple(sorted({"namespace": "serving", "pod": pod, "role": role, "instance": f"{pod}:8000"}.items()))
    engine = Engine(pod, role, chance, is_idle=is_idle, is_old=is_old)
    coming_restarts = list(restarts_s)
    at_s = start_s + chance.random() * interval_s
    while at_s < (END_S - START_S if end_s is None else end_s):
        if coming_restarts and at_s >= coming_restarts[0]:
            del coming_restarts[0]
            engine.counters.clear()
        engine.work()
        is_down = down_s[0] <= at_s < down_s[1]
        yield Scrape(round(START_S + at_s, 3), target, None if is_down else engine.page())
        at_s += interval_s + chance.choice((0, 0, 0, 0.004, -0.013, 2.2))
    if end_s is not None:
        yield Scrape(round(START_S + at_s, 3), target, None, is_removal=True)


def _kube_state(chance: random.Random) -> Iterator[Scrape]:
    target = (("instance", "kube-state-metrics:8080"),)
    for at_s in range(0, int(END_S - START_S), 30):
        yield Scrape(
            START_S + at_s,
            target,
            {
                metric("kube_deployment_status_replicas_ready", namespace="serving", deployment="prefill"): 3.0,
                metric("kube_deployment_status_replicas_ready", namespace="serving", deployment="decode"): 4.0,
                metric("kube_deployment_spec_replicas", namespace="serving", deployment="decode"): 5.0,
                **{
                    metric("kube_pod_labels", namespace="serving", pod=f"decode-{i}", label_role="decode"): 1.0
                    for i in range(chance.randrange(1, 5))
                },
            },
        )
