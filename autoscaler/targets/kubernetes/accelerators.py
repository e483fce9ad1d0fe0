"""Which of a container's resources are accelerators, under the names of their device plugins."""

from __future__ import annotations

import re
from typing import Any

from autoscaler.targets.kubernetes.refs import JsonObject

# Not the memory and cores that plugins which share a device give out beside it: nvidia.com/gpumem,
# huawei.com/Ascend910B-memory, gpu.intel.com/memory.max.
_DEVICES = re.compile(
    r"nvidia\.com/(gpu|gpu\.shared|mig-.+)"
    r"|amd\.com/gpu"
    r"|gpu\.intel\.com/(i915|xe)"
    r"|habana\.ai/gaudi"
    r"|google\.com/tpu"
    r"|huawei\.com/(npu|Ascend\w+(-\d+c.*)?)"
    r"|aws\.amazon\.com/neuron(device)?"
)


def accelerators_of(container: JsonObject) -> int:
    """Accelerators that a container asks for, shares of one counted as one."""
    limits: dict[str, Any] = (container.get("resources") or {}).get("limits") or {}
    return sum(int(count) for name, count in limits.items() if _DEVICES.fullmatch(name) and str(count).isdecimal())
