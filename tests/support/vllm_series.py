"""vLLM's series for tests: engines that finish requests at a constant rate, with latencies that repeat in a cycle.

Every counter is then a straight line, so that `rate()` is exact and a test can compute each expected value by hand from
the engine's description. The same engine gives samples for a Prometheus, OpenMetrics text for a backfill, and pages to
scrape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.support.prometheus import TimeSeries

STEP_S = 15.0
"""Scrape interval."""

INF = math.inf
TTFT_BOUNDS_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160)
TOKEN_BOUNDS_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80)
REQUEST_BOUNDS_S = (0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480)
TOKEN_COUNT_BOUNDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
TRANSFER_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 5)

_Version = tuple[int, int]
_FIRST: _Version = (0, 8)
_LAST: _Version = (9, 9)
_HISTOGRAMS: Mapping[str, tuple[Sequence[float], _Version, _Version]] = {
    "vllm:time_to_first_token_seconds": (TTFT_BOUNDS_S, _FIRST, _LAST),
    "vllm:inter_token_latency_seconds": (TOKEN_BOUNDS_S, (0, 11), _LAST),
    "vllm:time_per_output_token_seconds": (TOKEN_BOUNDS_S, _FIRST, (0, 11)),
    "vllm:request_time_per_output_token_seconds": (TOKEN_BOUNDS_S, (0, 11), _LAST),
    "vllm:e2e_request_latency_seconds": (REQUEST_BOUNDS_S, _FIRST, _LAST),
    "vllm:request_queue_time_seconds": (REQUEST_BOUNDS_S, _FIRST, _LAST),
    "vllm:request_prefill_time_seconds": (REQUEST_BOUNDS_S, _FIRST, _LAST),
    "vllm:nixl_xfer_time_seconds": (TRANSFER_BOUNDS_S, (0, 11), _LAST),
    "vllm:mooncake_xfer_time_seconds": (TRANSFER_BOUNDS_S, (0, 33), _LAST),
    "lmcache:store_put_time": (TTFT_BOUNDS_S, _FIRST, _LAST),
    "lmcache:time_to_retrieve": (TTFT_BOUNDS_S, _FIRST, _LAST),
}
_SOURCES = {"local_compute": 1.0, "local_cache_hit": 0.0, "external_kv_transfer": 0.0}

Values = dict[tuple[tuple[str, str], ...], float]


@dataclass(frozen=True, slots=True)
class Engine:
    """One vLLM engine core.

    Attributes:
        pod: Name of its pod.
        role: Value of the role label.
        engine: Index in its pod.
        port: Where its front end is scraped, which tells the blocks of all engines of that pod and port.
        finished: Requests that finish in one scrape interval; a multiple of the length of every cycle below.
        prompt_tokens: Prompt lengths, in a cycle.
        output_tokens: Output lengths, in a cycle.
        sources: Share of the prompt tokens by origin.
        latencies_s: Observations by histogram, in a cycle; one observation a request.
        waiting: Length of the queue at a time.
        deferred: Part of the queue that waits for KV.
        running: Requests in the batch.
        kv_usage: Share of KV blocks in use.
        preempted: Preemptions in one scrape interval.
        expired: KV leases that run out in one scrape interval; None without a NIXL connector.
        blocks: KV blocks, of 16 tokens.
        version: Major and minor version of vLLM.
        started_s: When it counted from zero, if that is after the first sample.
        until_s: Its last scrape.
    """

    pod: str
    role: str
    engine: str = "0"
    port: int = 8000
    finished: int = 30
    prompt_tokens: tuple[int, ...] = (1000,)
    output_tokens: tuple[int, ...] = (1,)
    sources: Mapping[str, float] = field(default_factory=lambda: _SOURCES)
    latencies_s: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    waiting: Callable[[float], float] = lambda _: 0.0
    deferred: float = 0.0
    running: float = 0.0
    kv_usage: float = 0.0
    preempted: int = 0
    expired: int | None = None
    blocks: str = "1000"
    version: _Version = (0, 33)
    started_s: float | None = None
    until_s: float = INF


@dataclass(frozen=True, slots=True)
class Fleet:
    """Engines that one Prometheus scrapes.

    Attributes:
        engines: The engines.
        model: Name of the model.
        labels: Labels that all series get.
        by_role: Labels that the series of a role get; that role's name as the label `role` if it is not in here.
        pod_label: Label that names a pod.
        prefix: What stands for `vllm:` in metric names.
    """

    engines: tuple[Engine, ...]
    model: str = "llama"
    labels: Mapping[str, str] = field(default_factory=lambda: {"namespace": "serving"})
    by_role: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    pod_label: str = "pod"
    prefix: str = "vllm:"

    def time_series(self, from_s: float, to_s: float) -> list[TimeSeries]:
        """Samples for `Prometheus.write`; an engine that stops ends with staleness markers."""
        found: list[TimeSeries] = []
        for engine in self.engines:
            samples: dict[tuple[tuple[str, str], ...], list[tuple[float, float | None]]] = {}
            times_s = list(_times(from_s, to_s))
            for at_s in (at_s for at_s in times_s if at_s <= engine.until_s):
                for key, value in self._values(engine, from_s, at_s).items():
                    samples.setdefault(key, []).append((at_s, value))
            if (ended_s := next((at_s for at_s in times_s if at_s > engine.until_s), None)) is not None:
                for series in samples.values():
                    series.append((ended_s, None))
            found += [TimeSeries(dict(key), values) for key, values in samples.items()]
        return found

    def openmetrics(self, from_s: float, to_s: float) -> str:
        """Samples for a backfill."""
        lines = []
        for series in self.time_series(from_s, to_s):
            name = series.labels["__name__"]
            labels = ",".join(f'{key}="{value}"' for key, value in series.labels.items() if key != "__name__")
            lines += [f"{name}{{{labels}}} {value} {at_s:.3f}" for at_s, value in series.samples if value is not None]
        return "\n".join([*lines, "# EOF", ""])

    def page(self, pod: str, from_s: float, at_s: float) -> str:
        """The metrics page of a pod; without the labels that a scrape adds."""
        lines = []
        of_scrape = {"__name__", "pod", "role", "instance", *self.labels}
        for engine in (engine for engine in self.engines if engine.pod == pod):
            for key, value in self._values(engine, from_s, at_s).items():
                labels = {name: text for name, text in key if name not in of_scrape}
                text = ",".join(f'{name}="{value}"' for name, value in labels.items())
                lines.append(f"{dict(key)['__name__']}{{{text}}} {value}")
        return "\n".join([*lines, ""])

    def _values(self, engine: Engine, from_s: float, at_s: float) -> Values:
        of_role = self.by_role.get(engine.role, {"role": engine.role})
        target = {"instance": f"{engine.pod}:{engine.port}", **self.labels, self.pod_label: engine.pod, **of_role}
        of_engine = {"model_name": self.model, "engine": engine.engine}
        of_front_end = {"engine": engine.engine, "num_gpu_blocks": self._blocks(engine)}
        values: Values = {}
        started_s = from_s if engine.started_s is None or at_s < engine.started_s else engine.started_s
        scrapes = (at_s - started_s) / STEP_S + (0 if started_s == from_s else 1)
        for name, labels, value in (
            *_gauges(engine, at_s),
            *_counters(engine, scrapes * engine.finished, scrapes),
            *_histograms(engine, scrapes * engine.finished),
        ):
            own = of_front_end if name == "vllm:cache_config_info" else of_engine
            pairs = {"__name__": self._scraped(name), **target, **own, **labels}
            values[tuple(sorted(pairs.items()))] = value
        return values

    def _blocks(self, engine: Engine) -> str:
        """What an engine's front end tells: the sum over its engines, at each of them."""
        if not engine.blocks.isdigit():
            return engine.blocks
        together = [one for one in self.engines if (one.pod, one.port) == (engine.pod, engine.port)]
        return str(sum(int(one.blocks) for one in together))

    def _scraped(self, name: str) -> str:
        """A name after the scrape, which puts something before every name or none, and leaves all colons or none."""
        if name.startswith("vllm:"):
            return self.prefix + name.removeprefix("vllm:")
        if self.prefix.endswith("vllm:"):
            return self.prefix.removesuffix("vllm:") + name
        return name.replace(":", "_") if self.prefix == "vllm_" else name


_Rows = Iterator[tuple[str, Mapping[str, str], float]]


def _gauges(engine: Engine, at_s: float) -> _Rows:
    waiting = engine.waiting(at_s)
    yield "vllm:num_requests_waiting", {}, waiting
    yield "vllm:num_requests_running", {}, engine.running
    yield "vllm:cache_config_info", {"block_size": "16", "cache_dtype": "auto"}, 1.0
    if engine.version >= (0, 9):
        yield "vllm:kv_cache_usage_perc", {}, engine.kv_usage
    if engine.version <= (0, 10):
        yield "vllm:gpu_cache_usage_perc", {}, engine.kv_usage
    if engine.version >= (0, 20):
        yield "vllm:num_requests_waiting_by_reason", {"reason": "capacity"}, waiting - engine.deferred
        yield "vllm:num_requests_waiting_by_reason", {"reason": "deferred"}, engine.deferred
    if engine.version >= (0, 32) and engine.role == "decode":
        yield "vllm:num_requests_kv_fetch_by_stage", {"stage": "waiting_to_start"}, 1.0
        yield "vllm:num_requests_kv_fetch_by_stage", {"stage": "in_progress"}, engine.deferred - 1.0
        yield "vllm:num_requests_kv_fetch_by_stage", {"stage": "completed_waiting"}, 7.0


def _counters(engine: Engine, requests: float, scrapes: float) -> _Rows:
    prompt_tokens = requests * _mean(engine.prompt_tokens)
    hits = prompt_tokens * engine.sources.get("local_cache_hit", 0.0)
    yield "vllm:prompt_tokens_total", {}, prompt_tokens
    yield "vllm:generation_tokens_total", {}, requests * _mean(engine.output_tokens)
    yield "vllm:request_success_total", {"finished_reason": "length"}, requests * 2 / 3
    yield "vllm:request_success_total", {"finished_reason": "stop"}, requests / 3
    yield "vllm:num_preemptions_total", {}, scrapes * engine.preempted
    prefix = "vllm:prefix_cache" if engine.version >= (0, 9) else "vllm:gpu_prefix_cache"
    yield f"{prefix}_queries_total", {}, prompt_tokens
    yield f"{prefix}_hits_total", {}, hits
    if engine.version >= (0, 16):
        for source, share in engine.sources.items():
            yield "vllm:prompt_tokens_by_source_total", {"source": source}, prompt_tokens * share
    if engine.expired is not None:
        yield "vllm:nixl_num_kv_expired_reqs_total", {}, scrapes * engine.expired


def _histograms(engine: Engine, requests: float) -> _Rows:
    lengths = {
        "vllm:request_prompt_tokens": (engine.prompt_tokens, TOKEN_COUNT_BOUNDS),
        "vllm:request_generation_tokens": (engine.output_tokens, TOKEN_COUNT_BOUNDS),
    }
    for name, (cycle, bounds) in lengths.items():
        yield from _histogram(name, cycle, bounds, requests)
    for name, cycle_s in engine.latencies_s.items():
        bounds_s, since, until = _HISTOGRAMS[name]
        if since <= engine.version <= until:
            yield from _histogram(name, cycle_s, bounds_s, requests)


def _histogram(name: str, cycle: Sequence[float], bounds: Iterable[float], requests: float) -> _Rows:
    for bound in bounds:
        share = sum(value <= bound for value in cycle) / len(cycle)
        yield f"{name}_bucket", {"le": str(float(bound))}, requests * share
    yield f"{name}_bucket", {"le": "+Inf"}, requests
    yield f"{name}_sum", {}, requests * _mean(cycle)
    yield f"{name}_count", {}, requests


def _times(from_s: float, to_s: float) -> Iterator[float]:
    for index in range(int((to_s - from_s) / STEP_S) + 1):
        yield from_s + index * STEP_S


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
