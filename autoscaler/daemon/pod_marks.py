"""Tells a ReplicaSet which of its pods should go first: `controller.kubernetes.io/pod-deletion-cost`.

Only ReplicaSets heed it, and pods that do not serve go before any other whatever they cost. It is set right before a
shrink, on as many pods as leave, and taken back if the shrink fails: the API server should not have to store it often.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from autoscaler.core.policy import Role
from autoscaler.targets.kubernetes.aim import Aim
from autoscaler.targets.kubernetes.client import KubeClient
from autoscaler.targets.kubernetes.errors import SHAPE_ERRORS, ForbiddenError, KubeError, NotFoundError
from autoscaler.targets.kubernetes.pods import is_ready
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef
from autoscaler.targets.kubernetes.specs.model import Shape

COST = "controller.kubernetes.io/pod-deletion-cost"
OURS = "-20250"
"""Below the 0 of a pod without one, and no number that others are likely to set."""
WITHDRAWN = "pd-autoscaler.io/withdrawn-from-routing"
"""Holds the value of the label that a pod outside of routing had."""
_DEFAULT_GRACE_S = 30.0
CONTROLLERS = {"ReplicaSet": "replicasets", "StatefulSet": "statefulsets"}
"""Kinds of controllers, with their plurals, of whose pods is known which leave first."""


class MarksError(Exception):
    """Pods cannot be marked; says why, and what to do about it."""


class MarksForbiddenError(MarksError):
    """The right to mark pods is missing."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of a pool.

    Attributes:
        ref: Which one.
        serves: Whether it is ready, and meant to stay.
        leaves: Whether it has been told to end.
        controller: The ReplicaSet or StatefulSet that keeps it; None for anything else.
        grace_s: How long it may take to end once it is told to.
        cost: The mark that it carries; empty for none.
        labels: All of them.
        withdrawn: What its label was before it was taken out of routing; empty where it is in there.
        uid: Tells it from another of its name, as a StatefulSet makes one in place of a pod that was lost.
    """

    ref: ObjectRef
    serves: bool
    leaves: bool
    controller: ObjectRef | None
    grace_s: float
    cost: str
    labels: Mapping[str, str] = field(default_factory=dict)
    withdrawn: str = ""
    uid: str = ""

    @property
    def in_replica_set(self) -> bool:
        """Whether its controller heeds the mark."""
        return self.controller is not None and self.controller.kind == "ReplicaSet"

    @property
    def ordinal(self) -> int | None:
        """Its number in a StatefulSet, which lets go of the highest first; None elsewhere."""
        number = self.ref.name.rpartition("-")[2]
        numbered = self.controller is not None and self.controller.kind == "StatefulSet" and number.isdecimal()
        return int(number) if numbered else None

    @classmethod
    def of(cls, document: JsonObject) -> Pod:
        """Read a document."""
        metadata = document["metadata"]
        namespace, annotations = str(metadata.get("namespace", "")), metadata.get("annotations", {})
        return cls(
            ref=ObjectRef("v1", "Pod", "pods", namespace, str(metadata["name"])),
            serves=is_ready(document) and "deletionTimestamp" not in metadata,
            leaves="deletionTimestamp" in metadata,
            controller=_controller(namespace, metadata.get("ownerReferences", [])),
            grace_s=float(document.get("spec", {}).get("terminationGracePeriodSeconds", _DEFAULT_GRACE_S)),
            cost=annotations.get(COST, ""),
            labels=dict(metadata.get("labels", {})),
            withdrawn=annotations.get(WITHDRAWN, ""),
            uid=str(metadata.get("uid", "")),
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
        """Give pods a mark, or none; those that are gone by now are not missed.

        Raises:
            MarksForbiddenError: The right is missing.
            MarksError: The server refuses.
        """
        try:
            for pod in pods:
                with suppress(NotFoundError):
                    self._client.patch(pod.ref, {"metadata": {"annotations": {COST: cost}}})
        except ForbiddenError as error:
            raise MarksForbiddenError(str(error)) from error
        except KubeError as error:
            raise MarksError(str(error)) from error

    def _selector(self, aimed: Aim) -> str:
        if aimed.pods or aimed.shape is not Shape.SCALE:
            return aimed.pods
        return str(self._client.get(aimed.ref, "scale").get("status", {}).get("selector", ""))


def _controller(namespace: str, owners: Sequence[JsonObject]) -> ObjectRef | None:
    for owner in owners:
        if owner.get("controller") and owner["kind"] in CONTROLLERS:
            return ObjectRef("apps/v1", owner["kind"], CONTROLLERS[owner["kind"]], namespace, str(owner["name"]))
    return None
