"""How far an object's status has come: replicas that serve, and whether a rollout is under way."""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler.targets.kubernetes.refs import JsonObject, lookup


@dataclass(frozen=True, slots=True)
class Progress:
    """What an object's status says.

    Attributes:
        ready: Replicas that serve.
        updating: Counts are in motion because of a rollout, or the status is older than the spec. A rollout that
            somebody paused half-way counts: its two halves have different pods.
    """

    ready: int
    updating: bool


def progress_of(document: JsonObject, status: JsonObject, *, ready: int, asked_for: int) -> Progress:
    """Judge the status of an object.

    A status that its controller wrote for an older spec may still count replicas that the newer one has taken away, so
    no more of it is believed than was asked for.

    Args:
        document: The object.
        status: The part of its status that counts the replicas in question.
        ready: Replicas that serve by that status.
        asked_for: The replica count.
    """
    if lags(document):
        return Progress(min(ready, asked_for), updating=True)
    return Progress(ready, updating=_rolling(document, status))


def unmade(document: JsonObject, asked_for: int) -> int:
    """Replicas whose pods the server refuses to make, for want of quota say: there is no pod that could tell."""
    conditions: list[JsonObject] = lookup(document, "status.conditions") or []
    if not any(one.get("type") == "ReplicaFailure" and one.get("status") == "True" for one in conditions):
        return 0
    return max(asked_for - int(lookup(document, "status.replicas") or 0), 0)


def lags(document: JsonObject) -> bool:
    """Whether the status was written for an older spec than the object has now."""
    observed = lookup(document, "status.observedGeneration")
    return observed is not None and observed < document["metadata"].get("generation", 0)


def _rolling(document: JsonObject, status: JsonObject) -> bool:
    """Whether replicas of an older revision are left; follows `kubectl rollout status`."""
    replicas, updated = status.get("replicas", 0), status.get("updatedReplicas")
    if document.get("kind") == "StatefulSet":
        return _stateful_set_rolling(document, replicas, updated or 0)
    if document.get("kind") == "Deployment":
        return bool((updated or 0) < replicas)
    return bool(updated is not None and updated < replicas)


def _stateful_set_rolling(document: JsonObject, replicas: int, updated: int) -> bool:
    """Pods below the partition keep their revision, and under OnDelete all do until somebody deletes them."""
    revisions = {lookup(document, "status.currentRevision"), lookup(document, "status.updateRevision")}
    if len(revisions) == 1 or lookup(document, "spec.updateStrategy.type") == "OnDelete":
        return False
    partition = int(lookup(document, "spec.updateStrategy.rollingUpdate.partition") or 0)
    return updated < replicas - partition
