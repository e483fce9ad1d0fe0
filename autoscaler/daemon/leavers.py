"""Which pods are to leave when a pool shrinks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from autoscaler.daemon.pod_marks import OURS, Pod


@dataclass(frozen=True, slots=True)
class Leavers:
    """Who is to leave.

    Attributes:
        pods: They; nobody where that is for the controller alone to choose.
        reason: Why it is, where somebody could do something about that.
    """

    pods: Sequence[Pod] = ()
    reason: str = ""


def choose_leavers(
    pods: Sequence[Pod], requests: Mapping[str, float], leave: int, chosen_before: Collection[str] = ()
) -> Leavers:
    """Choose so many: of a StatefulSet the last, of a ReplicaSet the least loaded of those that serve.

    A ReplicaSet lets go of pods that do not serve before any other, so they count among those who leave.

    Args:
        pods: The pool.
        requests: On each pod, as far as that is known.
        leave: How many.
        chosen_before: Names of those who were chosen for the same step before; they stay so.
    """
    if pods and all(pod.ordinal is not None for pod in pods):
        return Leavers(sorted(pods, key=lambda pod: pod.ordinal or 0)[-leave:])
    if not pods or not all(pod.in_replica_set for pod in pods):
        return Leavers()
    if any(pod.cost not in ("", OURS) for pod in pods):
        return Leavers(reason="somebody else sets the deletion cost of its pods: theirs stands")
    serving = [pod for pod in pods if pod.serves]
    if any(pod.ref.name not in requests for pod in serving):
        return Leavers(reason="the load of each pod is not known: the controller chooses who leaves")
    others = sum(not (pod.serves or pod.leaves) for pod in pods)
    serving.sort(key=lambda pod: (pod.ref.name not in chosen_before, requests[pod.ref.name], pod.ref.name))
    return Leavers(serving[: max(leave - others, 0)])
