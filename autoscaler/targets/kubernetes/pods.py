"""What the pods of a pool tell that its replica count does not: no node, crashes, draining, startup times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from autoscaler.targets.kubernetes.accelerators import accelerators_of
from autoscaler.targets.kubernetes.refs import JsonObject

_NO_NODE = {"Unschedulable", "SchedulingGated"}
_FAILING = {
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImageInspectError",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
}


@dataclass(frozen=True, slots=True)
class PodCounts:
    """Pods in trouble, and pods that drain; a draining pod is in no other count."""

    unschedulable: int = 0
    failing: int = 0
    terminating: int = 0


def count_pods(pods: Sequence[JsonObject], per_replica: int = 1) -> PodCounts:
    """Count the replicas of a pool in trouble, leaving out pods that have ended: their controller has replaced them.

    Args:
        pods: The pods.
        per_replica: How many of them make one replica, which is in trouble as soon as one of them is.
    """
    live = [pod for pod in pods if pod.get("status", {}).get("phase") not in {"Succeeded", "Failed"}]
    staying = [pod for pod in live if not _terminating(pod)]
    return PodCounts(
        unschedulable=math.ceil(sum(_found_no_node(pod) for pod in staying) / per_replica),
        failing=math.ceil(sum(_is_failing(pod) for pod in staying) / per_replica),
        terminating=math.ceil((len(live) - len(staying)) / per_replica),
    )


def count_ready(pods: Sequence[JsonObject], per_replica: int = 1) -> int:
    """Replicas that serve, by their pods alone."""
    return sum(_ready_since(pod) is not None and not _terminating(pod) for pod in pods) // per_replica


def is_ready(pod: JsonObject) -> bool:
    """Whether a pod says that it can serve."""
    return bool(_condition(pod, "Ready").get("status") == "True")


def gpus_of(pods: Sequence[JsonObject]) -> int | None:
    """Accelerators that a pod of these asks for; None without a pod or without any."""
    return max((sum(map(accelerators_of, pod["spec"]["containers"])) for pod in pods), default=0) or None


class StartupTimes:
    """Startup times of the pods of one pool, each reported once.

    Pods that are ready when first looked at are left out: a Ready condition tells when it changed last, and theirs may
    have done so long after the start.
    """

    def __init__(self) -> None:
        self._ever_ready: set[str] | None = None

    def observe(self, pods: Sequence[JsonObject]) -> tuple[float, ...]:
        """Seconds from creation to ready of the pods that became ready since the last call."""
        ready = {pod["metadata"]["uid"]: pod for pod in pods if _ready_since(pod) is not None and not _terminating(pod)}
        existing = {pod["metadata"]["uid"] for pod in pods}
        known = self._ever_ready
        self._ever_ready = ((known or set()) & existing) | set(ready)
        if known is None:
            return ()
        return tuple(_startup_time_s(pod) for uid, pod in ready.items() if uid not in known)


def _startup_time_s(pod: JsonObject) -> float:
    created, ready = pod["metadata"]["creationTimestamp"], _ready_since(pod) or ""
    return (datetime.fromisoformat(ready) - datetime.fromisoformat(created)).total_seconds()


def _ready_since(pod: JsonObject) -> str | None:
    return _condition(pod, "Ready").get("lastTransitionTime") if is_ready(pod) else None


def _found_no_node(pod: JsonObject) -> bool:
    scheduled = _condition(pod, "PodScheduled")
    return scheduled.get("status") == "False" and scheduled.get("reason") in _NO_NODE


def _is_failing(pod: JsonObject) -> bool:
    status = pod.get("status", {})
    containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    return any(container.get("state", {}).get("waiting", {}).get("reason") in _FAILING for container in containers)


def _terminating(pod: JsonObject) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _condition(pod: JsonObject, kind: str) -> JsonObject:
    conditions: list[JsonObject] = pod.get("status", {}).get("conditions", [])
    return next((condition for condition in conditions if condition["type"] == kind), {})
