"""One policy examined: its signals, its targets, its account's rights, and what would be decided."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace

from autoscaler.cli.doctor_cluster import ClusterFindings, look_at_cluster
from autoscaler.cli.draining import Draining, draining
from autoscaler.config import Problem, ScalingPolicy
from autoscaler.core.decide import decide, unseen
from autoscaler.core.decision import Reason
from autoscaler.core.policy import ServicePolicy
from autoscaler.core.signals import Scope, Signal
from autoscaler.core.snapshot import Snapshot
from autoscaler.core.state import State
from autoscaler.daemon import logs
from autoscaler.daemon.assembly import connections, require_fit, stack_switch
from autoscaler.daemon.clock import WallClock
from autoscaler.daemon.places import target_aims
from autoscaler.daemon.queries import service_queries
from autoscaler.daemon.rights import Right
from autoscaler.daemon.scraper import Scraper
from autoscaler.daemon.stack_check import BROUGHT, NAMED, stack_problems
from autoscaler.daemon.surroundings import Surroundings
from autoscaler.daemon.switching import SwitchHand, with_position
from autoscaler.report.words import story_text
from autoscaler.sources.answers import Answer, Ask
from autoscaler.sources.findings import Findings, examine
from autoscaler.sources.prometheus import PrometheusSource
from autoscaler.stacks.dialects import Stack
from autoscaler.stacks.load import stack_of
from autoscaler.stacks.queries import ServiceQueries
from autoscaler.targets.base import PoolReading, Target
from autoscaler.targets.kubernetes.connection import KubeConfigError
from autoscaler.targets.kubernetes.specs.problems import SpecError
from autoscaler.targets.switch import Position, SwitchReading

_ANY_OF = "topk(1, "
# A pool of so many would shrink at any load, if it could; while one pod is out of KV blocks, though, no pool may.
_TOO_MANY = 4096
_OUT_OF_BLOCKS = frozenset({"kv_utilization_max", "preemption_rate"})
_COUNTED = frozenset({"reporting_replicas"})


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found of one policy.

    Attributes:
        service: Name of the service.
        stack: Name of its stack.
        told_by: The label by which the stack tells the roles, in words.
        signals: Of each signal whether it is there.
        pools: Replica counts, and why there are none.
        places: Per role the object that holds its count; none for a role whose counts come from metrics.
        gpus_per_replica: Per role what the policy says that a replica holds.
        cluster: None where no cluster is configured.
        no_cluster: Why not.
        problems: What the stack does not bear, and what of the policy is doubtful on it.
        switch: Where the disaggregation switch stands, in words; empty where the policy leaves it alone.
        switch_known: Whether that could be told.
        draining: Per role whether its pods have the time to end that they need.
        would: Per role what a decision would come to now.
        inert: Per role why no decision could be made.
        held: Per role what a shrink would lack, however little there were to do.
    """

    service: str
    stack: str
    told_by: str
    signals: Findings
    pools: PoolReading
    cluster: ClusterFindings | None
    no_cluster: str
    problems: tuple[Problem, ...]
    switch: str = ""
    switch_known: bool = True
    draining: tuple[Draining, ...] = ()
    would: dict[str, str] = field(default_factory=dict)
    inert: dict[str, str] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    gpus_per_replica: dict[str, float] = field(default_factory=dict)


def examine_policy(
    policy: ScalingPolicy, around: Surroundings, clock: WallClock, own: Iterable[Right] = ()
) -> Examination:
    """Examine one policy.

    Args:
        policy: The policy.
        around: What the command line says.
        clock: Where the time comes from.
        own: Rights on what the daemon keeps for itself.

    Raises:
        AssemblyError: Something that the policy needs is not given.
    """
    problems = tuple(stack_problems(policy))
    if any(problem.path in (NAMED, BROUGHT) or problem.path.endswith(".target.spec") for problem in problems):
        require_fit(policy)  # nobody knows what to look at
    log, stack = logs.get(service=policy.service), stack_of(policy)
    source, target = connections(policy, around, clock, log, writes=False)
    with closing(source), closing(target):
        ask = _asked(source)
        findings = examine(service_queries(policy), ask, now_s := clock.now_s())
        stream = _stream(service_queries(policy), findings.dialect, ask, now_s)
        pools = target.read()
        switch = _switch(policy, around, target, pools)
    cluster, no_cluster = None, ""
    try:
        cluster = look_at_cluster(policy, around, own)
    except KubeConfigError as error:
        no_cluster = str(error)
    snapshot, core = _snapshot(policy, findings, pools, switch, now_s), policy.at(policy.core(), now_s)
    would, inert = _decided(core, snapshot)
    return Examination(
        service=policy.service,
        stack=stack.name,
        told_by=_told_by(stack),
        signals=findings,
        pools=pools,
        cluster=cluster,
        no_cluster=no_cluster,
        problems=problems,
        switch=switch.detail if switch is not None else "",
        switch_known=switch is None or switch.position is not Position.UNKNOWN,
        draining=draining(stack.facts.drain, cluster.grace_s if cluster else {}, *stream),
        would=would,
        inert=inert,
        held=_held(core, snapshot),
        places={role: str(aimed.ref) for role, aimed in target_aims(policy).items()} if cluster is not None else {},
        gpus_per_replica={role: pool.gpus_per_replica for role, pool in policy.spec.roles.by_role().items()},
    )


def _told_by(stack: Stack) -> str:
    role = stack.labels.role
    return f"{role.name}: {', '.join(f'{which} {value}' for which, value in role.values.items())}"


def _asked(source: PrometheusSource | Scraper) -> Ask:
    """Whom to ask; pages that are scraped here are waited for first."""
    if not isinstance(source, Scraper):
        return source.ask
    source.wait_for_rates()
    return _few_series(source.ask)


def _few_series(ask: Ask) -> Ask:
    """For an evaluator that has no topk: of the few series that are scraped here all may be shown."""

    def answer(expressions: Iterable[str], now_s: float, /) -> Mapping[str, Answer]:
        asked = list(expressions)
        own = {text: text.removeprefix(_ANY_OF).removesuffix(")") for text in asked if text.startswith(_ANY_OF)}
        own = {text: own.get(text, text) for text in asked}
        answers = ask(own.values(), now_s)
        return {text: answers[meant] for text, meant in own.items()}

    return answer


def _stream(queries: ServiceQueries, dialect: str, ask: Ask, now_s: float) -> tuple[float | None, str]:
    """How long the slowest request of a hundred stays on decode, in seconds; and why nothing tells."""
    spoken = next((one for one in (queries, *queries.alternatives) if one.dialect == dialect), queries)
    if not spoken.stream:
        return None, f"stack {queries.stack} has no query for how long requests take"
    answers = ask([candidate.expressions[0].text for candidate in spoken.stream], now_s)
    for candidate in spoken.stream:
        elements = answers[candidate.expressions[0].text].elements
        if elements and math.isfinite(elements[0].value):
            return elements[0].value * candidate.factor, ""
    return None, "; ".join(("nothing tells how long requests take", *(one.note for one in spoken.stream if one.note)))


def _switch(policy: ScalingPolicy, around: Surroundings, target: Target, counts: PoolReading) -> SwitchReading | None:
    made = stack_switch(policy, around)
    if made is None:
        return None
    try:
        return SwitchHand(made, target).read(counts)
    except SpecError as error:  # what its place lacks is among the problems too
        return SwitchReading(Position.UNKNOWN, None, str(error))
    finally:
        made.close()


def _snapshot(
    policy: ScalingPolicy, findings: Findings, pools: PoolReading, switch: SwitchReading | None, now_s: float
) -> Snapshot:
    """What was found, as a decision sees it."""
    signals: dict[Scope, dict[str, Signal]] = {}
    for found in findings.signals:
        signals.setdefault(found.scope, {})[found.name] = found.signal
    snapshot = Snapshot(policy.service, now_s, pools.pools, signals, pools.errors)
    return snapshot if switch is None else with_position(snapshot, switch)


def _decided(policy: ServicePolicy, snapshot: Snapshot) -> tuple[dict[str, str], dict[str, str]]:
    """What would be decided now per role, and why nothing could be."""
    decision, _ = decide(policy, snapshot, State(started_at_s=0.0), snapshot.at_s)
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


def _held(policy: ServicePolicy, snapshot: Snapshot) -> dict[str, str]:
    """What a shrink would lack per role."""
    larger = {role: replace(pool, current=_TOO_MANY, ready=_TOO_MANY) for role, pool in snapshot.pools.items()}
    calm = {
        scope: {name: signal for name, signal in known.items() if name not in _OUT_OF_BLOCKS | _COUNTED}
        for scope, known in snapshot.signals.items()
    }
    supposed = replace(snapshot, pools=larger, signals=calm)
    decision, _ = decide(policy, supposed, State(started_at_s=0.0), snapshot.at_s)
    silent = {role.value: words for role in snapshot.pools if (words := unseen(snapshot, role))}
    return silent | {
        role.value: stage.detail
        for role, decided in decision.roles.items()
        for stage in decided.stages
        if stage.reason is Reason.SHRINK_NEEDS_ALL_SIGNALS
    }
