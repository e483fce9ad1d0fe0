"""From a scaling policy to a runner: its source, its target and the connections of both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from autoscaler.config import ScalingPolicy
from autoscaler.config.roles import TargetRef
from autoscaler.daemon.clock import Clock
from autoscaler.daemon.logs import Log
from autoscaler.daemon.metrics_target import MetricsTarget
from autoscaler.daemon.queries import service_queries
from autoscaler.sources.base import Source
from autoscaler.sources.http import Connection
from autoscaler.sources.prometheus import PrometheusSource
from autoscaler.stacks.errors import StackError
from autoscaler.targets.base import Target
from autoscaler.targets.kubernetes.connection import KubeConfigError, connect
from autoscaler.targets.kubernetes.refs import ObjectRef
from autoscaler.targets.kubernetes.scale import ScaledPool, ScaleTarget


class AssemblyError(ValueError):
    """A policy cannot be put to work here; says what is missing and where to give it."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the command line says about the world around all policies.

    Attributes:
        prometheus_url: Server to ask in place of the one that a policy names.
        kubeconfig: Path of a kubeconfig; None for the usual places.
        context: Context in it; None for the current one.
    """

    prometheus_url: str | None = None
    kubeconfig: str | None = None
    context: str | None = None


def connections(
    policy: ScalingPolicy, around: Surroundings, clock: Clock, log: Log, *, writes: bool
) -> tuple[Source, Target]:
    """Make the source and the target of a policy; no request is sent yet.

    Args:
        policy: The policy.
        around: What the command line says.
        clock: Where the time comes from.
        log: Where to say what is done without.
        writes: Whether the target will be written; if not, metrics stand in where no cluster is configured.

    Raises:
        AssemblyError: Something that the policy needs is not given.
    """
    connection = prometheus_connection(policy, around.prometheus_url)
    try:
        source = PrometheusSource(service_queries(policy), connection, clock=clock.now_s)
    except StackError as error:
        raise AssemblyError(f"{policy.service}: {error}") from error
    try:
        client = connect(kubeconfig=around.kubeconfig, context=around.context)
    except KubeConfigError as error:
        if writes or around.kubeconfig is not None or around.context is not None:
            source.close()
            raise AssemblyError(f"{policy.service}: {error}") from error
        log.info("replica counts come from metrics", reason=str(error))
        return source, MetricsTarget(source, clock)
    pools = {role: ScaledPool(_object(target)) for role, target in policy.targets().items()}
    return source, ScaleTarget(client, pools)


def prometheus_connection(policy: ScalingPolicy, url: str | None) -> Connection:
    """Where to ask for the signals of a policy, and as whom.

    Raises:
        AssemblyError: Neither the policy nor the command line names a server.
    """
    server = policy.spec.prometheus
    if server is None or (url or server.url) is None:
        raise AssemblyError(f"{policy.service}: no Prometheus is named: set spec.prometheus.url or pass --prometheus")
    user = server.basic_auth
    return Connection(
        url=url or server.url or "",
        timeout_s=server.timeout_s,
        bearer_token=_text(server.bearer_token),
        bearer_token_file=_path(server.bearer_token_file),
        username=user.username if user is not None else None,
        password=_text(user.password) if user is not None else None,
        password_file=_path(user.password_file) if user is not None else None,
        ca_file=_path(server.tls.ca_file),
        cert_file=_path(server.tls.cert_file),
        key_file=_path(server.tls.key_file),
        verify=server.tls.verify,
        server_name=server.tls.server_name,
        headers={name: value.get_secret_value() for name, value in server.headers.items()},
    )


def _object(target: TargetRef) -> ObjectRef:
    """The object of a target; its plural guessed from the kind by the rules that Kubernetes' own tools guess by."""
    kind = target.kind.lower()
    if kind.endswith("s"):
        plural = f"{kind}es"
    elif kind.endswith("y"):
        plural = f"{kind.removesuffix('y')}ies"
    else:
        plural = f"{kind}s"
    return ObjectRef(target.api_version, target.kind, plural, target.namespace or "", target.name)


def _text(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None


def _path(name: str | None) -> Path | None:
    return Path(name) if name is not None else None
