"""What pods tell: a fake cluster with a fake clock for their lives, and made-up ones for their troubles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from autoscaler.core.policy import Role
from autoscaler.core.snapshot import PoolState
from autoscaler.targets.kubernetes.pods import PodCounts, count_pods
from tests.support.kube import FakeCluster, fake_cluster
from tests.support.kube_api import DeploymentController
from tests.support.kube_api.manifests import deployment
from tests.support.scale_target import ScaleTarget
from tests.targets.kubernetes.conftest import DecodeOn


class Clock:
    """Unix time that a test moves."""

    now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cluster(clock: Clock) -> Iterator[FakeCluster]:
    """A cluster with a Deployment `decode` of 2."""
    with fake_cluster(clock) as running:
        running.create("deployments", deployment("decode", replicas=2))
        yield running


@pytest.fixture
def controller(cluster: FakeCluster, clock: Clock) -> DeploymentController:
    """Makes pods ready 90 s after their creation."""
    return DeploymentController(cluster.api, clock, startup_time_s=90.0)


@pytest.fixture
def decode(cluster: FakeCluster, decode_on: DecodeOn) -> ScaleTarget:
    """That Deployment as a target; its pods are made when somebody first looks."""
    return decode_on(cluster)


def read(target: ScaleTarget) -> PoolState:
    return target.read().pools[Role.DECODE]


@pytest.mark.usefixtures("controller")
def test_a_startup_time_is_measured_once_when_a_pod_becomes_ready(clock: Clock, decode: ScaleTarget) -> None:
    starting = read(decode)
    clock.now_s += 100.0
    started, later = read(decode), read(decode)

    assert [(state.ready, state.startup_times_s) for state in (starting, started, later)] == [
        (0, ()),
        (2, (90.0, 90.0)),
        (2, ()),
    ]


def test_the_wait_for_a_node_is_part_of_the_startup_time(
    clock: Clock, controller: DeploymentController, decode: ScaleTarget
) -> None:
    controller.schedulable_pods = 0
    waiting = read(decode)
    clock.now_s += 300.0
    controller.schedulable_pods = 2
    read(decode)
    clock.now_s += 90.0

    assert read(decode).startup_times_s == (390.0, 390.0)
    assert waiting.startup_times_s == ()


def test_pods_that_were_ready_before_the_first_look_tell_no_startup_time(
    clock: Clock, controller: DeploymentController, decode: ScaleTarget
) -> None:
    controller.sync()
    clock.now_s += 100.0

    assert read(decode).startup_times_s == ()


def test_a_pod_that_comes_back_after_a_failed_probe_did_not_start_again(
    cluster: FakeCluster, clock: Clock, controller: DeploymentController, decode: ScaleTarget
) -> None:
    read(decode)
    clock.now_s += 100.0
    first = read(decode)
    controller.startup_time_s = float("inf")
    name = cluster.request("GET", cluster.path("v1", "pods"))[1]["items"][0]["metadata"]["name"]
    cluster.patch("v1", "pods", name, {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}, "status")
    lost = read(decode)
    controller.make_ready("decode")
    back = read(decode)

    assert len(first.startup_times_s) == 2
    assert (lost.ready, lost.startup_times_s) == (1, ())
    assert (back.ready, back.startup_times_s) == (2, ())


def test_pods_without_a_node_are_unschedulable(controller: DeploymentController, decode: ScaleTarget) -> None:
    controller.schedulable_pods = 0

    assert read(decode).unschedulable == 2


def test_pods_that_crash_are_failing(controller: DeploymentController, decode: ScaleTarget) -> None:
    controller.crashing.add("decode")

    assert read(decode).failing == 2


def made_up(status: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"uid": "1", **metadata}, "status": status or {}}


def waiting(reason: str, statuses: str = "containerStatuses") -> dict[str, Any]:
    return {"phase": "Pending", statuses: [{"name": "engine", "state": {"waiting": {"reason": reason}}}]}


def no_node(reason: str) -> dict[str, Any]:
    return {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": reason}]}


@pytest.mark.parametrize(
    ("pod", "counts"),
    [
        (made_up(), PodCounts()),
        (made_up({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}), PodCounts()),
        (made_up(no_node("Unschedulable")), PodCounts(unschedulable=1)),
        (made_up(no_node("SchedulingGated")), PodCounts(unschedulable=1)),
        (made_up(no_node("SchedulerError")), PodCounts()),
        (made_up(waiting("CrashLoopBackOff")), PodCounts(failing=1)),
        (made_up(waiting("ImagePullBackOff")), PodCounts(failing=1)),
        (made_up(waiting("ErrImagePull", "initContainerStatuses")), PodCounts(failing=1)),
        (made_up(waiting("ContainerCreating")), PodCounts()),
        (made_up(waiting("CrashLoopBackOff"), deletionTimestamp="2026-01-01T00:00:00Z"), PodCounts(terminating=1)),
        (made_up(waiting("CrashLoopBackOff") | {"phase": "Failed"}), PodCounts()),
        (made_up({"phase": "Succeeded"}, deletionTimestamp="2026-01-01T00:00:00Z"), PodCounts()),
    ],
    ids=[
        "just made",
        "serving",
        "no node fits",
        "held back by a gate",
        "scheduler trouble passes",
        "crash loop",
        "image",
        "image of an init container",
        "starting",
        "draining counts once",
        "failed for good is replaced",
        "ended",
    ],
)
def test_a_pod_counts_for_its_trouble(pod: dict[str, Any], counts: PodCounts) -> None:
    assert count_pods([pod]) == counts
