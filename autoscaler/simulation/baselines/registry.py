"""All baselines by name, each with the settings among which it is tuned in hindsight.

A ladder goes from sparing to generous settings: up to noise, every rung costs more and attains more than the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
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
        default: The published settings.
        ladder: Settings to try, from sparing to generous.
        variants: What else to change where the ladder is about right: values of fields.
    """

    name: str
    describe: str
    version: str
    source: str
    build: Callable[[Site, S], Controller]
    default: S
    ladder: Sequence[S]
    variants: Sequence[Mapping[str, Any]] = ()

    def varied(self, settings: S) -> Iterator[S]:
        """Settings with each of the variants."""
        return (replace(settings, **changes) for changes in self.variants)  # type: ignore[type-var]  # S is a dataclass, which no bound can say

    def every(self) -> Iterator[S]:
        """All settings that may be tried, the default first; some may come twice."""
        yield self.default
        for rung in self.ladder:
            yield rung
            yield from self.varied(rung)

    def label(self, settings: S) -> str:
        """What differs from the default; empty for the default itself."""
        names = [field.name for field in fields(settings)]  # type: ignore[arg-type]  # settings are dataclasses
        changed = [name for name in names if getattr(settings, name) != getattr(self.default, name)]
        return ", ".join(f"{name}={getattr(settings, name)}" for name in changed)

    def labelled(self, label: str) -> S:
        """The settings of a label.

        Raises:
            KeyError: No settings that may be tried have it.
        """
        return {self.label(settings): settings for settings in self.every()}[label]


_BASELINES: tuple[Baseline[Any], ...] = (
    Baseline(
        "hpa",
        "HPA v2 on waiting requests and KV usage per pod",
        "Kubernetes 1.3x",
        "kubernetes/kubernetes, pkg/controller/podautoscaler",
        hpa,
        HpaSettings(),
        [
            HpaSettings(queue, kv)
            for queue, kv in ((8.0, 0.9), (4.0, 0.8), (2.0, 0.7), (1.0, 0.5), (0.5, 0.35), (0.25, 0.25), (0.1, 0.15))
        ],
        [{"down_window_s": 900.0}],
    ),
    Baseline(
        "hpa-rps",
        "HPA v2 on requests per second and replica, sized from a profile",
        "Kubernetes 1.3x",
        "kubernetes/kubernetes, pkg/controller/podautoscaler",
        hpa_rps,
        HpaRpsSettings(),
        [HpaRpsSettings(percent / 100) for percent in range(100, 14, -5)],
        [{"down_window_s": 120.0}, {"down_window_s": 900.0}],
    ),
    Baseline(
        "keda",
        "KEDA Prometheus triggers on waiting and running requests, defaults otherwise",
        "KEDA 2.20; thresholds of llm-d's EPP guide",
        "kedacore/keda; llm-d/llm-d guides",
        keda,
        KedaSettings(),
        [
            KedaSettings(queue, running, decode_running_threshold=decode)
            for queue, running, decode in (
                (8.0, 16.0, 192.0),
                (4.0, 8.0, 160.0),
                (4.0, 4.0, 128.0),
                (2.0, 2.0, 96.0),
                (2.0, 1.0, 64.0),
                (1.0, 0.7, 48.0),
                (0.5, 0.5, 32.0),
                (0.25, 0.3, 16.0),
            )
        ],
        [{"use_cached_metrics": True}],
    ),
    Baseline(
        "llm-d-slo",
        "KEDA on latency over target: TTFT for prefill, TPOT for decode",
        "llm-d guide of 2026-09",
        "llm-d/llm-d, SLO-aware autoscaling guide",
        slo_keda,
        SloSettings(),
        [
            SloSettings(up, down)
            for up, down in ((0.9, 0.7), (0.7, 0.5), (0.55, 0.4), (0.4, 0.25), (0.3, 0.2), (0.2, 0.12), (0.1, 0.05))
        ],
        [{"per_role": False}],
    ),
    Baseline(
        "llm-d-token",
        "KEDA on seconds of prefill backlog and summed KV usage",
        "llm-d PR 2466, 2026",
        "llm-d/llm-d, token-aware autoscaling guide",
        token_keda,
        TokenSettings(),
        [
            TokenSettings(budget, kv, up_period_s=15.0)
            for budget, kv in ((0.9, 0.9), (0.65, 0.8), (0.45, 0.7), (0.3, 0.6), (0.2, 0.5), (0.1, 0.35), (0.05, 0.2))
        ],
        [{"up_period_s": 180.0}],
    ),
    Baseline(
        "wva-v1",
        "Spare KV and queue of unsaturated replicas, one replica at a time",
        "WVA before 0.9",
        "llm-d/llm-d-autoscaling; arXiv 2603.09730",
        wva_v1,
        WvaV1Settings(),
        [
            WvaV1Settings(kv, queue, kv_spare, queue_spare)
            for kv, queue, kv_spare, queue_spare in (
                (0.8, 5.0, 0.1, 3.0),
                (0.8, 5.0, 0.3, 4.0),
                (0.5, 2.0, 0.2, 1.5),
                (0.4, 1.0, 0.25, 0.8),
                (0.3, 1.0, 0.25, 0.95),
            )
        ],
    ),
    Baseline(
        "wva-v2",
        "KV tokens in use and queued against learned token capacity, joint commit of the roles",
        "WVA 0.9",
        "llm-d/llm-d-autoscaling",
        wva_v2,
        WvaV2Settings(),
        [
            WvaV2Settings(up_ratio=up, down_ratio=down)
            for up, down in ((0.95, 0.8), (0.85, 0.7), (0.7, 0.5), (0.5, 0.35), (0.35, 0.25), (0.25, 0.15), (0.15, 0.1))
        ],
        [{"kv_threshold_ratio": 0.5}],
    ),
    Baseline(
        "heteroscale",
        "Both pools in proportion to decode tokens per second, steps on TBT",
        "arXiv 2508.19559",
        "https://arxiv.org/abs/2508.19559",
        heteroscale,
        HeteroScaleSettings(),
        [HeteroScaleSettings(percent / 100) for percent in (100, 85, 70, 60, 50, 40, 30, 20)],
        [{"down_cooldown_s": 900.0}],
    ),
    Baseline(
        "tokenscale",
        "Arriving tokens over token velocity per stage",
        "arXiv 2512.03416",
        "https://arxiv.org/abs/2512.03416",
        tokenscale,
        TokenScaleSettings(),
        [TokenScaleSettings(percent / 100, 300.0) for percent in (0, 10, 25, 50, 75, 100, 150, 200)],
        [{"hold_s": 60.0}, {"hold_s": 900.0}],
    ),
    Baseline(
        "aibrix-kpa",
        "Knative's stable and panic windows on pod means, shipped defects included",
        "AIBrix main, 2026",
        "vllm-project/aibrix, pkg/controller/podautoscaler",
        kpa,
        AibrixSettings(),
        [
            AibrixSettings(prefill, kv)
            for prefill, kv in ((8.0, 0.7), (4.0, 0.5), (2.0, 0.35), (1.0, 0.25), (1.0, 0.1), (0.5, 0.05), (0.25, 0.03))
        ],
        [{"down_cooldown_s": 0.0}],
    ),
    Baseline(
        "aibrix-apa",
        "HPA's formula with tolerances on pod means, shipped defects included",
        "AIBrix main, 2026",
        "vllm-project/aibrix, pkg/controller/podautoscaler",
        apa,
        AibrixSettings(),
        [
            AibrixSettings(prefill, kv)
            for prefill, kv in ((8.0, 0.7), (4.0, 0.5), (2.0, 0.35), (1.0, 0.25), (0.7, 0.15), (0.5, 0.1), (0.25, 0.05))
        ],
        [{"down_cooldown_s": 0.0}],
    ),
    Baseline(
        "kthena",
        "Per-role metrics with panic mode, then a band for the ratio of the roles",
        "Kthena main, 2026",
        "volcano-sh/kthena, pkg/autoscaler",
        kthena,
        KthenaSettings(),
        [
            KthenaSettings(queue, kv)
            for queue, kv in ((8.0, 0.9), (4.0, 0.8), (2.0, 0.7), (1.0, 0.5), (0.5, 0.35), (0.25, 0.25), (0.1, 0.15))
        ],
        [{"band_width_ratio": 1.3}],
    ),
    Baseline(
        "dynamo",
        "SLA planner: load of the next interval over profiled throughput, corrected by observed latency",
        "Dynamo 0.8.1",
        "ai-dynamo/dynamo, components/planner",
        dynamo,
        DynamoSettings(),
        [
            DynamoSettings(60.0, correct=False, itl_target_ratio=percent / 100)
            for percent in (100, 85, 70, 60, 50, 40, 35)
        ],
        [{"correct": True}, {"interval_s": 180.0}],
    ),
)

BASELINES: Mapping[str, Baseline[Any]] = {baseline.name: baseline for baseline in _BASELINES}
