"""HPA and KEDA on engine metrics: what most people run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoscaler.core.capacity import decode_point
from autoscaler.core.policy import Role
from autoscaler.core.snapshot import Snapshot
from autoscaler.simulation.baselines import readings
from autoscaler.simulation.baselines.hpa import Metric, MetricType, controller, default_behavior
from autoscaler.simulation.baselines.memory import recall
from autoscaler.simulation.baselines.site import Site
from autoscaler.simulation.run import Controller, Memory


@dataclass(frozen=True, slots=True)
class HpaSettings:
    """HPA v2 on queue length and KV usage of the pods, for each pool.

    Attributes:
        queue_target: Waiting requests per pod.
        kv_target_ratio: KV usage.
        up_window_s: Stabilisation of growth.
        down_window_s: Stabilisation of shrinking.
    """

    queue_target: float = 2.0
    kv_target_ratio: float = 0.7
    up_window_s: float = 0.0
    down_window_s: float = 300.0


def hpa(site: Site, settings: HpaSettings) -> Controller:
    """HPA with two `Pods` metrics; the larger proposal wins."""

    def metrics(snapshot: Snapshot, role: Role) -> Sequence[Metric]:
        waiting, pods = readings.queue(snapshot, role), readings.pods(snapshot, role)
        mean = waiting / pods if waiting is not None and pods else None
        return (
            Metric(MetricType.PODS, mean, settings.queue_target),
            Metric(MetricType.PODS, readings.kv_mean(snapshot, role), settings.kv_target_ratio),
        )

    behavior = default_behavior(up_window_s=settings.up_window_s, down_window_s=settings.down_window_s)
    return controller(metrics, behavior, site.bounds)


@dataclass(frozen=True, slots=True)
class HpaRpsSettings:
    """HPA v2 on the request rate.

    Attributes:
        utilization_ratio: Share of a replica's profiled request rate that is the target.
        down_window_s: Stabilisation of shrinking.
    """

    utilization_ratio: float = 0.7
    down_window_s: float = 300.0


def hpa_rps(site: Site, settings: HpaRpsSettings) -> Controller:
    """HPA with one External metric of type `AverageValue`: requests per second and replica.

    The target is what a replica can do at the mean lengths of the profiled load.
    """
    targets = {role: settings.utilization_ratio * rate for role, rate in requests_per_s(site).items()}

    def metrics(snapshot: Snapshot, role: Role) -> Sequence[Metric]:
        return (Metric(MetricType.AVERAGE_VALUE, readings.request_rate(snapshot), targets[role]),)

    return controller(metrics, default_behavior(down_window_s=settings.down_window_s), site.bounds)


def requests_per_s(site: Site) -> Mapping[Role, float]:
    """Mean requests per second that one replica of a role can serve inside the objectives.

    A decode replica takes no more than its link carries: whoever profiles it finds that out.
    """
    prompt, output = site.input_tokens, site.output_tokens
    prefill = site.engines[Role.PREFILL].prefill
    prefill_s = prefill.request_ms(prompt, prompt * (1 - site.uncached_ratio)) / 1e3
    point = decode_point(site.engines[Role.DECODE], site.objectives.tpot.target_s, prompt + output / 2)
    carried = site.link_bytes_per_s / (prompt * site.engines[Role.DECODE].kv_bytes_per_token)
    return {Role.PREFILL: 1 / prefill_s, Role.DECODE: min(point.tokens_per_s / output, carried)}


@dataclass(frozen=True, slots=True)
class KedaSettings:
    """KEDA with Prometheus triggers and otherwise its defaults.

    Attributes:
        queue_threshold: Waiting requests per replica.
        running_threshold: Requests in batches per replica.
        decode_running_threshold: The same for decode, whose batches are larger; None for one threshold for both.
        use_cached_metrics: Serve HPA the value of the last poll instead of a fresh one.
        polling_s: Time between polls.
    """

    queue_threshold: float = 1.0
    running_threshold: float = 16.0
    decode_running_threshold: float | None = None
    use_cached_metrics: bool = False
    polling_s: float = 30.0


@dataclass(slots=True)
class _Poll:
    at_s: float = float("-inf")
    values: tuple[float, ...] = ()


def keda(site: Site, settings: KedaSettings) -> Controller:
    """A ScaledObject per pool: pool sums as External `AverageValue` metrics of an HPA with default behaviour.

    A query without an answer counts as 0 (`ignoreNullValues` is true by default), so a dead scrape looks idle and
    shrinks the pool once HPA's window has passed. Bounds begin at 1, so KEDA's own switch between 0 and 1 is idle.
    """
    bounds, behavior = site.bounds, default_behavior()
    decode = settings.decode_running_threshold
    running = {
        Role.PREFILL: settings.running_threshold,
        Role.DECODE: settings.running_threshold if decode is None else decode,
    }

    def control(snapshot: Snapshot, memory: Memory, now_s: float) -> Mapping[Role, int]:
        def metrics(snapshot: Snapshot, role: Role) -> Sequence[Metric]:
            poll = recall(memory, f"poll {role}", _Poll)
            if not settings.use_cached_metrics or now_s - poll.at_s >= settings.polling_s:
                poll.at_s = now_s
                poll.values = (readings.queue(snapshot, role) or 0.0, readings.running(snapshot, role) or 0.0)
            thresholds = (settings.queue_threshold, running[role])
            return [
                Metric(MetricType.AVERAGE_VALUE, value, threshold)
                for value, threshold in zip(poll.values, thresholds, strict=True)
            ]

        return controller(metrics, behavior, bounds)(snapshot, memory, now_s)

    return control
