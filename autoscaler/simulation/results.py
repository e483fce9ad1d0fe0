"""What a run came to: who was served in time, at what cost, with how much commotion."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from autoscaler.core.policy import Objectives, Role
from autoscaler.simulation.config import ServiceConfig
from autoscaler.simulation.counters import Floats
from autoscaler.simulation.engine import world as w
from autoscaler.simulation.engine.tables import column
from autoscaler.simulation.fleet import Fleet

PERCENTILES = (50, 90, 95, 99)

_REVERSAL_S = 600.0
_SLOT_S = 60.0
_WORST_S = 300.0

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Action:
    """A change of the number of replicas asked for."""

    at_s: float
    role: Role
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class ReplicaSpan:
    """The life of one replica; times are None where they had not come by the end.

    Attributes:
        created_s: When it was ordered.
        scheduled_s: When it got its GPUs.
        ready_s: When it began to serve.
        removed_s: When it gave its GPUs back.
    """

    role: Role
    name: str
    created_s: float
    scheduled_s: float | None
    ready_s: float | None
    removed_s: float | None


@dataclass(frozen=True, slots=True, eq=False)
class RequestTable:
    """What became of every request, in the order of the trace; NaN for what did not happen.

    Attributes:
        arrival_s: When it arrived.
        finish_s: When it finished, failed or was rejected.
        ttft_s: From arrival to the first token that the user saw.
        tpot_s: Mean gap between its tokens; NaN with a single token.
        finished: Whether it got all its tokens.
        failed: Whether it was lost with its replica.
        rejected: Whether it could never fit.
        in_time: Whether it finished inside both objectives; a single token has no TPOT to miss.
        disaggregated: Whether a prefill replica prefilled it.
        preemptions: How often it was thrown out of a batch.
        retries: How often it was started again.
        parts_s: TTFT by part, keys of `TTFT_PARTS`; they add up to `ttft_s` for requests never retried.
    """

    arrival_s: Floats
    finish_s: Floats
    ttft_s: Floats
    tpot_s: Floats
    finished: Bools
    failed: Bools
    rejected: Bools
    in_time: Bools
    disaggregated: Bools
    preemptions: Ints
    retries: Ints
    parts_s: Mapping[str, Floats]


TTFT_PARTS = (
    "gateway_queue",
    "prefill_queue",
    "prefill",
    "decode_routing",
    "decode_queue",
    "transfer",
    "next_step_wait",
    "first_step",
)


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """A run in numbers.

    Attributes:
        attainment_ratio: Share of all arrived requests inside both objectives; failed, rejected and unfinished miss.
        arrived: Requests that arrived.
        finished: Requests that got all their tokens.
        failed: Requests that were lost with their replica.
        rejected: Requests that could never fit.
        unfinished: Requests still in the system.
        ttft_s: Percentiles of TTFT, keys of `PERCENTILES`; NaN without any.
        tpot_s: Percentiles of TPOT.
        gpu_hours: GPU time from schedule to removal, starting and draining included.
        gpu_hours_by_role: The same per role.
        actions: Changes of replica counts, oldest first.
        reversals: Changes against the direction of the pool's change before, within 10 min of it.
        violation_s: Time in minutes whose arrivals attained less than the objective.
        worst_5min_ratio: Attainment of the worst 5 min that had arrivals.
        replicas: The life of every replica.
        requests: What became of every request.
        duration_s: Length of the run.
    """

    attainment_ratio: float
    arrived: int
    finished: int
    failed: int
    rejected: int
    unfinished: int
    ttft_s: Mapping[int, float]
    tpot_s: Mapping[int, float]
    gpu_hours: float
    gpu_hours_by_role: Mapping[Role, float]
    actions: tuple[Action, ...]
    reversals: int
    violation_s: float
    worst_5min_ratio: float
    replicas: tuple[ReplicaSpan, ...]
    requests: RequestTable
    duration_s: float


def summarize(config: ServiceConfig, fleet: Fleet, actions: tuple[Action, ...], now_s: float) -> Results:
    """Sum up a run that has reached `now_s`."""
    arrived = int(fleet.world.clock[0].next_arrival)
    requests = _request_table(fleet.world, config.objectives, arrived)
    gpu_hours = {role: seconds / 3600 for role, seconds in fleet.gpu_seconds(now_s).items()}
    minutes = _by_minute(requests, now_s)
    finished, failed, rejected = (
        int(column.sum()) for column in (requests.finished, requests.failed, requests.rejected)
    )
    return Results(
        attainment_ratio=float(requests.in_time.mean()) if arrived else 1.0,
        arrived=arrived,
        finished=finished,
        failed=failed,
        rejected=rejected,
        unfinished=arrived - finished - failed - rejected,
        ttft_s=_percentiles(requests.ttft_s),
        tpot_s=_percentiles(requests.tpot_s),
        gpu_hours=sum(gpu_hours.values()),
        gpu_hours_by_role=gpu_hours,
        actions=actions,
        reversals=count_reversals(actions),
        violation_s=_violation_s(*minutes, config.objectives.attainment_ratio),
        worst_5min_ratio=_worst(*minutes),
        replicas=_spans(fleet),
        requests=requests,
        duration_s=now_s,
    )


def count_reversals(actions: Sequence[Action]) -> int:
    """Changes of a pool against the direction of its last change, within 10 min of it."""
    reversals = 0
    for role in {action.role for action in actions}:
        mine = [action for action in actions if action.role is role]
        for last, action in pairwise(mine):
            turned = (last.after > last.before) != (action.after > action.before)
            reversals += turned and action.at_s - last.at_s <= _REVERSAL_S
    return reversals


def _request_table(world: w.World, objectives: Objectives, arrived: int) -> RequestTable:
    def of(field: str) -> npt.NDArray[Any]:
        return column(world.requests, field, arrived)

    state, finish_s, first_token_s = of("state"), of("finish_s"), of("first_token_s")
    finished, gaps = state == w.FINISHED, of("output_tokens") - 1
    ttft_s = first_token_s - of("arrival_s")
    tpot_s = np.where(finished & (gaps > 0), (finish_s - first_token_s) / np.maximum(gaps, 1), np.nan)
    in_time = finished & (ttft_s <= objectives.ttft.target_s) & ~(tpot_s > objectives.tpot.target_s)
    parts_s = _parts(of)
    return RequestTable(
        arrival_s=of("arrival_s"),
        finish_s=finish_s,
        ttft_s=ttft_s,
        tpot_s=tpot_s,
        finished=finished,
        failed=state == w.FAILED,
        rejected=state == w.REJECTED,
        in_time=in_time,
        disaggregated=~np.isnan(of("transfer_end_s")),
        preemptions=of("preemptions").astype(np.int64),
        retries=of("retries").astype(np.int64),
        parts_s=parts_s,
    )


def _parts(of: Callable[[str], Floats]) -> Mapping[str, Floats]:
    """Where the time to the first token went; what a request skipped is 0."""
    pulled = ~np.isnan(of("transfer_end_s"))

    def leg(start: str, end: str, *, only_pulled: bool = False) -> Floats:
        span_s: Floats = of(end) - of(start)
        return np.where(pulled, span_s, 0.0) if only_pulled else span_s

    return {
        "gateway_queue": leg("arrival_s", "entered_s"),
        "prefill_queue": leg("entered_s", "prefill_start_s"),
        "prefill": leg("prefill_start_s", "prefill_end_s"),
        "decode_routing": leg("prefill_end_s", "decode_arrival_s", only_pulled=True),
        "decode_queue": leg("decode_arrival_s", "transfer_start_s", only_pulled=True),
        "transfer": leg("transfer_start_s", "transfer_end_s", only_pulled=True),
        "next_step_wait": leg("transfer_end_s", "pod_scheduled_s", only_pulled=True),
        "first_step": leg("pod_scheduled_s", "pod_first_token_s", only_pulled=True),
    }


def _percentiles(values: Floats) -> Mapping[int, float]:
    known = values[~np.isnan(values)]
    if not known.size:
        return dict.fromkeys(PERCENTILES, float("nan"))
    return dict(zip(PERCENTILES, np.percentile(known, PERCENTILES).tolist(), strict=True))


def _by_minute(requests: RequestTable, now_s: float) -> tuple[Floats, Floats]:
    """Arrivals of every minute, and how many of them were in time."""
    edges = _SLOT_S * np.arange(max(math.ceil(now_s / _SLOT_S), 1) + 1)
    arrived, _ = np.histogram(requests.arrival_s, edges)
    in_time, _ = np.histogram(requests.arrival_s[requests.in_time], edges)
    return arrived.astype(np.float64), in_time.astype(np.float64)


def _violation_s(arrived: Floats, in_time: Floats, attainment_ratio: float) -> float:
    return float((in_time < attainment_ratio * arrived).sum()) * _SLOT_S


def _worst(arrived: Floats, in_time: Floats) -> float:
    width = min(round(_WORST_S / _SLOT_S), max(arrived.size, 1))
    ones = np.ones(width)
    all_of, good = np.convolve(arrived, ones, "valid"), np.convolve(in_time, ones, "valid")
    return float((good[all_of > 0] / all_of[all_of > 0]).min()) if (all_of > 0).any() else 1.0


def _spans(fleet: Fleet) -> tuple[ReplicaSpan, ...]:
    def known(at_s: float) -> float | None:
        return at_s if np.isfinite(at_s) else None

    replicas = sorted((*fleet.gone, *fleet.live), key=lambda replica: (replica.created_s, replica.role, replica.name))
    return tuple(
        ReplicaSpan(
            replica.role,
            replica.name,
            replica.created_s,
            known(replica.scheduled_s),
            known(replica.ready_s),
            known(replica.removed_s),
        )
        for replica in replicas
    )
