"""What NVIDIA's loop would tell its scaling policy, read off our simulator.

The planner wants forward-pass metrics of each worker, which no metrics page shows; they come from the engine's tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from autoscaler.core.policy import Role
from autoscaler.simulation.counters import ReplicaPhase
from autoscaler.simulation.engine import world as w
from autoscaler.simulation.fleet import Replica
from autoscaler.simulation.service import Service

_IDS = {
    "active": (ReplicaPhase.READY,),
    "starting": (ReplicaPhase.STARTING, ReplicaPhase.UNSCHEDULABLE),
    "draining": (ReplicaPhase.DRAINING,),
}


class Feed:
    """Tick metrics of one simulated service, in the shape of `on_tick`'s argument."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._told_s = 0.0
        self._ticks = 0

    def metrics(self) -> dict[str, Any]:
        """State now, and traffic since the last call."""
        service, now_s = self._service, self._service.now_s
        service.pods()  # brings the counters of all pods up to now
        fleet = service._fleet  # noqa: SLF001 - see the module's docstring
        rows: Any = fleet.world.requests
        arrived = rows[: fleet.world.clock[0].next_arrival]
        held = arrived[arrived["state"] < w.FINISHED]
        metrics = {
            "tick_ordinal": self._ticks,
            "now_ms": now_s * 1e3,
            "traffic": _traffic(arrived, self._told_s, now_s),
            **{
                f"{role.value}_fpm_snapshots": _snapshots(fleet.world, fleet.live, held, role)
                for role in (Role.PREFILL, Role.DECODE)
            },
            **_counts(fleet.live),
        }
        self._told_s = now_s
        self._ticks += 1
        return metrics


def _counts(replicas: Sequence[Replica]) -> dict[str, Any]:
    counts: dict[str, Any] = {}
    for role in (Role.PREFILL, Role.DECODE):
        ids = {
            state: [_id(replica) for replica in replicas if replica.role is role and replica.phase in phases]
            for state, phases in _IDS.items()
        }
        for state, mine in ids.items():
            counts[f"{state}_{role.value}_ids"] = mine
            counts[f"{state}_{role.value}_count"] = len(mine)
        lasting = len(ids["active"]) + len(ids["starting"])
        counts[f"non_draining_{role.value}_count"] = lasting
        counts[f"total_{role.value}_count"] = lasting + len(ids["draining"])
    return counts


def _id(replica: Replica) -> int:
    return int(replica.name.rpartition("-")[2])


def _traffic(arrived: Any, since_s: float, now_s: float) -> dict[str, Any]:
    finished = arrived[
        (arrived["state"] == w.FINISHED) & (arrived["finish_s"] > since_s) & (arrived["finish_s"] <= now_s)
    ]
    gaps = finished["output_tokens"] - 1
    spoken = finished[gaps > 0]
    gaps_s = (spoken["finish_s"] - spoken["first_token_s"]) / gaps[gaps > 0]
    return {
        "duration_s": now_s - since_s,
        "num_req": int((arrived["arrival_s"] > since_s).sum()),
        "avg_isl": _mean(finished["input_tokens"]),
        "avg_osl": _mean(finished["output_tokens"]),
        "avg_ttft_ms": _mean(finished["first_token_s"] - finished["arrival_s"]) * 1e3,
        "avg_itl_ms": _mean(gaps_s) * 1e3,
        "shape_count": len(finished),
        "ttft_count": len(finished),
        "itl_count": len(spoken),
        "avg_accept_length": 1.0,
        "accept_length_forward_count": int(finished["output_tokens"].sum()),
        "avg_kv_hit_rate": 0.0,
        "hit_rate_count": 0,
    }


def _snapshots(world: w.World, replicas: Sequence[Replica], held: Any, role: Role) -> list[dict[str, Any]]:
    return [
        _snapshot(world.replicas[replica.slot], _id(replica), held[held["slot"] == replica.slot])
        for replica in replicas
        if replica.role is role and replica.phase is ReplicaPhase.READY
    ]


def _snapshot(row: w.Replica, worker_id: int, mine: Any) -> dict[str, Any]:
    """One worker: the pass under way, and what waits for it."""
    state = mine["state"]
    decodes = row.role == w.DECODE
    chunks = mine[(state == w.PREFILLING) & (mine["chunk_tokens"] > 0)]
    decoding = mine[state == w.DECODING]
    contexts = decoding["joined_context"] + row.step + row.counted_steps - decoding["joined_step"]
    waiting = mine[(state != w.DECODING) & (state != w.PREFILLING)]
    prompts, none = waiting["context_tokens"], np.zeros(0)
    return {
        "worker_id": worker_id,
        "dp_rank": 0,
        "wall_time": _pass_s(row) if row.running else 0.0,
        "num_prefill_requests": len(chunks),
        "sum_prefill_tokens": int(chunks["chunk_tokens"].sum()),
        "var_prefill_length": _variance(chunks["context_tokens"]),
        "sum_prefill_kv_tokens": int(chunks["computed_tokens"].sum()),
        "num_decode_requests": len(decoding),
        **_spread("decode_kv_tokens", contexts),
        **_queue("prefill", "prefill_tokens", "prefill_length", none if decodes else prompts),
        **_queue("decode", "decode_kv_tokens", "decode_kv_tokens", prompts if decodes else none),
    }


def _pass_s(row: w.Replica) -> float:
    """Time of the pass under way, one of a run whose j-th step takes `q0 + q1*j + q2*j^2`."""
    j = row.counted_steps
    return float(row.q0_s + (row.q1_s + row.q2_s * j) * j)


def _spread(name: str, values: npt.NDArray[Any]) -> dict[str, Any]:
    return {f"sum_{name}": int(values.sum()), f"var_{name}": _variance(values)}


def _queue(what: str, total: str, spread: str, values: npt.NDArray[Any]) -> dict[str, Any]:
    return {
        f"num_queued_{what}": len(values),
        f"sum_queued_{total}": int(values.sum()),
        f"var_queued_{spread}": _variance(values),
    }


def _mean(values: npt.NDArray[Any]) -> float:
    return float(values.mean()) if values.size else 0.0


def _variance(values: npt.NDArray[Any]) -> float:
    return float(values.var()) if values.size else 0.0
