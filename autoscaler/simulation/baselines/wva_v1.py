"""llm-d's workload variant autoscaler, saturation analysis V1: spare KV and queue of the replicas that are not full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autoscaler.core.policy import Role
from autoscaler.core.snapshot import Snapshot
from autoscaler.simulation.baselines import readings
from autoscaler.simulation.baselines.hpa import Metric, MetricType, controller, pods_per_period
from autoscaler.simulation.baselines.site import Site
from autoscaler.simulation.run import Controller

HPA_BEHAVIOR = pods_per_period((10, 15.0), (1, 60.0), up_window_s=0.0, down_window_s=300.0)
"""Of WVA's sample for prefill and decode: the HPA that turns its wish into replicas."""


@dataclass(frozen=True, slots=True)
class WvaV1Settings:
    """Thresholds of saturation and of spare capacity.

    Attributes:
        kv_threshold_ratio: A replica at or above is saturated.
        queue_threshold: A replica with so many waiting requests is saturated.
        kv_spare_ratio: Grow when the mean spare KV is below this.
        queue_spare: Grow when the mean spare queue is below this.
    """

    kv_threshold_ratio: float = 0.80
    queue_threshold: float = 5.0
    kv_spare_ratio: float = 0.10
    queue_spare: float = 3.0


@dataclass(frozen=True, slots=True)
class ReplicaLoad:
    """One replica: KV usage and waiting requests."""

    kv_ratio: float
    queue: float


def v1_step(loads: Sequence[ReplicaLoad], settings: WvaV1Settings) -> int:
    """The step that V1 takes: +1, -1 or 0."""
    kv, queue = settings.kv_threshold_ratio, settings.queue_threshold
    free = [load for load in loads if load.kv_ratio < kv and load.queue < queue]
    count = len(free)
    mean_kv = sum(load.kv_ratio for load in free) / count if count else kv
    mean_queue = sum(load.queue for load in free) / count if count else queue
    if kv - mean_kv < settings.kv_spare_ratio or queue - mean_queue < settings.queue_spare:
        return 1
    fewer = count / (count - 1) if count > 1 else 0.0
    holds = kv - mean_kv * fewer >= settings.kv_spare_ratio and queue - mean_queue * fewer >= settings.queue_spare
    return -1 if count > 1 and holds else 0


def replica_loads(snapshot: Snapshot, role: Role) -> list[ReplicaLoad]:
    """Replicas as far as mean and maximum tell them: one at the maximum, the others alike, the queue shared evenly.

    A value that cannot be read is 0, as WVA takes it.
    """
    count = round(readings.pods(snapshot, role))
    if count == 0:
        return []
    queue = (readings.queue(snapshot, role) or 0.0) / count
    mean, most = readings.kv_mean(snapshot, role) or 0.0, readings.kv_max(snapshot, role) or 0.0
    others = (mean * count - most) / (count - 1) if count > 1 else 0.0
    return [ReplicaLoad(most, queue), *[ReplicaLoad(max(others, 0.0), queue)] * (count - 1)]


def wva_v1(site: Site, settings: WvaV1Settings) -> Controller:
    """WVA V1 behind an HPA on `wva_desired_replicas`; roles are judged apart, one replica at a time.

    No growth while replicas start. HPA's tolerance eats a step of one above ten replicas.
    """

    def metrics(snapshot: Snapshot, role: Role) -> Sequence[Metric]:
        pool = snapshot.pools[role]
        step = v1_step(replica_loads(snapshot, role), settings)
        if step > 0 and pool.starting:
            step = 0
        return (Metric(MetricType.AVERAGE_VALUE, float(max(pool.current + step, 1)), 1.0),)

    return controller(metrics, HPA_BEHAVIOR, site.bounds)
