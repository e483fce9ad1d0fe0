"""Writes the policy: everything that was found, a mark where a person has to look, and what could not be carried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autoscaler.adopt.commented import Remark, comment_lines, yaml_lines
from autoscaler.adopt.pool import Pool, Workload
from autoscaler.config.model import API_VERSION, KIND
from autoscaler.config.roles import MOST_REPLICAS
from autoscaler.config.values import format_duration
from autoscaler.core.policy import Role
from autoscaler.stacks.load import load_stack, stack_names
from autoscaler.targets.kubernetes.specs.load import load_spec

_MARK = "<-"
# Beginnings of labels that a stack's controller puts on its pods.
_LABELS = {"llm-d.ai/": "llm-d", "rbg.workloads.x-k8s.io/": "rbg", "nvidia.com/dynamo-": "dynamo"}
_IMAGES = {"sglang": "sglang", "tensorrt": "trtllm", "trtllm": "trtllm", "tritonserver": "triton"}
_SHORTEST_S, _LONGEST_S = 1.0, 86_400.0  # of fallbackAfter
_PLACE = "http://prometheus.monitoring:9090"


@dataclass(frozen=True, slots=True)
class Adoption:
    """What a policy is written from.

    Attributes:
        service: Name of the policy.
        namespace: Where the pools are.
        stack: Serving stack.
        pools: Both of them.
        remarks: What to know beside what the pools say.
    """

    service: str
    namespace: str
    stack: str
    pools: Mapping[Role, Pool]
    remarks: tuple[str, ...] = ()


def guess_stack(workload: Workload) -> str:
    """The stack that a workload probably belongs to: by its kind, its labels, its image; else vllm."""
    own = [name for name in stack_names() if any(_is_of(workload, target) for target in load_stack(name).facts.targets)]
    if len(own) == 1:
        return own[0]
    for prefix, stack in _LABELS.items():
        if any(label.startswith(prefix) for label in workload.labels):
            return stack
    named = (stack for part, stack in _IMAGES.items() if any(part in image.lower() for image in workload.images))
    return next(named, "vllm")


def _is_of(workload: Workload, target: str) -> bool:
    meant = load_spec(target).object
    group = workload.api_version.rpartition("/")[0]
    return meant is not None and (meant.group, meant.kind) == (group, workload.kind)


def policy_text(adoption: Adoption) -> str:
    """The policy as a file, in mode recommend."""
    document = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": Remark(adoption.service, f"{_MARK} names the service in logs, metrics and commands"),
            "namespace": adoption.namespace,
        },
        "spec": dict(_spec(adoption)),
    }
    return "\n".join((*_header(adoption), *yaml_lines(document), ""))


def _spec(adoption: Adoption) -> Iterator[tuple[str, Any]]:
    pools = adoption.pools
    yield "stack", Remark(adoption.stack, f"{_MARK} see: pd-autoscaler stacks")
    model = next((pool.workload.model for pool in pools.values() if pool.workload.model), None)
    if model is not None:
        yield "model", Remark(model, f"{_MARK} by the engine's command line; as in the label model_name")
    yield "mode", Remark("recommend", "writes nothing")
    yield "selector", {"namespace": Remark(adoption.namespace, f"{_MARK} label of every series; remove it if unused")}
    targets = {"ttft": {"target": Remark("2s", f"{_MARK} yours to say")}}
    yield "objectives", {**targets, "tpot": {"target": Remark("50ms", f"{_MARK} yours to say")}}
    yield "roles", {role.value: dict(_role(role, pools[role])) for role in (Role.PREFILL, Role.DECODE)}
    after_s = [pool.fallback_after_s for pool in pools.values() if pool.fallback_after_s is not None]
    if after_s:
        inside_s = min(max(*after_s, _SHORTEST_S), _LONGEST_S)
        cut = "" if inside_s == max(after_s) else f", {max(after_s):g} s, brought to what may be said"
        yield "fallbackAfter", Remark(format_duration(inside_s), f"failureThreshold times pollingInterval{cut}")
    urls = list(dict.fromkeys(pool.prometheus_url for pool in pools.values() if pool.prometheus_url))
    also = f"; the other pool's has {urls[1]}" if len(urls) > 1 else ""
    remark = f"as the trigger has it{also}" if urls else "yours"
    yield "prometheus", {"url": Remark(urls[0] if urls else _PLACE, f"{_MARK} {remark}")}


def _role(role: Role, pool: Pool) -> Iterator[tuple[str, Any]]:
    workload = pool.workload
    replicas = workload.replicas
    today = f"{_MARK} its count today cannot be told" if replicas is None else f"{replicas} replicas today"
    yield "target", _target(workload, today)
    least = max(pool.min_replicas, 1) if role is Role.DECODE else pool.min_replicas
    raised = f"{pool.min_replicas} before; without decode nothing is served" if least != pool.min_replicas else ""
    yield "min", Remark(least, raised)
    most = pool.max_replicas
    # Such a bound means none. A count above it today is no such case, and is refused.
    if most > MOST_REPLICAS >= (replicas or 0):
        yield "max", Remark(MOST_REPLICAS, f"{_MARK} {most} before; the most that a policy takes")
    else:
        yield "max", Remark(most, pool.bounds_note)
    yield "gpusPerReplica", _gpus(workload.gpus_per_replica)
    yield "startupTime", Remark("5m", f"{_MARK} from creation to the first request, until it has been measured")
    if pool.fallback_replicas is not None:
        inside = min(max(pool.fallback_replicas, least), pool.max_replicas, MOST_REPLICAS)
        moved = "" if inside == pool.fallback_replicas else f", {pool.fallback_replicas}, brought inside min and max"
        yield "fallbackReplicas", Remark(inside, f"fallback.replicas{moved}")
    if pool.behavior:
        yield "behavior", pool.behavior


def _target(workload: Workload, today: str) -> dict[str, Any]:
    part = workload.part
    if part is not None:
        entry = Remark(part.entry, f"{_MARK} what {part.whole} calls it, in its spelling")
        return {"spec": part.spec, "name": Remark(part.whole, f"of {workload.name}; {today}"), "entry": entry}
    named = {} if workload.api_version == "apps/v1" else {"apiVersion": workload.api_version}
    kind = {} if workload.kind == "Deployment" else {"kind": workload.kind}
    return {**named, **kind, "name": Remark(workload.name, today)}


def _gpus(found: float | None) -> Remark:
    if found is None:
        return Remark(1, f"{_MARK} the pod template does not say")
    return Remark(int(found) if found == int(found) else found, "by the pod template")


def _header(adoption: Adoption) -> Iterator[str]:
    pools = adoption.pools.items()
    yield from comment_lines(
        f"Made from {' and '.join(pool.setter for _, pool in pools)} in namespace {adoption.namespace}. "
        f"Look where it says {_MARK}, then: pd-autoscaler check FILE; pd-autoscaler doctor --policy FILE"
    )
    for remark in adoption.remarks:
        yield from comment_lines(remark)
    yield from _listed("Who else sets the counts, or may:", {role: pool.rivals for role, pool in pools})
    yield from _listed("Not carried over:", {role: pool.lost for role, pool in pools})
    yield "#"
    over = [command for _, pool in pools for command in pool.hand_over]
    steps = [
        *(["stop who else sets the counts"] if any(pool.rivals and not pool.is_fixed for _, pool in pools) else []),
        *(["let go of the counts"] if over else []),
        f"set mode: enforce{':' if over else '.'}",
    ]
    yield from comment_lines(f"When its recommendations have convinced you, {' and '.join(steps)}")
    yield from (f"#   {command}" for command in over)
    back = [command for _, pool in pools for command in pool.hand_back]
    yield from comment_lines("And back: set mode: recommend first, then" if back else "And back: set mode: recommend.")
    yield from (f"#   {command}" for command in back)


def _listed(title: str, told: Mapping[Role, tuple[str, ...]]) -> Iterator[str]:
    """What is told of the pools, each line once; nothing where there is none."""
    by_line: dict[str, list[str]] = {}
    for role, lines in told.items():
        for line in lines:
            by_line.setdefault(line, []).append(role.value)
    if by_line:
        yield "#"
        yield f"# {title}"
        for line, roles in by_line.items():
            yield from comment_lines(f"{' and '.join(roles)}: {line}", "# - ", "#   ")
