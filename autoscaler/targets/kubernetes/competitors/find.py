"""The search: walk the chain of a target, and ask of each object on it who else writes."""

from __future__ import annotations

from autoscaler.core.policy import Role
from autoscaler.targets.kubernetes.aim import Service, aim
from autoscaler.targets.kubernetes.competitors.chain import walk
from autoscaler.targets.kubernetes.competitors.fields import find_built_in
from autoscaler.targets.kubernetes.competitors.gitops import find_gitops
from autoscaler.targets.kubernetes.competitors.lists import find_autoscalers
from autoscaler.targets.kubernetes.competitors.owners import owner_conflicts
from autoscaler.targets.kubernetes.competitors.report import Competition
from autoscaler.targets.kubernetes.competitors.seen import LastSeen, Memory, Reader
from autoscaler.targets.kubernetes.errors import SHAPE_ERRORS, KubeError
from autoscaler.targets.kubernetes.specs.model import TargetSpec
from autoscaler.targets.role import UnreadableError


def find_competitors(
    client: Reader, spec: TargetSpec, service: Service, role: Role, memory: Memory | None = None
) -> Competition:
    """Look for everybody else who sets a role's count. Reads only, and never raises for a sick API server.

    Args:
        client: Connection to the cluster.
        spec: What holds the count.
        service: Where the service is.
        role: The role.
        memory: What the last search for this role has read: what cannot be read now counts as it was then.
    """
    if spec.object is None:
        return Competition(unchecked=(f"target {spec.name} is changed by a person: ask who else does",))
    try:
        return _search(LastSeen(client, {} if memory is None else memory), spec, service, role)
    except (KubeError, UnreadableError) as error:
        return Competition(unchecked=(f"cannot look at the target: {error}",))
    except SHAPE_ERRORS as error:
        return Competition(unchecked=(f"an object has an unknown form: {error!r}",))


def _search(seen: LastSeen, spec: TargetSpec, service: Service, role: Role) -> Competition:
    target = aim(spec, service, role)
    chain = walk(seen, target, spec.children)
    autoscalers, paused = find_autoscalers(seen, chain, service.values(role)["entry"])
    tools, managed = find_gitops(chain, target.count)
    conflicts = [*owner_conflicts(chain, role), *find_built_in(chain, role), *autoscalers, *tools]
    seen.keep_only({*chain.names, *((one.kind, one.name) for one in autoscalers)})
    return Competition(tuple(conflicts), (*chain.unchecked, *seen.unread), (*paused, *managed))
