"""What the daemon itself asks of a cluster: its leases, its memory, its policies and its Events.

Each has a connection of its own, closed with the stack that it is opened on. What cannot be had is a StartError.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from autoscaler.config.files import NO_FILES, PolicyFiles
from autoscaler.daemon.clock import SteadyClock
from autoscaler.daemon.election import Election
from autoscaler.daemon.event_reporter import EventReporter
from autoscaler.daemon.leadership import Alone, Leadership
from autoscaler.daemon.logs import Log
from autoscaler.daemon.policy_origin import ClusterOrigin, FileOrigin, PolicyOrigin
from autoscaler.daemon.reporters import Reporter
from autoscaler.daemon.settings import Settings, StartError, StateKind
from autoscaler.daemon.state_config_map import ConfigMapStateStore
from autoscaler.daemon.state_store import FileStateStore, MemoryStateStore, StateStore
from autoscaler.daemon.tenancy import Tenancy
from autoscaler.kube.api import KubeApi, own_namespace
from autoscaler.targets.kubernetes.connection import KubeConfigError, configure

# A lease must be renewed several times within its length, slow answers included.
_LEASE_TIMEOUT_S = 3.0


def leadership(settings: Settings, identity: str, clock: SteadyClock, log: Log, stack: ExitStack) -> Leadership:
    """Who writes: whoever holds the leases, or this daemon alone."""
    if not settings.leader_elect:
        return Alone()
    namespace = _own_namespace(settings)
    api = _connect(settings, "--leader-elect", stack, timeout_s=_LEASE_TIMEOUT_S)
    return Election(api, namespace, settings.own_name, identity, clock, log, terms=settings.lease_terms)


def policy_origin(settings: Settings, clock: SteadyClock, stack: ExitStack) -> PolicyOrigin:
    """Where policies come from: files, or objects of the cluster."""
    if not settings.watch_policies:
        return FileOrigin(settings.policies)
    api = _connect(settings, "--watch-policies", stack)
    folder = settings.file.policy_files
    files = PolicyFiles(folder, fenced=True) if folder is not None else NO_FILES
    tenancy = Tenancy(settings.around.prometheus_url is not None, settings.cross_namespace, files)
    origin = ClusterOrigin(api, settings.watch_namespace, tenancy=tenancy, clock=clock)
    stack.callback(origin.close)
    return origin


def event_reporters(settings: Settings, origin: PolicyOrigin, identity: str, stack: ExitStack) -> list[Reporter]:
    """Who posts Events; nobody where no cluster is configured."""
    try:
        api = _connect(settings, "an Event", stack)
    except StartError:
        return []  # whoever advises from metrics alone has no cluster to tell
    return [EventReporter(api, origin.subjects, identity)]


@contextmanager
def opened_store(settings: Settings) -> Iterator[StateStore]:
    """Where memory is kept, for whoever looks into that of a daemon.

    Raises:
        StartError: It cannot be opened.
    """
    with ExitStack() as stack:
        yield state_store(settings, stack)


def state_store(settings: Settings, stack: ExitStack) -> StateStore:
    """Where memory is kept."""
    if settings.state is StateKind.CONFIGMAP:
        namespace = _own_namespace(settings)
        return ConfigMapStateStore(_connect(settings, "--state configmap", stack), namespace, settings.own_name)
    if settings.state is StateKind.MEMORY:
        return MemoryStateStore()
    if settings.state_dir is None:
        raise StartError("--state dir needs a folder: pass --state-dir DIR")
    try:
        return FileStateStore(settings.state_dir)
    except (FileExistsError, NotADirectoryError) as error:
        words = "a file stands where the folder should: name another place"
        raise StartError(f"--state-dir {settings.state_dir}: {words}") from error
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
