"""Demand is offered and backlogged work, in replicas; never served work, which collapses when a pool starves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from autoscaler.core.capacity import DecodePoint, EngineModel, decode_point
from autoscaler.core.passes import full_pass
from autoscaler.core.policy import Objectives, Role
from autoscaler.core.prompts import Prompts
from autoscaler.core.signals import Scope
from autoscaler.core.snapshot import Snapshot

# A link may be so busy that sharing it makes a transfer take this part of the TTFT target, but within these limits.
_TRANSFER_SHARE = 0.1
_LEAST_LINK_BUSY, _MOST_LINK_BUSY = 0.6, 0.8


class Demand(Protocol):
    """What every kind of demand can say: work in replicas, and the tokens per second that one busy replica does."""

    @property
    def work(self) -> float:
        """Replicas kept busy."""

    @property
    def supply_tokens_per_s(self) -> float:
        """Tokens per second of one busy replica inside the objectives."""

    @property
    def lasting(self) -> float:
        """The work without queues, which pass: what forecasts learn from."""


@dataclass(frozen=True, slots=True)
class PrefillDemand:
    """Work for the prefill pool.

    Attributes:
        work: Replicas kept busy by what arrives, in full passes.
        backlog_s: Replica-seconds that wait.
        request_rate: Requests arriving per second.
        service_s: What the mean request takes of a full pass, with some slack.
        uncached_tokens_per_s: Prompt tokens to compute per second.
        slack_ratio: Share of the work that is slack.
        prompts_per_pass: Prompts that fill a pass.
        service_scv: Squared coefficient of variation of what requests take of full passes.
    """

    work: float
    backlog_s: float
    request_rate: float
    service_s: float
    uncached_tokens_per_s: float
    slack_ratio: float = 0.0
    prompts_per_pass: float = 1.0
    service_scv: float = 0.0

    @property
    def supply_tokens_per_s(self) -> float:
        """Uncached prompt tokens per second that one busy replica computes."""
        return self.uncached_tokens_per_s / self.work if self.work > 0 else 0.0

    @property
    def lasting(self) -> float:
        """The work; what waits is counted on its own."""
        return self.work


@dataclass(frozen=True, slots=True)
class DecodeDemand:
    """Work for the decode pool.

    Attributes:
        work: Replicas needed at the set-point: the largest of the three below, but those who wait count for no more
            than serve already, or than the others need.
        by_rate: From the output tokens that are asked for per second.
        by_residency: From the sequences that run, wait, or are about to be handed over.
        by_transfer: From the KV that arrives over each replica's link.
        sequences: Those sequences.
        waiting: Those of them that wait.
        point: Set-point of one replica.
        resident_tokens: Mean tokens that a sequence holds.
    """

    work: float
    by_rate: float
    by_residency: float
    by_transfer: float
    sequences: float
    waiting: float
    point: DecodePoint
    resident_tokens: float

    @property
    def supply_tokens_per_s(self) -> float:
        """Output tokens per second of one replica at its set-point."""
        return self.point.tokens_per_s

    @property
    def lasting(self) -> float:
        """The work without those who wait."""
        return max(self.by_rate, self.by_residency - self.waiting / self.point.sequences, self.by_transfer)


def prefill_demand(
    snapshot: Snapshot, model: EngineModel, objectives: Objectives, prompts: Prompts | None
) -> PrefillDemand | None:
    """Prefill demand of the prompts that arrive, or None where the signals cannot tell.

    `work = rate * s`, with `s` from `a/k + b*u + c*(L^2 - cached^2)` in the mean over prompts, k of which fill a pass;
    the backlog is `s` for each that waits.
    """
    if prompts is None:
        return None
    tokens_per_s, uncached_ratio, prompt = prompts.tokens_per_s, prompts.uncached_ratio, prompts.mean_tokens
    if prompt is None or prompt < 1:
        return PrefillDemand(0.0, 0.0, 0.0, 0.0, 0.0) if tokens_per_s == 0 else None
    rate = tokens_per_s / prompt
    full = full_pass(prompts, model, objectives.ttft.target_s)
    waiting = snapshot.usable(Scope.PREFILL, "queue_depth") or 0.0
    return PrefillDemand(
        rate * full.service_s,
        waiting * full.service_s,
        rate,
        full.service_s,
        tokens_per_s * uncached_ratio,
        full.slack_ratio,
        full.prompts,
        full.service_scv,
    )


def decode_demand(
    snapshot: Snapshot,
    model: EngineModel,
    objectives: Objectives,
    ready: int,
    alone_s_per_token: float | None = None,
    resident_tokens: float | None = None,
) -> DecodeDemand | None:
    """Decode demand, or None where the signals cannot tell.

    By rate: output tokens asked for per second over those of one replica at its set-point. By residency: sequences
    that run, wait or sit in prefill, over the batch at the set-point. At a slack pool steps are short and residency
    reads low; at a starved pool the rate served reads low: the larger of the two is right on both sides.

    Args:
        snapshot: The signals.
        model: Timing of the engine.
        objectives: What the service promises.
        ready: Replicas that serve.
        alone_s_per_token: Least time per token of a KV transfer that was seen.
        resident_tokens: Mean tokens that a sequence has held of late; None for what the gauges of this moment say,
            which is the length of two or three prompts where few sequences run.
    """
    running = snapshot.usable(Scope.DECODE, "running")
    waiting = snapshot.usable(Scope.DECODE, "waiting")
    if running is None or waiting is None:
        return None
    capacity = snapshot.usable(Scope.DECODE, "kv_capacity_tokens")
    if capacity:
        model = replace(model, kv_capacity_tokens=capacity)
    prompt = snapshot.usable(Scope.SERVICE, "input_tokens_mean") or 0.0
    output = snapshot.usable(Scope.SERVICE, "output_tokens_mean") or 0.0
    utilization = snapshot.usable(Scope.DECODE, "kv_utilization_mean")
    if resident_tokens:
        resident = resident_tokens
    elif utilization and running >= 1 and ready > 0:
        resident = utilization * model.kv_capacity_tokens * ready / running
    else:
        resident = prompt + output / 2
    if resident <= 0 and running + waiting > 0:
        return None
    # What prefill can hand over, not what waits in front of it: a starved prefill pool must not swell decode.
    coming = snapshot.usable(Scope.PREFILL, "in_flight") or 0.0
    handed_over = _hand_over_rate(snapshot) * output
    served = snapshot.usable(Scope.DECODE, "generation_tokens_per_s") or 0.0
    point = decode_point(model, objectives.tpot.target_s, resident)
    by_rate = max(handed_over, served) / point.tokens_per_s
    sequences = running + waiting + coming
    by_residency = sequences / point.sequences
    by_transfer = _transfer_work(snapshot, objectives.ttft.target_s, ready, alone_s_per_token)
    demand = DecodeDemand(
        max(by_rate, by_residency, by_transfer),
        by_rate,
        by_residency,
        by_transfer,
        sequences,
        waiting,
        point,
        resident,
    )
    # Those who wait are gone soon after the first replicas that are ordered for them start: a thousand in front of one
    # replica would else ask for as many as there are batches of them.
    most = demand.lasting + max(float(ready), demand.lasting, 1.0)
    return replace(demand, work=min(demand.work, most))


def _hand_over_rate(snapshot: Snapshot) -> float:
    """Requests per second that prefill passes on: what arrives, at most what its replicas, ordered ones too, can do."""
    arriving = snapshot.usable(Scope.PREFILL, "request_rate") or 0.0
    pool = snapshot.pools.get(Role.PREFILL)
    time_s = snapshot.usable(Scope.PREFILL, "prefill_time_s")
    queue = snapshot.usable(Scope.PREFILL, "queue_depth")
    if pool is None or not pool.ready or not time_s or not queue:
        return arriving
    together = max((snapshot.usable(Scope.PREFILL, "in_flight") or 0.0) / pool.ready, 1.0)
    return min(arriving, max(pool.current, pool.ready) * together / time_s)


def transfer_s_per_token(snapshot: Snapshot) -> float | None:
    """Time of a KV transfer per prompt token, so that transfers of long and short prompts compare."""
    time_s, prompt = snapshot.usable(Scope.SERVICE, "kv_transfer_time_s"), _prompt(snapshot)
    return time_s / prompt if time_s and prompt else None


def _prompt(snapshot: Snapshot) -> float | None:
    return snapshot.usable(Scope.SERVICE, "input_tokens_mean")


def _transfer_work(snapshot: Snapshot, ttft_s: float, ready: int, alone_s_per_token: float | None) -> float:
    """Replicas whose links keep up with the KV that arrives.

    Little's law gives the transfers in progress per link, `n = rate * time`; a shared link with n in progress is busy
    `n / (1 + n)` of the time (M/M/1 processor sharing). It makes each `1 / (1 - r)` times as long as it takes alone:
    a transfer that is slow by itself says nothing about replicas, more of them would not make it faster. The smaller of
    the two readings counts. A link may be so busy that a transfer takes a tenth of the TTFT target in the mean: short
    ones may share it with many, and a long one finds it at least two fifths idle.
    """
    rate, time_s = snapshot.usable(Scope.PREFILL, "request_rate"), snapshot.usable(Scope.SERVICE, "kv_transfer_time_s")
    seen = transfer_s_per_token(snapshot)
    if rate is None or time_s is None or not seen or not alone_s_per_token or ready == 0:
        return 0.0
    in_progress = rate * time_s / ready
    lengthened = max(1.0 - alone_s_per_token / seen, 0.0)
    alone_s = min(alone_s_per_token / seen, 1.0) * time_s
    most_busy = min(max(1.0 - alone_s / (_TRANSFER_SHARE * ttft_s), _LEAST_LINK_BUSY), _MOST_LINK_BUSY)
    return ready * min(in_progress / (1.0 + in_progress), lengthened) / most_busy
