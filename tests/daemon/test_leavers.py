"""Who is to leave: the last of a StatefulSet, the least loaded of a ReplicaSet, nobody whom we cannot choose."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.daemon.leavers import choose_leavers
from autoscaler.daemon.pod_marks import Pod
from autoscaler.targets.kubernetes.refs import ObjectRef
from tests.daemon.test_draining import pod

STATEFUL_SET = ObjectRef("apps/v1", "StatefulSet", "statefulsets", "serving", "decode")


def numbered(*numbers: int) -> list[Pod]:
    return [replace(pod(f"decode-{number}"), controller=STATEFUL_SET) for number in numbers]


def names(pods: list[Pod], requests: dict[str, float], leave: int, *before: str) -> list[str]:
    return [one.ref.name for one in choose_leavers(pods, requests, leave, before).pods]


def test_of_a_stateful_set_the_highest_numbers_leave_whatever_they_have_to_do() -> None:
    assert names(numbered(2, 10, 0, 9), {"decode-0": 0.0}, 2) == ["decode-9", "decode-10"]


def test_of_a_replica_set_the_least_loaded_leave_and_who_was_chosen_stays_so() -> None:
    pods, requests = [pod(name) for name in "abc"], {"a": 3.0, "b": 1.0, "c": 2.0}

    assert names(pods, requests, 2) == ["b", "c"]
    assert names(pods, requests, 2, "a") == ["a", "b"]


def test_pods_that_do_not_serve_count_among_those_who_leave() -> None:
    pods = [pod("a"), pod("b"), pod("starting", serves=False), pod("leaving", serves=False, leaves=True)]

    assert names(pods, {"a": 3.0, "b": 1.0}, 2) == ["b"]
    assert names(pods, {"a": 3.0, "b": 1.0}, 1) == []


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"cost": "7"}, "somebody else sets the deletion cost"),
        ({"ref": ObjectRef("v1", "Pod", "pods", "serving", "unknown")}, "the load of each pod is not known"),
        ({"controller": None}, ""),
        ({"controller": STATEFUL_SET}, ""),
    ],
)
def test_nobody_is_chosen_where_the_controller_would_not_heed_it(changed: dict[str, object], reason: str) -> None:
    pods = [pod("a"), replace(pod("b"), **changed)]  # type: ignore[arg-type]  # one field each

    chosen = choose_leavers(pods, {"a": 0.0, "b": 0.0}, 1)

    assert chosen.pods == ()
    assert chosen.reason.startswith(reason)
    assert bool(chosen.reason) is bool(reason)
