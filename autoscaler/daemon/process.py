"""The daemon as a whole: what is started, in which order, and how it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from threading import Event

from autoscaler import __version__
from autoscaler.config import ScalingPolicy
from autoscaler.core.policy import Mode
from autoscaler.daemon.assembly import AssemblyError, Surroundings, connections, past, require_fit, stack_switch
from autoscaler.daemon.background import BackgroundReporter
from autoscaler.daemon.clock import SteadyClock
from autoscaler.daemon.election import Election
from autoscaler.daemon.endpoint_guard import EndpointGuard, EndpointGuardError
from autoscaler.daemon.event_reporter import EventReporter
from autoscaler.daemon.follower import PolicyFollower
from autoscaler.daemon.health import HealthServer
from autoscaler.daemon.holds import HoldError, with_holds
from autoscaler.daemon.leadership import Alone, Leadership, own_identity
from autoscaler.daemon.ledger import Ledger
from autoscaler.daemon.logs import Log
from autoscaler.daemon.loop import Loop, Workload
from autoscaler.daemon.metrics.collector import registry
from autoscaler.daemon.policy_origin import ClusterOrigin, FileOrigin, PolicyOrigin
from autoscaler.daemon.recent import Recent
from autoscaler.daemon.reporters import Reporter, Reporters
from autoscaler.daemon.service import ServiceRunner
from autoscaler.daemon.settings_file import FileSettings
from autoscaler.daemon.shared_budget import SharedBudget, SharedBudgets
from autoscaler.daemon.state_config_map import ConfigMapStateStore
from autoscaler.daemon.state_store import FileStateStore, MemoryStateStore, StateStore
from autoscaler.daemon.status_site import is_loopback, status_documents
from autoscaler.daemon.tenancy import Tenancy
from autoscaler.daemon.tick import Dependency, Trouble
from autoscaler.daemon.troubles import TroubleLog
from autoscaler.daemon.webhook_reporter import WebhookReporter
from autoscaler.kube.api import KubeApi, configure, own_namespace
from autoscaler.targets.kubernetes.connection import KubeConfigError

_RELOAD_S = 2.0
# A lease must be renewed several times within its length, slow answers included.
_LEASE_TIMEOUT_S = 3.0


class StartError(Exception):
    """The daemon cannot start; says what is wrong, why, and what to do next."""


class StateKind(StrEnum):
    """Where the memory of a service is kept."""

    MEMORY = "memory"
    DIR = "dir"
    CONFIGMAP = "configmap"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says.

    Attributes:
        policies: Policy files, or folders of them.
        around: The world around all policies.
        host: Address to serve health and metrics on.
        port: Port of it; 0 takes any free one.
        state: Where memory is kept.
        state_dir: The folder of it.
        leader_elect: Whether several daemons share the work.
        own_namespace: Namespace of leases and memory; None for the one of our pod.
        own_name: What their names begin with.
        watch_policies: Whether policies are objects of the cluster instead of files.
        watch_namespace: Namespace of these; empty for all.
        cross_namespace: Whether these may read and scale outside of theirs.
        file: What the settings file says.
        status_page: Whether to serve the status page where others can reach it; on loopback it always is.
        traces: Whether to export ticks as OpenTelemetry traces.
    """

    policies: tuple[Path, ...] = ()
    around: Surroundings = field(default_factory=Surroundings)
    host: str = "127.0.0.1"
    port: int = 0
    state: StateKind = StateKind.MEMORY
    state_dir: Path | None = None
    leader_elect: bool = False
    own_namespace: str | None = None
    own_name: str = "pd-autoscaler"
    watch_policies: bool = False
    watch_namespace: str = ""
    cross_namespace: bool = False
    file: FileSettings = field(default_factory=FileSettings)
    status_page: bool = False
    traces: bool = False

    @property
    def shows_status(self) -> bool:
        """Whether the status page is served."""
        return self.status_page or is_loopback(self.host)


def run_daemon(settings: Settings, stop: Event, log: Log, *, patience_s: float) -> list[str]:
    """Run until `stop` is set.

    Args:
        settings: What the command line says.
        stop: Ends it.
        log: Where to say what happens.
        patience_s: How long ticks under way may take to end.

    Returns:
        Services whose tick did not end in time.

    Raises:
        StartError: It cannot start.
    """
    clock, ledger, recent = SteadyClock(), Ledger(), Recent()
    with ExitStack() as stack:
        identity = own_identity()
        leadership = _leadership(settings, identity, clock, log, stack)
        store = _state_store(settings, stack)
        origin = _origin(settings, clock, stack)
        budgets = shared_budgets(settings.file)
        reporters = [
            *origin.reporters,
            *_event_reporters(settings, origin, identity, stack),
            *_webhooks(settings, stack),
            *([recent] if settings.shows_status else []),
            *_traces(settings, stack),
        ]
        loop = Loop(clock, ledger, log, Reporters(reporters, log))

        def workload(document: ScalingPolicy) -> Workload:
            def build() -> ServiceRunner:
                return _runner(document, settings, store, leadership, budgets, clock, log)

            return Workload(document.core(), document, build, document.metadata.namespace)

        follower = PolicyFollower(origin.policies, loop, workload, clock, log)
        troubles = TroubleLog(log)

        def follow() -> list[str]:
            problems = follower.follow()
            leadership.stand_for(budgets.leases(follower.services))
            short = _short(budgets, origin)
            troubles.update([*origin.followed(follower.failures), *short], clock.now_s())
            return problems

        try:
            problems = follow()
            if problems and origin.strict:
                raise StartError("\n".join(problems))
            with _health_server(settings, ledger, recent, clock, origin) as health:
                log.info("started", version=__version__, address=health.address, policies=_told_from(settings))
                origin.start()
                leadership.start()
                loop.start()
                loop.run(stop, follow, _RELOAD_S)
        finally:
            unfinished = loop.close(patience_s)
            leadership.close(release=not unfinished)
        return unfinished


def _runner(
    document: ScalingPolicy,
    settings: Settings,
    store: StateStore,
    leadership: Leadership,
    budgets: SharedBudgets,
    clock: SteadyClock,
    log: Log,
) -> ServiceRunner:
    service, bound = document.service, log.bind(service=document.service)
    try:
        policy = with_holds(document.core(), document.metadata.annotations)
    except HoldError as error:
        raise AssemblyError(f"{service}: {error}") from error
    require_fit(document)
    writes = document.spec.mode is not Mode.RECOMMEND
    source, target = connections(document, settings.around, clock, bound, writes=writes)
    lease = budgets.lease(service)
    return ServiceRunner(
        policy,
        source,
        target,
        store,
        bound,
        may_write=lambda: leadership.may_write(lease),
        at=document.at,
        grant=budgets.grant,
        switch=stack_switch(document, settings.around),
        past=past(document, settings.around, bound),
    )


def shared_budgets(file: FileSettings) -> SharedBudgets:
    """The budgets that services share."""
    return SharedBudgets([SharedBudget(one.name, one.gpus, one.services) for one in file.budgets])


def _short(budgets: SharedBudgets, origin: PolicyOrigin) -> list[Trouble]:
    """Budgets that do not pay for what they must."""
    if not budgets.budgets:
        return []
    policies = {service: loaded.policy.core() for service, loaded in origin.policies.policies.items()}
    return [Trouble(Dependency.BUDGET, name, why) for name, why in budgets.follow(policies).items()]


def _traces(settings: Settings, stack: ExitStack) -> list[Reporter]:
    if not settings.traces:
        return []
    try:
        from autoscaler.daemon.tracing import TraceReporter  # noqa: PLC0415 - an extra: loaded when asked for
    except ImportError as error:
        raise StartError(f"--traces needs {error.name}: pip install 'pd-autoscaler[otel]'") from error
    reporter = TraceReporter.to_otlp()
    stack.callback(reporter.close)
    return [reporter]


def _webhooks(settings: Settings, stack: ExitStack) -> list[Reporter]:
    made = [BackgroundReporter(WebhookReporter(webhook), webhook.name) for webhook in settings.file.webhooks]
    for reporter in made:
        stack.callback(reporter.close)
    return list(made)


def _told_from(settings: Settings) -> list[str]:
    if settings.watch_policies:
        return [f"scalingpolicies in {settings.watch_namespace or 'all namespaces'}"]
    return [str(path) for path in settings.policies]


@contextmanager
def _health_server(
    settings: Settings, ledger: Ledger, recent: Recent, clock: SteadyClock, origin: PolicyOrigin
) -> Iterator[HealthServer]:
    asked = settings.file.endpoint
    guard = EndpointGuard(asked.cert_file, asked.key_file, asked.token_file)
    documents = status_documents(ledger, recent, clock, origin.missing) if settings.shows_status else {}
    try:
        server = HealthServer(
            settings.host, settings.port, ledger, registry(ledger), clock, origin.missing, documents, guard
        )
    except EndpointGuardError as error:
        raise StartError(f"--settings: {error}") from error
    except OSError as error:
        raise StartError(
            f"--listen {settings.host}:{settings.port}: {error.strerror}; choose another port, 0 takes any free one"
        ) from error
    with server:
        yield server


def _leadership(settings: Settings, identity: str, clock: SteadyClock, log: Log, stack: ExitStack) -> Leadership:
    if not settings.leader_elect:
        return Alone()
    namespace = _own_namespace(settings)
    api = _connect(settings, "--leader-elect", stack, timeout_s=_LEASE_TIMEOUT_S)
    return Election(api, namespace, settings.own_name, identity, clock, log)


def _origin(settings: Settings, clock: SteadyClock, stack: ExitStack) -> PolicyOrigin:
    if not settings.watch_policies:
        return FileOrigin(settings.policies)
    api = _connect(settings, "--watch-policies", stack)
    tenancy = Tenancy(settings.around.prometheus_url is not None, settings.cross_namespace)
    origin = ClusterOrigin(api, settings.watch_namespace, tenancy=tenancy, clock=clock)
    stack.callback(origin.close)
    return origin


def _event_reporters(settings: Settings, origin: PolicyOrigin, identity: str, stack: ExitStack) -> list[Reporter]:
    try:
        api = _connect(settings, "an Event", stack)
    except StartError:
        return []  # whoever advises from metrics alone has no cluster to tell
    return [EventReporter(api, origin.subject, identity)]


@contextmanager
def opened_store(settings: Settings) -> Iterator[StateStore]:
    """Where memory is kept, for whoever looks into that of a daemon.

    Raises:
        StartError: It cannot be opened.
    """
    with ExitStack() as stack:
        yield _state_store(settings, stack)


def _state_store(settings: Settings, stack: ExitStack) -> StateStore:
    if settings.state is StateKind.CONFIGMAP:
        namespace = _own_namespace(settings)
        return ConfigMapStateStore(_connect(settings, "--state configmap", stack), namespace, settings.own_name)
    if settings.state is StateKind.MEMORY:
        return MemoryStateStore()
    if settings.state_dir is None:
        raise StartError("--state dir needs a folder: pass --state-dir DIR")
    try:
        return FileStateStore(settings.state_dir)
    except OSError as error:
        raise StartError(f"--state-dir {settings.state_dir}: {error.strerror}") from error


def _connect(settings: Settings, wanted_by: str, stack: ExitStack, *, timeout_s: float = 5.0) -> KubeApi:
    around = settings.around
    try:
        api = KubeApi(configure(kubeconfig=around.kubeconfig, context=around.context), timeout_s=timeout_s)
    except KubeConfigError as error:
        raise StartError(f"{wanted_by} needs a cluster: {error}") from error
    stack.callback(api.close)
    return api


def _own_namespace(settings: Settings) -> str:
    namespace = settings.own_namespace or own_namespace()
    if namespace is None:
        raise StartError(
            "we run in no pod, so nothing says which namespace is ours: pass --lease-namespace, for leases and state"
        )
    return namespace
