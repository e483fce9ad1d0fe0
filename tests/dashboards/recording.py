"""What a Prometheus would have scraped: the daemon's pipeline on a simulated service, its pages with their times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from autoscaler.cli.demo import demo_policy
from autoscaler.config import ScalingPolicy
from autoscaler.core.policy import Role, ServicePolicy, SwitchPolicy
from autoscaler.daemon import logs
from autoscaler.daemon.ledger import Ledger
from autoscaler.daemon.metrics.of_daemon import of_daemon
from autoscaler.daemon.metrics.page import MetricsPage
from autoscaler.daemon.queries import page_labels, pod_label, service_queries
from autoscaler.daemon.rehearsal import simulated_service
from autoscaler.daemon.service import ServiceRunner
from autoscaler.daemon.shared_budget import SharedBudget
from autoscaler.daemon.state_store import MemoryStateStore
from autoscaler.daemon.tick import Tick
from autoscaler.simulation.pods import PodServer
from autoscaler.simulation.service import Service
from autoscaler.simulation.traces import Trace
from autoscaler.simulation.traces.formats import bundled_trace
from autoscaler.simulation.traces.reshape import between, times
from autoscaler.sources.endpoints import Endpoint
from autoscaler.sources.scrape import ScrapeSource
from autoscaler.targets.simulated import SimulatedTarget
from tests.support.metrics import families

EPOCH_S = 1_700_000_000.0
STEP_S = 15.0
BUDGET = "h100"
_START = {Role.PREFILL: 4, Role.DECODE: 2}
_TICK_S = 0.2
# Time of a scrape, text of the labels, value.
_Sample = tuple[float, str, float]


@dataclass
class Recording:
    """Samples of everything that was scraped.

    Attributes:
        service: Name of the service.
        namespace: Of its policy.
        model: Value of the model label of its pods.
        until_s: Unix time of the last scrape.
        policy: What was decided by.
        ticks: What the daemon did.
        types: Type of each family.
        samples: By family and name.
    """

    service: str
    namespace: str
    model: str
    until_s: float
    policy: ServicePolicy
    ticks: list[Tick] = field(default_factory=list, repr=False)
    types: dict[str, str] = field(default_factory=dict)
    samples: dict[str, dict[str, list[_Sample]]] = field(default_factory=dict, repr=False)

    def scrape(self, families: Iterable[Metric], at_s: float, **target: str) -> None:
        """Keep a page; `target` are the labels that the scrape adds, below those of the series."""
        for family in families:
            self.types.setdefault(family.name, family.type)
            kept = self.samples.setdefault(family.name, {})
            for sample in family.samples:
                labels = {**target, **sample.labels}
                text = ",".join(f'{name}="{_escaped(value)}"' for name, value in sorted(labels.items()))
                kept.setdefault(sample.name, []).append((at_s, text, sample.value))

    def openmetrics(self) -> str:
        """All of it, for promtool to backfill."""
        lines: list[str] = []
        for family, by_name in self.samples.items():
            lines.append(f"# TYPE {family} {self.types[family]}")
            for name, samples in by_name.items():
                lines += [f"{name}{{{labels}}} {value} {at_s:.3f}" for at_s, labels, value in samples]
        return "\n".join([*lines, "# EOF", ""])


@dataclass(frozen=True, slots=True)
class Part:
    """One service of a recording: its name, its traffic, and its rank where GPUs are short."""

    service: str
    trace: Trace
    priority: int = 0


def record(minutes: float, rate: float = 6.0, seed: int = 0) -> Recording:
    """Play a real morning on the demo's policy and keep what is scraped each tick."""
    return record_together([Part(demo_policy().service, trace_of(minutes, rate, seed))], budget_gpus=200.0)


def record_together(parts: Sequence[Part], budget_gpus: float) -> Recording:
    """Play several services of one daemon, equally long, that share a budget; of the first the pods are kept too."""
    documents = [_named(demo_policy(), part.service) for part in parts]
    # The demo's stack has no switch; what both arrangements cost is compared all the same.
    policies = [
        replace(document.core(), switch=SwitchPolicy(), budget_gpus=48.0, priority=part.priority)
        for document, part in zip(documents, parts, strict=True)
    ]
    first, namespace = documents[0], documents[0].metadata.namespace
    recording = Recording(first.service, namespace, first.spec.model or "", EPOCH_S, policies[0])
    ledger, budget = Ledger(), SharedBudget(BUDGET, budget_gpus)
    for policy in policies:
        ledger.open(policy, EPOCH_S, namespace)
    budget.follow({policy.service: policy for policy in policies})
    page = MetricsPage(ledger, of_daemon=lambda: of_daemon([budget], [], ledger.namespace_of))
    runs = [
        _ticks(document, policy, recording if document is first else None, part.trace, budget)
        for document, policy, part in zip(documents, policies, parts, strict=True)
    ]
    for ticks in zip(*runs, strict=True):
        for tick in ticks:
            recording.ticks.append(tick)
            ledger.book(tick, tick.at_s, tick.at_s + _TICK_S)
            recording.until_s = tick.at_s
        recording.scrape(families(page), recording.until_s, job="pd-autoscaler", instance="pd-autoscaler-0")
    return recording


def fleet(recording: Recording, services: int, every: int) -> Recording:
    """Our own metrics again, as if that many services had done the same; one scrape in `every` is kept."""
    own = f'service="{recording.service}"'
    names = [f"{recording.service}-{number:03d}" for number in range(services)]
    wide = replace(recording, service=names[0], samples={})
    for family, by_name in recording.samples.items():
        if family.startswith("pd_autoscaler"):
            wide.samples[family] = {
                name: [
                    (at_s, labels.replace(own, f'service="{other}"'), value)
                    for at_s, labels, value in samples
                    if round((recording.until_s - at_s) / STEP_S) % every == 0
                    for other in names
                ]
                for name, samples in by_name.items()
            }
    return wide


def trace_of(minutes: float, rate: float, seed: int) -> Trace:
    """The beginning of a real morning, laid over itself `rate` times."""
    return times(between(bundled_trace("azure2024_morning"), 0.0, minutes * 60.0), rate, seed)


def _named(document: ScalingPolicy, service: str) -> ScalingPolicy:
    return document.model_copy(update={"metadata": document.metadata.model_copy(update={"name": service})})


def _ticks(
    document: ScalingPolicy, policy: ServicePolicy, recording: Recording | None, trace: Trace, budget: SharedBudget
) -> Iterator[Tick]:
    service = Service(simulated_service(document, dict(_START)), trace, 0)
    labels, pod = page_labels(document), pod_label(document)
    pods = PodServer(model_name=document.spec.model or "", namespace=document.metadata.namespace, epoch_unix_s=EPOCH_S)
    pages: dict[str, dict[str, str]] = {}
    source = ScrapeSource(service_queries(document), lambda: tuple(Endpoint(url, own) for url, own in pages.items()))
    runner = ServiceRunner(
        policy,
        source,
        SimulatedTarget(service),
        MemoryStateStore(),
        logs.get(),
        grant=lambda own, snapshot, alone: budget.grant(own, snapshot, alone, 1),
    )
    try:
        for step in range(1, int(trace.duration_s / STEP_S) + 1):
            at_s = EPOCH_S + step * STEP_S
            service.advance_to(step * STEP_S)
            pods.publish(service.pods())
            pages.clear()
            for replica in service.pods():
                if replica.ready:
                    target = {**labels[replica.role], pod: replica.name, "instance": replica.name}
                    path = f"/pods/{replica.name}/metrics"
                    pages[f"http://{pods.address}{path}"] = target
                    if recording is not None:
                        recording.scrape(text_string_to_metric_families(pods.page(path)[2]), at_s, **target)
            source.scrape(at_s)
            yield runner.tick(at_s)
    finally:
        runner.close()
        pods.close()


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
