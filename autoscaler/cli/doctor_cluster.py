"""What `doctor` asks of the cluster: the targets, who else sets their counts, and what our account may do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from autoscaler.config import ScalingPolicy
from autoscaler.core.policy import Role
from autoscaler.daemon.assembly import Surroundings
from autoscaler.daemon.places import target_aims, target_specs
from autoscaler.kube.api import KubeApi, configure
from autoscaler.targets.kubernetes.aim import Aim, Service
from autoscaler.targets.kubernetes.client import KubeClient
from autoscaler.targets.kubernetes.competitors import Competition, find_competitors
from autoscaler.targets.kubernetes.connection import connect
from autoscaler.targets.kubernetes.errors import KubeError
from autoscaler.targets.kubernetes.refs import ObjectRef
from autoscaler.targets.kubernetes.specs.model import Shape

_REVIEWS = ObjectRef("authorization.k8s.io/v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", "")


@dataclass(frozen=True, slots=True)
class Right:
    """One verb on one resource.

    Attributes:
        group: API group; empty for the core group.
        resource: Plural, with a subresource after a slash.
        granted: None where the server does not say.
        trouble: Why it does not.
    """

    verb: str
    group: str
    resource: str
    namespace: str
    granted: bool | None
    trouble: str = ""

    @property
    def remedy(self) -> str:
        """The rule that a Role lacks."""
        return (
            f"add to a Role in namespace {self.namespace}: "
            f'{{apiGroups: ["{self.group}"], resources: ["{self.resource}"], verbs: ["{self.verb}"]}}'
        )


@dataclass(frozen=True, slots=True)
class ClusterFindings:
    """What the cluster told.

    Attributes:
        rights: Those that reading and scaling need.
        competition: Per role who else sets its count.
    """

    rights: tuple[Right, ...]
    competition: dict[Role, Competition]


def look_at_cluster(policy: ScalingPolicy, around: Surroundings) -> ClusterFindings:
    """Ask who else scales the targets, and whether we may. Never raises for a sick API server.

    Raises:
        KubeConfigError: No cluster is configured.
    """
    aims = target_aims(policy)
    configuration = configure(kubeconfig=around.kubeconfig, context=around.context)
    with closing(KubeApi(configuration)) as api:
        wanted = dict.fromkeys(right for aim in aims.values() for right in _wanted(aim))
        rights = tuple(_review(api, *right) for right in wanted)
    with closing(connect(kubeconfig=around.kubeconfig, context=around.context)) as client:
        return ClusterFindings(rights, _competition(policy, client))


def _competition(policy: ScalingPolicy, client: KubeClient) -> dict[Role, Competition]:
    specs = target_specs(policy)
    return {
        role: find_competitors(client, specs[role], Service(ref.namespace or "", ref.name), role)
        for role, ref in policy.targets().items()
    }


def _wanted(aim: Aim) -> Iterator[tuple[str, ObjectRef, str]]:
    """Verb, object and subresource of all that reading and scaling a role does."""
    yield "get", aim.ref, ""
    if aim.shape is Shape.SCALE:
        yield "get", aim.ref, "scale"
        yield "patch", aim.ref, "scale"
    else:
        yield "patch", aim.ref, ""
    if aim.status_refs:
        yield "get", aim.status_refs[0], ""
    yield "list", ObjectRef.pods(aim.ref.namespace), ""


def _review(api: KubeApi, verb: str, ref: ObjectRef, subresource: str) -> Right:
    attributes = {
        "namespace": ref.namespace,
        "verb": verb,
        "group": ref.group,
        "resource": ref.plural,
        "subresource": subresource,
        "name": ref.name,
    }
    body = {
        "apiVersion": _REVIEWS.api_version,
        "kind": _REVIEWS.kind,
        "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
    }
    resource = f"{ref.plural}/{subresource}" if subresource else ref.plural
    try:
        status = api.create(_REVIEWS, body).get("status", {})
    except KubeError as error:
        return Right(verb, ref.group, resource, ref.namespace, None, str(error))
    return Right(verb, ref.group, resource, ref.namespace, bool(status.get("allowed")))
