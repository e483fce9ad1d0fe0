"""Rollouts by kind."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.targets.kubernetes.rollout import Progress, progress_of


def document(kind: str, status: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"generation": 2}, "spec": spec, "status": status}


OLD_AND_NEW = {"replicas": 4, "updatedReplicas": 1, "currentRevision": "a", "updateRevision": "b"}
ON_DELETE = {"updateStrategy": {"type": "OnDelete"}}


def partition(count: int) -> dict[str, Any]:
    return {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": count}}}


@pytest.mark.parametrize(
    ("read", "updating"),
    [
        (document("Deployment", {"replicas": 4, "updatedReplicas": 4}), False),
        (document("Deployment", {"replicas": 4}), True),
        (document("Deployment", {}), False),
        (document("StatefulSet", OLD_AND_NEW), True),
        (document("StatefulSet", OLD_AND_NEW | {"updateRevision": "a"}), False),
        (document("StatefulSet", OLD_AND_NEW, **partition(3)), False),
        (document("StatefulSet", OLD_AND_NEW, **partition(2)), True),
        (document("StatefulSet", OLD_AND_NEW, **ON_DELETE), False),
        (document("LeaderWorkerSet", {"replicas": 4, "updatedReplicas": 3}), True),
        (document("LeaderWorkerSet", {"replicas": 4}), False),
        (document("Deployment", {"replicas": 4, "updatedReplicas": 4, "observedGeneration": 1}), True),
    ],
    ids=[
        "all pods are new",
        "no pod is new yet",
        "no pod at all",
        "a set in mid-rollout",
        "a set at rest",
        "a set that has reached its partition",
        "a set short of its partition",
        "a set whose pods are deleted by hand",
        "a custom kind that counts updated replicas",
        "a custom kind that does not",
        "a status older than the spec",
    ],
)
def test_a_rollout_is_told_by_its_counts(read: dict[str, Any], updating: bool) -> None:
    assert progress_of(read, read["status"], ready=4, asked_for=4).updating is updating


@given(ready=st.integers(0, 50), asked_for=st.integers(0, 50), generation=st.integers(1, 3), observed=st.integers(1, 3))
def test_ready_is_the_status_or_less_and_less_only_when_it_is_old(
    ready: int, asked_for: int, generation: int, observed: int
) -> None:
    read = {"metadata": {"generation": generation}, "status": {"observedGeneration": observed}}

    progress = progress_of(read, read["status"], ready=ready, asked_for=asked_for)

    old = observed < generation
    assert progress == Progress(min(ready, asked_for) if old else ready, updating=old)
