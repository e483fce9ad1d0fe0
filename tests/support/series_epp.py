"""Metrics pages of an endpoint picker (llm-d-router, Gateway API inference extension), by generation of its names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from tests.support.series_kit import Counter, Gauge, Histogram, Page, Row

TTFT_BOUNDS_S = (
    *(0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60, 120),
)
TPOT_BOUNDS_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2)
QUEUE_BOUNDS_S = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
TOKEN_BOUNDS = (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)


class Names(Enum):
    """Which names a picker exports."""

    BOTH = "llm-d-router 0.9 and 0.10"
    NEW = "later llm-d-router"
    OBJECTIVE = "GAIE 1.1 to 1.5"
    FIRST_FLOW_CONTROL = "the same with flow control that names no model"
    MODEL = "GAIE 0.1 to 1.0"


@dataclass(frozen=True, slots=True)
class Picker:
    """What passes through a picker.

    Attributes:
        requests_per_s: Requests that come in; those that stream are half of them.
        held: Requests in flow control at a time; None without it.
        held_s: How long flow control held them, in a cycle.
        ttft_s: Time to first token of streaming requests; others are counted with their whole duration, 30 s.
        tpot_s: Time per output token.
        input_tokens, output_tokens: Of requests that report their usage.
    """

    requests_per_s: float = 6.0
    held: Callable[[float], float] | None = None
    held_s: Sequence[float] = (0.1, 0.3)
    ttft_s: Sequence[float] = (0.5, 0.7, 1.4)
    tpot_s: Sequence[float] = (0.03, 0.05, 0.07)
    input_tokens: Sequence[float] = (900.0, 1300.0)
    output_tokens: Sequence[float] = (150.0, 250.0)


def page(picker: Picker, namespace: str, model: str, names: Names) -> Page:
    """The page of the picker's pod."""
    target = {"namespace": namespace, "pod": "epp-0", "job": f"{namespace}/epp", "service": "epp"}
    rows = [row for prefixes in _prefixes(names) for row in _rows(picker, model, *prefixes)]
    return Page(target, [_unnamed(row) for row in rows] if names is Names.FIRST_FLOW_CONTROL else rows)


def _prefixes(names: Names) -> list[tuple[str, str, str]]:
    """Beginnings of the names of requests, pool and internals."""
    new = ("llm_d_epp_request_", "llm_d_epp_", "llm_d_epp_")
    objective = ("inference_objective_", "inference_pool_", "inference_extension_")
    model = ("inference_model_", "inference_pool_", "inference_extension_")
    return {
        Names.BOTH: [objective, new],
        Names.NEW: [new],
        Names.OBJECTIVE: [objective],
        Names.FIRST_FLOW_CONTROL: [objective],
        Names.MODEL: [model],
    }[names]


def _rows(picker: Picker, model: str, requests: str, pool: str, internals: str) -> Iterator[Row]:
    new = requests.startswith("llm_d")
    names = {"model_name": "an-alias", "target_model_name": model}
    labels = {**names, "fairness_id": "default", "priority": "0"} if new else names
    rate = picker.requests_per_s
    yield Counter("llm_d_epp_request_total" if new else f"{requests}request_total", rate, labels)
    # Another model in the same pool.
    other = {**labels, "model_name": "other", "target_model_name": "other"}
    yield Counter("llm_d_epp_request_total" if new else f"{requests}request_total", 50.0, other)
    yield _histogram(f"{requests}input_tokens", TOKEN_BOUNDS, picker.input_tokens, rate, labels)
    yield _histogram(f"{requests}output_tokens", TOKEN_BOUNDS, picker.output_tokens, rate, labels)
    if new:
        streaming, whole = {**labels, "streaming": "true"}, {**labels, "streaming": "false"}
        yield _histogram("llm_d_epp_request_ttft_seconds", TTFT_BOUNDS_S, picker.ttft_s, rate / 2, streaming)
        yield _histogram("llm_d_epp_request_ttft_seconds", TTFT_BOUNDS_S, (30.0,), rate / 2, whole)
        yield _histogram("llm_d_epp_request_streaming_tpot_seconds", TPOT_BOUNDS_S, picker.tpot_s, rate / 2, labels)
    # Averages over both roles together.
    yield Gauge(f"{pool}average_queue_size", 999.0, {"name": "pool"})
    yield Gauge(f"{pool}average_kv_cache_utilization", 0.99, {"name": "pool"})
    if picker.held is not None:
        flow = {**names, "fairness_id": "default", "priority": "0", "inference_pool": "pool"}
        yield Gauge(f"{internals}flow_control_queue_size", picker.held, flow)
        yield Gauge(f"{internals}flow_control_pool_saturation", 1.0, {"inference_pool": "pool"})
        yield _histogram(
            f"{internals}flow_control_request_queue_duration_seconds",
            QUEUE_BOUNDS_S,
            picker.held_s,
            rate,
            {**flow, "outcome": "Dispatched"},
        )


def _unnamed(row: Row) -> Row:
    """A row of flow control with the labels that it had at first."""
    if "flow_control" not in row.name:
        return row
    return replace(
        row, labels={key: row.labels[key] for key in row.labels.keys() & {"fairness_id", "priority", "outcome"}}
    )


def _histogram(
    name: str, bounds: Sequence[float], cycle: Sequence[float], per_s: float, labels: dict[str, str]
) -> Histogram:
    return Histogram(name, bounds, cycle, per_s, labels, whole_as_int=True)
