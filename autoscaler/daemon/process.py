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
from autoscaler.config.store import PolicyStore
from autoscaler.core.policy import Mode, Role
from autoscaler.daemon.assembly import Surroundings, connections, target_aims
from autoscaler.daemon.clock import SteadyClock
from autoscaler.daemon.election import Election
from autoscaler.daemon.event_reporter import EventReporter, Subject
from autoscaler.daemon.exposition import registry
from autoscaler.daemon.follower import PolicyFollower
from autoscaler.daemon.health import HealthServer
from autoscaler.daemon.leadership import Alone, Leadership, own_identity
from autoscaler.daemon.ledger import Ledger
from autoscaler.daemon.logs import Log
from autoscaler.daemon.loop import Loop, Workload
from autoscaler.daemon.reporters import Reporter, Reporters
from autoscaler.daemon.service import ServiceRunner
from autoscaler.daemon.state_config_map import ConfigMapStateStore
from autoscaler.daemon.state_store import FileStateStore, MemoryStateStore, StateStore
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
    """

    policies: tuple[Path, ...]
    around: Surroundings = field(default_factory=Surroundings)
    host: str = "127.0.0.1"
    port: int = 0
    state: StateKind = StateKind.MEMORY
    state_dir: Path | None = None
    leader_elect: bool = False
    own_namespace: str | None = None
    own_name: str = "pd-autoscaler"


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
    clock, ledger = SteadyClock(), Ledger()
    with ExitStack() as stack:
        identity = own_identity()
        leadership = _leadership(settings, identity, clock, log, stack)
        store = _state_store(settings, stack)
        policies = PolicyStore(settings.policies)
        loop = Loop(clock, ledger, log, Reporters(_reporters(settings, policies, identity, stack), log))

        def workload(document: ScalingPolicy) -> Workload:
            def build() -> ServiceRunner:
                service, bound = document.service, log.bind(service=document.service)
                writes = document.spec.mode is not Mode.RECOMMEND
                source, target = connections(document, settings.around, clock, bound, writes=writes)
                may_write = lambda: leadership.may_write(service)  # noqa: E731 - a function of its own says no more
                return ServiceRunner(document.core(), source, target, store, bound, may_write=may_write)

            return Workload(document.core(), document, build)

        follower = PolicyFollower(policies, loop, workload, clock, log)

        def follow() -> list[str]:
            problems = follower.follow()
            leadership.stand_for(follower.services)
            return problems

        try:
            if problems := follow():
                raise StartError("\n".join(problems))
            with _health_server(settings, ledger, clock) as health:
                paths = [str(path) for path in settings.policies]
                log.info("started", version=__version__, address=health.address, policies=paths)
                leadership.start()
                loop.start()
                loop.run(stop, follow, _RELOAD_S)
        finally:
            unfinished = loop.close(patience_s)
            leadership.close(release=not unfinished)
        return unfinished


@contextmanager
def _health_server(settings: Settings, ledger: Ledger, clock: SteadyClock) -> Iterator[HealthServer]:
    try:
        server = HealthServer(settings.host, settings.port, ledger, registry(ledger), clock)
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


def _reporters(settings: Settings, policies: PolicyStore, identity: str, stack: ExitStack) -> list[Reporter]:
    def subject(service: str, role: Role) -> Subject | None:
        loaded = policies.policies.get(service)
        aimed = target_aims(loaded.policy).get(role) if loaded is not None else None
        return Subject(aimed.ref) if aimed is not None else None

    try:
        api = _connect(settings, "an Event", stack)
    except StartError:
        return []  # whoever advises from metrics alone has no cluster to tell
    return [EventReporter(api, subject, identity)]


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
