"""The search: walk the chain of a target, and ask of each object on it who else writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoscaler.core.policy import Role
from autoscaler.targets.kubernetes.aim import Service, aim
from autoscaler.targets.kubernetes.competitors.chain import walk
from autoscaler.targets.kubernetes.competitors.fields import find_built_in
from autoscaler.targets.kubernetes.competitors.gitops import find_gitops
from autoscaler.targets.kubernetes.competitors.lists import find_autoscalers
from autoscaler.targets.kubernetes.competitors.owners import owner_conflicts
from autoscaler.targets.kubernetes.competitors.report import Competition
from autoscaler.targets.kubernetes.errors import SHAPE_ERRORS, KubeError
from autoscaler.targets.kubernetes.specs.model import TargetSpec
from autoscaler.targets.role import UnreadableError

if TYPE_CHECKING:
    from autoscaler.targets.kubernetes.client import KubeClient  # importing it costs half a second


def find_competitors(client: KubeClient, spec: TargetSpec, service: Service, role: Role) -> Competition:
    """Look for everybody else who sets a role's count. Reads only, and never raises for a sick API server.

    Args:
        client: Connection to the cluster.
        spec: What holds the count.
        service: Where the service is.
        role: The role.
    """
    if spec.object is None:
        return Competition(unchecked=(f"target {spec.name} is changed by a person: ask who else does",))
    try:
        return _search(client, spec, service, role)
    except (KubeError, UnreadableError) as error:
        return Competition(unchecked=(f"cannot look at the target: {error}",))
    except SHAPE_ERRORS as error:
        return Competition(unchecked=(f"an object has an unknown form: {error!r}",))


def _search(client: KubeClient, spec: TargetSpec, service: Service, role: Role) -> Competition:
    target = aim(spec, service, role)
    chain = walk(client, target, spec.children)
    autoscalers, paused = find_autoscalers(client, chain, service.values(role)["entry"])
    tools, managed = find_gitops(chain, target.count)
    conflicts = [*owner_conflicts(chain, role), *find_built_in(chain, role), *autoscalers, *tools]
    return Competition(tuple(conflicts), tuple(chain.unchecked), (*paused, *managed))
