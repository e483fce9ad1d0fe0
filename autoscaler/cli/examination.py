"""One policy examined: its signals, its targets, its account's rights, and what would be decided."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field

from autoscaler.cli.doctor_cluster import ClusterFindings, look_at_cluster
from autoscaler.config import ScalingPolicy
from autoscaler.core.decide import decide
from autoscaler.core.decision import Reason
from autoscaler.core.signals import Scope, Signal
from autoscaler.core.snapshot import Snapshot
from autoscaler.core.state import State
from autoscaler.daemon import logs
from autoscaler.daemon.assembly import Surroundings, connections
from autoscaler.daemon.clock import Clock
from autoscaler.daemon.queries import service_queries
from autoscaler.daemon.scraper import Scraper
from autoscaler.report.words import story_text
from autoscaler.sources.findings import Findings, SignalFinding, Verdict, examine
from autoscaler.sources.prometheus import PrometheusSource
from autoscaler.stacks.limits import broken_limits
from autoscaler.stacks.load import load_stack
from autoscaler.targets.base import PoolReading
from autoscaler.targets.kubernetes.connection import KubeConfigError

_SCRAPES = 3  # a rate needs two samples, a trend three
_SLOW_PAGES_S = 20.0


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found of one policy.

    Attributes:
        service: Name of the service.
        stack: Name of its stack.
        signals: Of each signal whether it is there.
        pools: Replica counts, and why there are none.
        cluster: None where no cluster is configured.
        no_cluster: Why not.
        broken_limits: Bounds that the stack does not bear.
        would: Per role what a decision would come to now.
        inert: Per role why no decision could be made.
    """

    service: str
    stack: str
    signals: Findings
    pools: PoolReading
    cluster: ClusterFindings | None
    no_cluster: str
    broken_limits: tuple[str, ...]
    would: dict[str, str] = field(default_factory=dict)
    inert: dict[str, str] = field(default_factory=dict)


def examine_policy(policy: ScalingPolicy, around: Surroundings, clock: Clock) -> Examination:
    """Examine one policy.

    Args:
        policy: The policy.
        around: What the command line says.
        clock: Where the time comes from.

    Raises:
        AssemblyError: Something that the policy needs is not given.
    """
    log = logs.get(service=policy.service)
    source, target = connections(policy, around, clock, log, writes=False)
    with closing(source), closing(target):
        now_s = clock.now_s()
        findings = _scraped(policy, source, clock) if isinstance(source, Scraper) else _asked(policy, source, now_s)
        pools = target.read()
    cluster, no_cluster = None, ""
    try:
        cluster = look_at_cluster(policy, around)
    except KubeConfigError as error:
        no_cluster = str(error)
    would, inert = _decided(policy, findings, pools, now_s)
    limits = load_stack(policy.spec.stack).facts.limits
    return Examination(
        service=policy.service,
        stack=policy.spec.stack,
        signals=findings,
        pools=pools,
        cluster=cluster,
        no_cluster=no_cluster,
        broken_limits=tuple(broken_limits(limits, policy.core().roles)),
        would=would,
        inert=inert,
    )


def _asked(policy: ScalingPolicy, source: PrometheusSource, now_s: float) -> Findings:
    return examine(service_queries(policy), source.ask, now_s)


def _scraped(policy: ScalingPolicy, source: Scraper, clock: Clock) -> Findings:
    """What pods export whose labels are ours, so that there is nothing to compare them with."""
    scrape = policy.spec.scrape
    interval_s = scrape.interval_s if scrape is not None else 0.0
    source.wait_for(_SCRAPES, timeout_s=_SCRAPES * interval_s + _SLOW_PAGES_S)
    signals = source.read(clock.now_s())
    found = tuple(
        SignalFinding(scope, name, _verdict(signal), signal)
        for scope, by_name in signals.items()
        for name, signal in by_name.items()
    )
    heard = any(one.verdict is Verdict.OK for one in found)
    return Findings(dialect="the pods' own pages", heard=heard, versions="", signals=found)


def _verdict(signal: Signal) -> Verdict:
    if signal.usable is not None:
        return Verdict.OK
    return Verdict.STALE if signal.value is not None else Verdict.MISSING


def _decided(
    policy: ScalingPolicy, findings: Findings, pools: PoolReading, now_s: float
) -> tuple[dict[str, str], dict[str, str]]:
    """What would be decided now per role, and why nothing could be."""
    signals: dict[Scope, dict[str, Signal]] = {}
    for found in findings.signals:
        signals.setdefault(found.scope, {})[found.name] = found.signal
    snapshot = Snapshot(policy.service, now_s, pools.pools, signals, pools.errors)
    decision, _ = decide(policy.at(policy.core(), now_s), snapshot, State(started_at_s=0.0), now_s)
    would = {
        role.value: f"{decided.current} to {decided.desired}: {story_text(decided)}"
        for role, decided in decision.roles.items()
    }
    blind = {
        role.value: decided.stages[0].detail
        for role, decided in decision.roles.items()
        if decided.stages[0].reason is Reason.SIGNALS_UNUSABLE
    }
    unread = {role.value: reason for role, reason in decision.undecided.items()}
    return would, {**blind, **unread}
