"""Which resources of a container are accelerators."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.targets.kubernetes.accelerators import accelerators_of
from tests.support.kube import Cluster
from tests.targets.kubernetes.cases import case
from tests.targets.kubernetes.conftest import Make
from tests.targets.kubernetes.objects import create, ready_pod


@pytest.mark.parametrize(
    ("limits", "count"),
    [
        ({"nvidia.com/gpu": "8", "cpu": "96", "memory": "1Ti", "rdma/ib": "8"}, 8),
        ({"nvidia.com/gpu": 4}, 4),
        ({"nvidia.com/gpu.shared": "1"}, 1),
        ({"nvidia.com/mig-3g.40gb": "2"}, 2),
        ({"amd.com/gpu": "8"}, 8),
        ({"gpu.intel.com/xe": "1"}, 1),
        ({"habana.ai/gaudi": "8"}, 8),
        ({"google.com/tpu": "4"}, 4),
        ({"huawei.com/Ascend910": "16"}, 16),
        ({"huawei.com/Ascend310P": "4"}, 4),
        ({"huawei.com/Ascend310P-2c.1cpu": "1"}, 1),
        ({"huawei.com/npu": "8"}, 8),
        ({"aws.amazon.com/neuron": "16"}, 16),
        ({"nvidia.com/gpu": "1", "nvidia.com/gpumem": "3k", "nvidia.com/gpucores": "30"}, 1),
        ({"nvidia.com/gpu": "2", "nvidia.com/gpumem-percentage": "50"}, 2),
        ({"huawei.com/Ascend910B": "1", "huawei.com/Ascend910B-memory": "32768"}, 1),
        ({"gpu.intel.com/i915": "1", "gpu.intel.com/memory.max": "10G", "gpu.intel.com/millicores": "500"}, 1),
        ({"cpu": "4"}, 0),
    ],
)
def test_devices_are_counted_and_what_is_given_out_beside_them_is_not(limits: dict[str, Any], count: int) -> None:
    assert accelerators_of({"resources": {"limits": limits}}) == count


@pytest.mark.parametrize("resources", [{}, {"resources": None}, {"resources": {"limits": None}}])
def test_a_container_without_limits_has_none(resources: dict[str, Any]) -> None:
    assert accelerators_of(resources) == 0


def test_a_pool_whose_pods_share_gpus_by_their_memory_is_read(kube_api: Cluster, target_of: Make) -> None:
    target = target_of(case("deployment"))
    pod = ready_pod("a", {"app": "chat"}, gpus=1)
    pod.document["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpumem"] = "3k"
    create(kube_api, pod)

    assert target.read().gpus_per_replica == 1.0
