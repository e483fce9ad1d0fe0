"""A target of objects with a scale subresource, without a spec, for tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autoscaler.core.policy import Role
from autoscaler.targets.kubernetes.aim import Aim
from autoscaler.targets.kubernetes.client import KubeClient
from autoscaler.targets.kubernetes.object_role import ObjectRole
from autoscaler.targets.kubernetes.refs import ObjectRef
from autoscaler.targets.kubernetes.specs.model import Shape
from autoscaler.targets.role import RoleTargets


@dataclass(frozen=True, slots=True)
class ScaledPool:
    """The object that holds a pool's replica count.

    Attributes:
        ref: The object; the highest one that is still authoritative, for an operator reverts what is below it.
        ready: Name of the field of its status that counts ready replicas.
    """

    ref: ObjectRef
    ready: str = "readyReplicas"


class ScaleTarget(RoleTargets):
    """The pools of one service, each the scale subresource of one object that needs no spec.

    Args:
        client: Connection to the cluster; may be shared by services.
        pools: The object of each role.
    """

    def __init__(self, client: KubeClient, pools: Mapping[Role, ScaledPool]) -> None:
        aims = {role: Aim(role, Shape.SCALE, (pool.ref,), ready=(pool.ready,)) for role, pool in pools.items()}
        super().__init__({role: ObjectRole(client, aim) for role, aim in aims.items()}, client.close)


def stateful_set_ref(namespace: str, name: str) -> ObjectRef:
    return ObjectRef("apps/v1", "StatefulSet", "statefulsets", namespace, name)
