"""Tells a ReplicaSet which of its pods should go first: `controller.kubernetes.io/pod-deletion-cost`.

Only ReplicaSets heed it, and pods that do not serve go before any other whatever they cost. It is set right before a
shrink, on as many pods as leave, and taken back if the shrink fails: the API server should not have to store it often.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoscaler.core.policy import Role
from autoscaler.targets.kubernetes.aim import Aim
from autoscaler.targets.kubernetes.client import KubeClient
from autoscaler.targets.kubernetes.errors import SHAPE_ERRORS, KubeError
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef
from autoscaler.targets.kubernetes.specs.model import Shape

COST = "controller.kubernetes.io/pod-deletion-cost"
OURS = "-20250"
"""Below the 0 of a pod without one, and no number that others are likely to set."""
_DEFAULT_GRACE_S = 30.0


class MarksError(Exception):
    """Pods cannot be marked; says why, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of a pool.

    Attributes:
        ref: Which one.
        serves: Whether it is ready, and meant to stay.
        leaves: Whether it has been told to end.
        in_replica_set: Whether its controller heeds the mark.
        grace_s: How long it may take to end once it is told to.
        cost: The mark that it carries; empty for none.
    """

    ref: ObjectRef
    serves: bool
    leaves: bool
    in_replica_set: bool
    grace_s: float
    cost: str

    @classmethod
    def of(cls, document: JsonObject) -> Pod:
        """Read a document."""
        metadata, status = document["metadata"], document.get("status", {})
        ready = any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions", []))
        owners = metadata.get("ownerReferences", [])
        return cls(
            ref=ObjectRef("v1", "Pod", "pods", metadata.get("namespace", ""), metadata["name"]),
            serves=ready and "deletionTimestamp" not in metadata,
            leaves="deletionTimestamp" in metadata,
            in_replica_set=any(one.get("controller") and one["kind"] == "ReplicaSet" for one in owners),
            grace_s=float(document.get("spec", {}).get("terminationGracePeriodSeconds", _DEFAULT_GRACE_S)),
            cost=metadata.get("annotations", {}).get(COST, ""),
        )


class PodMarks:
    """Lists the pods of pools, and marks them.

    Args:
        client: Connection to the cluster.
        aims: Where the count of each role is held.
    """

    def __init__(self, client: KubeClient, aims: Mapping[Role, Aim]) -> None:
        self._client = client
        self._aims = aims

    def pods(self, role: Role) -> list[Pod]:
        """The pods of a role; none where nothing names them.

        Raises:
            MarksError: They cannot be listed.
        """
        aimed = self._aims.get(role)
        try:
            selector = self._selector(aimed) if aimed is not None else ""
            if aimed is None or not selector:
                return []
            found = self._client.list_items(ObjectRef.pods(aimed.ref.namespace), label_selector=selector)
            return [Pod.of(document) for document in found]
        except KubeError as error:
            raise MarksError(str(error)) from error
        except SHAPE_ERRORS as error:
            raise MarksError(f"a pod of {role} has an unknown form: {error!r}") from error

    def set(self, pods: Sequence[Pod], cost: str | None) -> None:
        """Give pods a mark, or none.

        Raises:
            MarksError: The server refuses.
        """
        try:
            for pod in pods:
                self._client.patch(pod.ref, {"metadata": {"annotations": {COST: cost}}})
        except KubeError as error:
            raise MarksError(str(error)) from error

    def _selector(self, aimed: Aim) -> str:
        if aimed.pods or aimed.shape is not Shape.SCALE:
            return aimed.pods
        return str(self._client.get(aimed.ref, "scale").get("status", {}).get("selector", ""))
