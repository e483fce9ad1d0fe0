"""From a scaling policy to a runner: its source, its target and the connections of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from autoscaler.config import ScalingPolicy
from autoscaler.config.problems import Severity
from autoscaler.core.policy import Role, ServicePolicy
from autoscaler.daemon.clock import Clock, WallClock
from autoscaler.daemon.competition import Lookout, UncontestedTarget, competitors, switch_competitors
from autoscaler.daemon.draining import DrainingTarget
from autoscaler.daemon.history import HistoryReader, Past
from autoscaler.daemon.holds import HoldError, ending_by, with_holds
from autoscaler.daemon.logs import Log
from autoscaler.daemon.metrics_target import MetricsTarget
from autoscaler.daemon.places import place_of_switch, places, switch_spec, target_aims, target_specs
from autoscaler.daemon.pod_load import PodLoads
from autoscaler.daemon.pod_marks import PodMarks
from autoscaler.daemon.pod_pages import PodPages
from autoscaler.daemon.pod_routing import PodRouting
from autoscaler.daemon.prometheus import prometheus_connection
from autoscaler.daemon.queries import kv_lease_s, page_labels, pod_label, routing_label, service_queries
from autoscaler.daemon.scraper import Scraper
from autoscaler.daemon.stack_check import stack_problems
from autoscaler.daemon.surroundings import AssemblyError, Surroundings
from autoscaler.daemon.switching import StackSwitch
from autoscaler.daemon.withdrawal import Withdrawal
from autoscaler.sources.endpoints import fixed_endpoints
from autoscaler.sources.prometheus import PrometheusSource
from autoscaler.sources.scrape import ScrapeSource
from autoscaler.stacks.errors import StackError
from autoscaler.stacks.load import stack_of
from autoscaler.targets.base import Target
from autoscaler.targets.kubernetes.build import role_target
from autoscaler.targets.kubernetes.client import KubeClient
from autoscaler.targets.kubernetes.competitors import Memory
from autoscaler.targets.kubernetes.connection import KubeConfigError, connect
from autoscaler.targets.kubernetes.switches.build import make_switch
from autoscaler.targets.role import RoleOf, RoleTargets
from autoscaler.targets.switch import NoSwitch

SWITCH = "switch"


def connections(
    policy: ScalingPolicy,
    around: Surroundings,
    clock: WallClock,
    log: Log,
    *,
    writes: bool,
    may_write: Callable[[], bool] = lambda: True,
) -> tuple[PrometheusSource | Scraper, Target]:
    """Make the source and the target of a policy; a Prometheus or a cluster is not asked yet.

    Args:
        policy: The policy.
        around: What the command line says.
        clock: Where the time comes from.
        log: Where to say what is done without.
        writes: Whether the target will be written; if not, metrics stand in where no cluster is configured.
        may_write: Whether we are the one who writes; asked again right before each request that writes.

    Raises:
        AssemblyError: Something that the policy needs is not given.
    """
    by_hand = all(spec.object is None for spec in target_specs(policy).values())
    client = _cluster(policy, around, log, required=writes, may_write=may_write) if not by_hand else None
    try:
        source = _source(policy, around, clock)
    except (StackError, KubeConfigError, AssemblyError) as error:
        if client is not None:
            client.close()
        raise AssemblyError(f"{policy.service}: {error}") from error
    counted = MetricsTarget(source, clock)
    if client is None:
        return source, _target(policy, None, counted) if by_hand else counted
    target = _target(policy, client, counted)
    if not writes:
        return source, target
    memories: dict[Role, Memory] = {role: {} for role in Role}
    lookout = Lookout(lambda: competitors(policy, client, memories), clock, log)
    return source, DrainingTarget(
        UncontestedTarget(target, lookout, may_write),
        PodMarks(client, target_aims(policy)),
        PodLoads(source, pod_label(policy), clock),
        kv_lease_s=kv_lease_s(policy),
        clock=clock,
        log=log,
        withdrawal=_withdrawal(policy, client, clock),
        may_write=may_write,
    )


def _withdrawal(policy: ScalingPolicy, client: KubeClient, clock: Clock) -> Withdrawal | None:
    """How pods are taken out of routing; None where the stack offers no way, or where we would lose sight of them."""
    label = routing_label(policy)
    if label is None or any(label in aimed.pods for aimed in target_aims(policy).values()):
        return None
    return Withdrawal(PodRouting(client, label), kv_lease_s=kv_lease_s(policy), clock=clock)


def _target(policy: ScalingPolicy, client: KubeClient | None, counted: Target | None = None) -> Target:
    where, specs = places(policy), target_specs(policy)
    readers = {role: RoleOf(counted, role) for role in specs} if counted is not None else {}
    roles = {
        role: role_target(client, spec, where[role], role, reader=readers.get(role)) for role, spec in specs.items()
    }
    return RoleTargets(roles, client.close if client is not None else lambda: None)


def stack_switch(
    policy: ScalingPolicy,
    around: Surroundings,
    clock: Clock | None = None,
    log: Log | None = None,
    *,
    may_write: Callable[[], bool] = lambda: True,
) -> StackSwitch | None:
    """The stack's switch, where the policy uses it; where no cluster is configured it cannot be read.

    Args:
        policy: The policy.
        around: What the command line says.
        clock: Where the time comes from, for whoever moves the switch again and again.
        log: Where to say what is done without, likewise; without both nobody looks for others who move it.
        may_write: Whether we are the one who moves it; asked again right before each request that writes.

    Raises:
        AssemblyError: The stack does not have the switch that the policy means.
    """
    if policy.spec.switch is None:
        return None
    spec, place = switch_spec(policy, stack_of(policy)), place_of_switch(policy, policy.spec.switch)
    if spec.path is None:
        return StackSwitch(lambda target: make_switch(None, spec, place, target))
    try:
        client = _connect(around, may_write)
    except KubeConfigError as error:
        reason = str(error)
        return StackSwitch(lambda _target: NoSwitch(reason))
    made = StackSwitch(lambda target: make_switch(client, spec, place, target), client.close)
    if clock is None or log is None:
        return made
    memory: Memory = {}
    lookout = Lookout(lambda: {SWITCH: switch_competitors(policy, client, memory)}, clock, log)
    return replace(made, others=lambda: lookout.look_now().get(SWITCH, ()))


def on_schedule(policy: ScalingPolicy, clock: WallClock) -> Callable[[ServicePolicy, float], ServicePolicy]:
    """Gives the policy as it holds at an instant of a clock: schedules and holds go by the clock on the wall."""

    def at(core: ServicePolicy, now_s: float) -> ServicePolicy:
        wall_s = clock.wall_s(now_s)
        return ending_by(policy.at(core, wall_s), round(wall_s - now_s))

    return at


def require_fit(policy: ScalingPolicy) -> None:
    """Make sure that the stack bears what the policy asks.

    Raises:
        AssemblyError: It does not; with all that is wrong.
    """
    errors = [problem for problem in stack_problems(policy) if problem.severity is Severity.ERROR]
    if errors:
        raise AssemblyError("\n".join(f"{policy.service}: {problem}" for problem in errors))


def held_policy(policy: ScalingPolicy) -> ServicePolicy:
    """The policy for deciding, with its operator's holds.

    Raises:
        AssemblyError: An annotation of ours cannot be understood.
    """
    try:
        return with_holds(policy.core(), policy.metadata.annotations)
    except HoldError as error:
        raise AssemblyError(f"{policy.service}: {error}") from error


def writable_target(policy: ScalingPolicy, around: Surroundings) -> tuple[KubeClient, Target]:
    """The target of a policy alone, for whoever writes it without asking for signals; closing it closes the client.

    Raises:
        AssemblyError: There is no cluster.
    """
    try:
        client = _connect(around)
    except KubeConfigError as error:
        raise AssemblyError(f"{policy.service}: {error}") from error
    return client, _target(policy, client)


def _source(policy: ScalingPolicy, around: Surroundings, clock: WallClock) -> PrometheusSource | Scraper:
    scrape = policy.spec.scrape
    if scrape is None or around.prometheus_url is not None:
        connection = prometheus_connection(policy, around.prometheus_url)
        return PrometheusSource(service_queries(policy), connection, clock=clock.now_s, wall=clock.wall_s)
    labels, pod = page_labels(policy), pod_label(policy)
    if scrape.endpoints is not None:
        pages = {Role.PREFILL: scrape.endpoints.prefill, Role.DECODE: scrape.endpoints.decode}
        fixed = fixed_endpoints(((url, labels[role]) for role, urls in pages.items() for url in urls), pod)
        return Scraper(ScrapeSource(service_queries(policy), fixed), scrape.interval_s, clock)
    client = _connect(around)
    pods = PodPages(client, target_aims(policy), labels, pod, scrape.port, scrape.path)
    return Scraper(ScrapeSource(service_queries(policy), pods), scrape.interval_s, clock, owned=(client,))


def _connect(around: Surroundings, may_write: Callable[[], bool] = lambda: True) -> KubeClient:
    return connect(kubeconfig=around.kubeconfig, context=around.context, budget=around.requests, may_write=may_write)


def _cluster(
    policy: ScalingPolicy,
    around: Surroundings,
    log: Log,
    *,
    required: bool,
    may_write: Callable[[], bool] = lambda: True,
) -> KubeClient | None:
    try:
        return _connect(around, may_write)
    except KubeConfigError as error:
        if required or around.kubeconfig is not None or around.context is not None:
            raise AssemblyError(f"{policy.service}: {error}") from error
        log.info("replica counts come from metrics", reason=str(error))
        return None


def past(policy: ScalingPolicy, around: Surroundings, clock: WallClock, log: Log) -> Past | None:
    """What Prometheus recorded of a service; nobody did where its pods are scraped directly.

    Raises:
        AssemblyError: Neither the policy nor the command line names a server.
    """
    if policy.spec.scrape is not None and around.prometheus_url is None:
        return None
    connection = prometheus_connection(policy, around.prometheus_url)
    patience_s = min(connection.timeout_s, policy.spec.interval_s / 3)
    return Past(HistoryReader(service_queries(policy), connection, log, patience_s=patience_s, wall=clock.wall_s))
