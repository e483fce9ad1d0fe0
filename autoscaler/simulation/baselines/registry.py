"""All baselines by name, each with the settings that are tried when it is tuned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Generic, TypeVar

from autoscaler.simulation.baselines.aibrix import AibrixSettings, apa, kpa
from autoscaler.simulation.baselines.dynamo import DynamoSettings, dynamo
from autoscaler.simulation.baselines.heteroscale import HeteroScaleSettings, heteroscale
from autoscaler.simulation.baselines.kthena import KthenaSettings, kthena
from autoscaler.simulation.baselines.llmd import SloSettings, TokenSettings, slo_keda, token_keda
from autoscaler.simulation.baselines.site import Site
from autoscaler.simulation.baselines.threshold import HpaRpsSettings, HpaSettings, KedaSettings, hpa, hpa_rps, keda
from autoscaler.simulation.baselines.tokenscale import TokenScaleSettings, tokenscale
from autoscaler.simulation.baselines.wva_v1 import WvaV1Settings, wva_v1
from autoscaler.simulation.baselines.wva_v2 import WvaV2Settings, wva_v2
from autoscaler.simulation.run import Controller

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Baseline(Generic[S]):
    """A control law of others.

    Attributes:
        name: Key in the registry.
        describe: What it does, in a line.
        version: Which version of it.
        source: Where the law is published.
        build: Makes a controller for a site.
        settings: What to try; the first is the published default.
    """

    name: str
    describe: str
    version: str
    source: str
    build: Callable[[Site, S], Controller]
    settings: Sequence[S]

    def controllers(self, site: Site) -> Iterator[tuple[S, Controller]]:
        """A controller for each of the settings, the default first."""
        return ((settings, self.build(site, settings)) for settings in self.settings)

    def label(self, settings: S) -> str:
        """What differs from the default; empty for the default itself."""
        names = [field.name for field in fields(settings)]  # type: ignore[arg-type]  # settings are dataclasses
        changed = [name for name in names if getattr(settings, name) != getattr(self.settings[0], name)]
        return ", ".join(f"{name}={getattr(settings, name)}" for name in changed)


_BASELINES: tuple[Baseline[Any], ...] = (
    Baseline(
        "hpa",
        "HPA v2 on waiting requests and KV usage per pod",
        "Kubernetes 1.3x",
        "kubernetes/kubernetes, pkg/controller/podautoscaler",
        hpa,
        [
            HpaSettings(),
            HpaSettings(queue_target=1.0, kv_target_ratio=0.5),
            HpaSettings(queue_target=0.5, kv_target_ratio=0.35),
            HpaSettings(queue_target=0.25, kv_target_ratio=0.25, down_window_s=600.0),
        ],
    ),
    Baseline(
        "hpa-rps",
        "HPA v2 on requests per second and replica, sized from a profile",
        "Kubernetes 1.3x",
        "kubernetes/kubernetes, pkg/controller/podautoscaler",
        hpa_rps,
        [
            HpaRpsSettings(),
            HpaRpsSettings(utilization_ratio=0.85),
            HpaRpsSettings(utilization_ratio=0.6),
            HpaRpsSettings(utilization_ratio=0.5),
            HpaRpsSettings(utilization_ratio=0.4),
            HpaRpsSettings(utilization_ratio=0.3),
            HpaRpsSettings(utilization_ratio=0.5, down_window_s=600.0),
            HpaRpsSettings(utilization_ratio=0.4, down_window_s=600.0),
            HpaRpsSettings(utilization_ratio=0.3, down_window_s=900.0),
        ],
    ),
    Baseline(
        "keda",
        "KEDA Prometheus triggers on waiting and running requests, defaults otherwise",
        "KEDA 2.20; thresholds of llm-d's EPP guide",
        "kedacore/keda; llm-d/llm-d guides",
        keda,
        [
            KedaSettings(),
            KedaSettings(queue_threshold=0.5, running_threshold=8.0),
            KedaSettings(queue_threshold=5.0, running_threshold=32.0),
            KedaSettings(queue_threshold=1.0, running_threshold=64.0),
        ],
    ),
    Baseline(
        "llm-d-slo",
        "KEDA on latency over target: TTFT for prefill, TPOT for decode",
        "llm-d guide of 2026-09",
        "llm-d/llm-d, SLO-aware autoscaling guide",
        slo_keda,
        [
            SloSettings(),
            SloSettings(up_ratio=0.4, down_ratio=0.25),
            SloSettings(up_ratio=0.7, down_ratio=0.5),
            SloSettings(per_role=False),
        ],
    ),
    Baseline(
        "llm-d-token",
        "KEDA on seconds of prefill backlog and summed KV usage",
        "llm-d PR 2466, 2026",
        "llm-d/llm-d, token-aware autoscaling guide",
        token_keda,
        [
            TokenSettings(),
            TokenSettings(up_period_s=15.0),
            TokenSettings(budget_ratio=0.3, kv_target_ratio=0.6, up_period_s=15.0),
            TokenSettings(budget_ratio=0.15, kv_target_ratio=0.4, up_period_s=15.0),
        ],
    ),
    Baseline(
        "wva-v1",
        "Spare KV and queue of unsaturated replicas, one replica at a time",
        "WVA before 0.9",
        "llm-d/llm-d-autoscaling; arXiv 2603.09730",
        wva_v1,
        [
            WvaV1Settings(),
            WvaV1Settings(kv_spare_ratio=0.3, queue_spare=4.0),
            WvaV1Settings(kv_threshold_ratio=0.5, queue_threshold=2.0, kv_spare_ratio=0.2, queue_spare=1.5),
        ],
    ),
    Baseline(
        "wva-v2",
        "KV tokens in use and queued against learned token capacity, joint commit of the roles",
        "WVA 0.9",
        "llm-d/llm-d-autoscaling",
        wva_v2,
        [
            WvaV2Settings(),
            WvaV2Settings(up_ratio=0.7, down_ratio=0.5),
            WvaV2Settings(up_ratio=0.5, down_ratio=0.35),
            WvaV2Settings(kv_threshold_ratio=0.5, up_ratio=0.5, down_ratio=0.35),
        ],
    ),
    Baseline(
        "heteroscale",
        "Both pools in proportion to decode tokens per second, steps on TBT",
        "arXiv 2508.19559",
        "https://arxiv.org/abs/2508.19559",
        heteroscale,
        [
            HeteroScaleSettings(),
            HeteroScaleSettings(utilization_ratio=0.85),
            HeteroScaleSettings(utilization_ratio=0.55),
            HeteroScaleSettings(utilization_ratio=0.4),
            HeteroScaleSettings(utilization_ratio=0.4, down_cooldown_s=600.0),
        ],
    ),
    Baseline(
        "tokenscale",
        "Arriving tokens over token velocity per stage",
        "arXiv 2512.03416",
        "https://arxiv.org/abs/2512.03416",
        tokenscale,
        [
            TokenScaleSettings(),
            TokenScaleSettings(headroom_ratio=0.25, hold_s=300.0),
            TokenScaleSettings(headroom_ratio=0.5, hold_s=300.0),
            TokenScaleSettings(headroom_ratio=1.0, hold_s=300.0),
            TokenScaleSettings(headroom_ratio=0.5, hold_s=600.0),
        ],
    ),
    Baseline(
        "aibrix-kpa",
        "Knative's stable and panic windows on pod means, shipped defects included",
        "AIBrix main, 2026",
        "vllm-project/aibrix, pkg/controller/podautoscaler",
        kpa,
        [
            AibrixSettings(),
            AibrixSettings(prefill_target=1.0, kv_target_ratio=0.1),
            AibrixSettings(prefill_target=0.5, kv_target_ratio=0.05, down_cooldown_s=0.0),
        ],
    ),
    Baseline(
        "aibrix-apa",
        "HPA's formula with tolerances on pod means, shipped defects included",
        "AIBrix main, 2026",
        "vllm-project/aibrix, pkg/controller/podautoscaler",
        apa,
        [
            AibrixSettings(),
            AibrixSettings(prefill_target=2.0, kv_target_ratio=0.35),
            AibrixSettings(prefill_target=1.0, kv_target_ratio=0.25),
            AibrixSettings(prefill_target=1.0, kv_target_ratio=0.25, down_cooldown_s=0.0),
        ],
    ),
    Baseline(
        "kthena",
        "Per-role metrics with panic mode, then a band for the ratio of the roles",
        "Kthena main, 2026",
        "volcano-sh/kthena, pkg/autoscaler",
        kthena,
        [
            KthenaSettings(),
            KthenaSettings(queue_target=1.0, kv_target_ratio=0.5),
            KthenaSettings(queue_target=0.5, kv_target_ratio=0.35),
            KthenaSettings(queue_target=0.5, kv_target_ratio=0.35, band_width_ratio=1.3),
        ],
    ),
    Baseline(
        "dynamo",
        "SLA planner: load of the next interval over profiled throughput, corrected by observed latency",
        "Dynamo 0.8.1",
        "ai-dynamo/dynamo, components/planner",
        dynamo,
        [
            DynamoSettings(),
            DynamoSettings(interval_s=60.0),
            DynamoSettings(interval_s=60.0, trend=True),
            DynamoSettings(interval_s=60.0, correct=False),
            DynamoSettings(interval_s=60.0, itl_target_ratio=0.6),
            DynamoSettings(interval_s=600.0),
        ],
    ),
)

BASELINES: Mapping[str, Baseline[Any]] = {baseline.name: baseline for baseline in _BASELINES}
