"""Metrics pages of Dynamo 1.5.1 itself, taken twice under load from a frontend, a prefill and a decode mock worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from autoscaler.core.signals import Signals
from tests.stacks.services import check, fill, pick, read, service
from tests.support.prometheus import Prometheus
from tests.support.series_kit import Counter, Gauge, Page, Row

FOLDER = Path(__file__).parent / "dynamo-1.5.1"
MODEL = "Example/Tiny"
NAMESPACE = "dynamo-recorded"
Values = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass(frozen=True, slots=True)
class Recording:
    """Two scrapes of one target; `counts` holds the names that only grow."""

    before: Values
    after: Values
    counts: frozenset[str]

    @property
    def length_s(self) -> float:
        """Time between the two, by the target's own clock."""
        return self.value("dynamo_component_uptime_seconds") - next(
            value for (name, _), value in self.before.items() if name == "dynamo_component_uptime_seconds"
        )

    def value(self, name: str, **labels: str) -> float:
        """The later value of the series that have these labels."""
        return sum(value for key, value in self.after.items() if _is(key, name, labels))

    def per_s(self, name: str, **labels: str) -> float:
        """Growth of the series that have these labels."""
        grown = (value - self.before.get(key, 0.0) for key, value in self.after.items() if _is(key, name, labels))
        return sum(grown) / self.length_s

    def mean(self, histogram: str) -> float:
        """Mean of what was observed in between."""
        return self.per_s(f"{histogram}_sum") / self.per_s(f"{histogram}_count")

    def page(self, target: Mapping[str, str]) -> Page:
        """A page that goes from the one to the other in straight lines, again and again."""
        return Page(target, [self._row(name, dict(labels)) for name, labels in self.after])

    def _row(self, name: str, labels: dict[str, str]) -> Row:
        if name in self.counts:
            return Counter(name, self.per_s(name, **labels), labels)
        return Gauge(name, self.value(name, **labels), labels)


def _is(key: tuple[str, frozenset[tuple[str, str]]], name: str, labels: Mapping[str, str]) -> bool:
    return key[0] == name and labels.items() <= key[1]


def recording(target: str) -> Recording:
    before, after = (FOLDER / f"{target}-{when}.prom" for when in ("before", "after"))
    families = list(text_string_to_metric_families(after.read_text()))
    counts = {one.name for family in families if family.type != "gauge" for one in family.samples}
    return Recording(_values(before), _values(after), frozenset(counts))


def _values(path: Path) -> Values:
    families = text_string_to_metric_families(path.read_text())
    samples = (sample for family in families for sample in family.samples)
    return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}


FRONTEND, PREFILL, DECODE = (recording(target) for target in ("frontend", "prefill", "decode"))
ARRIVALS = FRONTEND.per_s("dynamo_frontend_requests_started_total")
PROMPT = FRONTEND.mean("dynamo_frontend_input_sequence_tokens")
IN_PREFILL = PREFILL.value("dynamo_component_inflight_requests", dynamo_endpoint="generate")
EXPECTED: dict[str, float | str] = {
    "prefill.queue_depth": IN_PREFILL - 1.0,
    "prefill.in_flight": 1.0,
    "prefill.request_rate": ARRIVALS,
    "prefill.offered_tokens_per_s": ARRIVALS * PROMPT,
    "prefill.uncached_ratio": 1.0,
    "prefill.queue_time_s": "no series match vllm:request_queue_time_seconds_sum",
    "decode.running": DECODE.value("vllm:num_requests_running"),
    "decode.waiting": DECODE.value("vllm:num_requests_waiting"),
    "decode.kv_utilization_mean": DECODE.value("vllm:kv_cache_usage_perc"),
    "decode.kv_utilization_max": DECODE.value("vllm:kv_cache_usage_perc"),
    "decode.kv_capacity_tokens": 512.0 * 64.0,
    "decode.preemption_rate": DECODE.per_s("vllm:num_preemptions_total"),
    "decode.request_rate": ARRIVALS,
    "decode.offered_tokens_per_s": ARRIVALS * PROMPT,
    "decode.generation_tokens_per_s": FRONTEND.per_s("dynamo_frontend_output_tokens_total"),
    "decode.step_time_s": DECODE.mean("vllm:inter_token_latency_seconds"),
    "decode.first_token_time_s": DECODE.mean("vllm:time_to_first_token_seconds"),
    "service.request_rate": FRONTEND.per_s("dynamo_frontend_requests_total"),
    "service.input_tokens_mean": PROMPT,
    "service.output_tokens_mean": FRONTEND.mean("dynamo_frontend_output_sequence_tokens"),
    "service.kv_transfer_time_s": FRONTEND.mean("dynamo_component_router_kv_transfer_estimated_latency_seconds"),
}


@pytest.fixture(scope="module")
def signals(server: Prometheus) -> Signals:
    # Mock workers do not label the metrics of their engine with the component, as real ones do; so the scrape does.
    decode = {"namespace": NAMESPACE, "pod": "decode-0", "dynamo_component": "backend"}
    fill(
        server,
        [
            FRONTEND.page({"namespace": NAMESPACE, "pod": "frontend-0"}),
            PREFILL.page({"namespace": NAMESPACE, "pod": "prefill-0"}),
            DECODE.page(decode),
        ],
    )
    return read(server, service("dynamo", selector={"namespace": NAMESPACE}, model=MODEL))


def test_the_recording_is_of_a_loaded_service() -> None:
    assert ARRIVALS > 3.0
    assert IN_PREFILL > 1.0


@pytest.mark.parametrize("path", EXPECTED)
def test_a_signal_has_the_value_that_the_pages_tell(signals: Signals, path: str) -> None:
    check(signals, path, EXPECTED[path])


def test_ttft_is_the_frontends_and_lies_where_its_buckets_say(signals: Signals) -> None:
    bounds = sorted(
        (float(dict(labels)["le"]), FRONTEND.per_s(name, **dict(labels)))
        for name, labels in FRONTEND.after
        if name == "dynamo_frontend_time_to_first_token_seconds_bucket"
    )
    wanted = 0.95 * bounds[-1][1]
    above = next(bound for bound, per_s in bounds if per_s >= wanted)
    below = max(bound for bound, per_s in bounds if per_s < wanted)

    assert below <= (pick(signals, "service.ttft_s").value or 0.0) <= above
