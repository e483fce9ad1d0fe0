"""From a target spec to the target of a role."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoscaler.core.policy import Role
from autoscaler.targets.instructed import InstructedRole
from autoscaler.targets.kubernetes.aim import Service, aim, limits_of
from autoscaler.targets.kubernetes.object_role import ObjectRole
from autoscaler.targets.kubernetes.specs.model import TargetSpec
from autoscaler.targets.kubernetes.specs.problems import SpecError
from autoscaler.targets.role import RoleReader, RoleTarget

if TYPE_CHECKING:
    from autoscaler.targets.kubernetes.client import KubeClient  # importing it costs half a second


def role_target(
    client: KubeClient | None, spec: TargetSpec, service: Service, role: Role, *, reader: RoleReader | None = None
) -> RoleTarget:
    """Make the target of one role.

    Args:
        client: Connection to the cluster; None does where the spec only gives instructions.
        spec: What holds the count.
        service: Where the service is.
        role: The role.
        reader: Where the count comes from if the spec only gives instructions; a `RoleOf` of another target.

    Raises:
        SpecError: The spec has nothing for this role, or is an instruction and there is no reader.
    """
    if spec.instructions is None:
        if client is None:
            raise SpecError(f"target {spec.name} is in the cluster, and none is configured")
        return ObjectRole(client, aim(spec, service, role))
    if role not in spec.instructions:
        raise SpecError(f"target {spec.name} has no {role} role; it has {', '.join(spec.instructions)}")
    if reader is None:
        raise SpecError(f"target {spec.name} only gives instructions: the present count has to come from metrics")
    text = spec.instructions[role]

    def words(current: int, replicas: int) -> str:
        numbers = {"current": str(current), "replicas": str(replicas), "change": f"{replicas - current:+d}"}
        return text.fill({**service.values(role), **numbers})

    return InstructedRole(reader, limits_of(spec, service, role).refusal, words)
