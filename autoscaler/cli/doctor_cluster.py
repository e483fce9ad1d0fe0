"""What `doctor` asks of the cluster: who else sets the counts, what our account may do, how long pods have to end."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field

from autoscaler.config import ScalingPolicy
from autoscaler.core.policy import Mode, Role
from autoscaler.daemon.competition import competitors, switch_competitors
from autoscaler.daemon.places import target_aims
from autoscaler.daemon.pod_marks import MarksError, PodMarks
from autoscaler.daemon.rights import Right, target_rights, telling_rights
from autoscaler.daemon.surroundings import Surroundings
from autoscaler.kube.api import KubeApi
from autoscaler.targets.kubernetes.client import KubeClient
from autoscaler.targets.kubernetes.competitors import Competition
from autoscaler.targets.kubernetes.connection import configure, connect
from autoscaler.targets.kubernetes.errors import KubeError
from autoscaler.targets.kubernetes.refs import ObjectRef

_REVIEWS = ObjectRef("authorization.k8s.io/v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", "")


@dataclass(frozen=True, slots=True)
class ReviewedRight:
    """One verb on one resource.

    Attributes:
        group: API group; empty for the core group.
        resource: Plural, with a subresource after a slash.
        name: Of the only object that is meant; empty for all of them.
        granted: None where the server does not say.
        trouble: Why it does not.
        later: Whether it is only needed once the policy's mode is enforce.
    """

    verb: str
    group: str
    resource: str
    namespace: str
    name: str
    granted: bool | None
    trouble: str = ""
    later: bool = False

    @property
    def what(self) -> str:
        """Verb, resource, and the object or else the namespace."""
        return f"{self.verb} {self.resource} " + (
            f"{self.namespace}/{self.name}" if self.name else f"in {self.namespace}"
        )

    @property
    def remedy(self) -> str:
        """The rule that a Role lacks, as narrow as `rbac` makes it."""
        only = f', resourceNames: ["{self.name}"]' if self.name else ""
        return (
            f"add to a Role in namespace {self.namespace}: "
            f'{{apiGroups: ["{self.group}"], resources: ["{self.resource}"], verbs: ["{self.verb}"]{only}}}'
        )


@dataclass(frozen=True, slots=True)
class ClusterFindings:
    """What the cluster told.

    Attributes:
        rights: Those that reading, scaling and telling need.
        competition: Per role who else sets its count.
        switch: Who else sets the stack's switch.
        grace_s: Per role the shortest grace period of its pods; a role without pods that can be listed is left out.
    """

    rights: tuple[ReviewedRight, ...]
    competition: dict[Role, Competition]
    grace_s: dict[Role, float] = field(default_factory=dict)
    switch: Competition = field(default_factory=Competition)


def look_at_cluster(policy: ScalingPolicy, around: Surroundings, own: Iterable[Right] = ()) -> ClusterFindings:
    """Ask who else scales the targets, and whether we may. Never raises for a sick API server.

    Args:
        policy: The policy.
        around: What the command line says.
        own: Rights on what the daemon keeps for itself.

    Raises:
        KubeConfigError: No cluster is configured.
    """
    now = {*_needed(policy), *own}
    spec = policy.spec.model_copy(update={"mode": Mode.ENFORCE})
    ever = {*now, *_needed(policy.model_copy(update={"spec": spec}))}
    configuration = configure(kubeconfig=around.kubeconfig, context=around.context)
    with closing(KubeApi(configuration)) as api:
        rights = tuple(_review(api, right, later=right not in now) for right in sorted(ever))
    with closing(connect(kubeconfig=around.kubeconfig, context=around.context)) as client:
        others, switch = competitors(policy, client), switch_competitors(policy, client)
        return ClusterFindings(rights, others, _grace_s(policy, client), switch)


def _needed(policy: ScalingPolicy) -> set[Right]:
    return {*target_rights(policy), *telling_rights(policy, is_object=False)}


def _grace_s(policy: ScalingPolicy, client: KubeClient) -> dict[Role, float]:
    aims = target_aims(policy)
    pods = PodMarks(client, aims)
    found: dict[Role, float] = {}
    for role in aims:
        try:
            grace_s = [pod.grace_s for pod in pods.pods(role)]
        except MarksError:
            continue  # the right that is missing is told where rights are
        if grace_s:
            found[role] = min(grace_s)
    return found


def _review(api: KubeApi, right: Right, *, later: bool) -> ReviewedRight:
    resource, _, subresource = right.resource.partition("/")
    attributes = {
        "namespace": right.namespace,
        "verb": right.verb,
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
        "name": right.name,
    }
    body = {
        "apiVersion": _REVIEWS.api_version,
        "kind": _REVIEWS.kind,
        "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
    }
    what = (right.verb, right.group, right.resource, right.namespace, right.name)
    try:
        status = api.create(_REVIEWS, body).get("status", {})
    except KubeError as error:
        return ReviewedRight(*what, None, str(error), later)
    return ReviewedRight(*what, bool(status.get("allowed")), later=later)
