"""What a Prometheus would remember of a simulated service: OpenMetrics text for a backfill."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from autoscaler.core.policy import Role, ServicePolicy
from autoscaler.simulation.exposition import render_pod
from autoscaler.simulation.replay import service_of
from autoscaler.simulation.results import Results
from autoscaler.simulation.service import Service
from autoscaler.simulation.traces import Trace

SCRAPE_S = 30.0
NAMESPACE = "serving"

# What the stack's queries ask for; a whole page has three times as many series.
_ASKED = re.compile(
    r"vllm:(num_requests_(running|waiting)|kv_cache_usage_perc|request_success_total|prompt_tokens_by_source_total"
    r"|(time_to_first_token_seconds|e2e_request_latency_seconds|request_time_per_output_token_seconds)_(bucket|sum|count)"
    r"|request_(prompt|generation)_tokens_(bucket|sum|count)"
    r"|(inter_token_latency|request_queue_time|request_prefill_time)_seconds_(sum|count))\b"
)
_SAMPLE = re.compile(r"(?P<name>[\w:]+)\{(?P<labels>.*)\} (?P<value>\S+)")


@dataclass(frozen=True)
class Remembered:
    """A run of constant size, and what is remembered of it.

    Attributes:
        openmetrics: The samples.
        results: What came of it.
        replicas: Its size.
    """

    openmetrics: str
    results: Results
    replicas: dict[Role, int]


def remembered(
    policy: ServicePolicy, trace: Trace, replicas: dict[Role, int], *, start_unix_s: float, model: str
) -> Remembered:
    """Play a trace on a constant fleet and write down every scrape, kube-state-metrics included."""
    service = Service(service_of(policy, trace), trace)
    for role, count in replicas.items():
        service.scale(role, count)
    lines: list[str] = []
    at_s = 0.0
    while at_s <= trace.duration_s:
        service.advance_to(at_s)
        for pod in service.pods():
            if pod.ready:
                page = render_pod(pod, model_name=model, created_unix_s=start_unix_s)
                extra = f'pod="{pod.name}",role="{pod.role.value}",namespace="{NAMESPACE}"'
                lines += _samples(page, extra, start_unix_s + at_s)
        for role, count in replicas.items():
            labels = f'deployment="vllm-{role.value}",namespace="{NAMESPACE}"'
            for name in ("kube_deployment_spec_replicas", "kube_deployment_status_replicas_ready"):
                lines.append(f"{name}{{{labels}}} {count} {start_unix_s + at_s:.3f}")
        at_s += SCRAPE_S
    return Remembered("\n".join([*lines, "# EOF", ""]), service.finish(), replicas)


def _samples(page: str, extra: str, at_s: float) -> Iterator[str]:
    for line in page.splitlines():
        found = _SAMPLE.fullmatch(line)
        if found is not None and _ASKED.match(found["name"]):
            yield f"{found['name']}{{{found['labels']},{extra}}} {found['value']} {at_s:.3f}"
