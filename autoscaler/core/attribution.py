"""Where the time to first token goes, and which part of the service holds requests up.

TTFT = prefill queue + prefill + KV transfer + first decode step. A slow transfer or a full decode pool must never be
answered with more prefill (llm-d-autoscaling #1325).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from autoscaler.core.policy import Objectives
from autoscaler.core.signals import Scope
from autoscaler.core.snapshot import Snapshot

# KV utilisation at which admission into a decode batch stalls.
_KV_FULL_RATIO = 0.95
# Requests waiting for decode, per replica, that are more than the jitter of arrivals.
_WAITING_PER_REPLICA = 2.0
# Share of the TTFT target that a transfer may take before it is the thing to fix.
_TRANSFER_SHARE = 0.25


class Bottleneck(StrEnum):
    """What holds requests up. Closed."""

    NONE = "none"
    PREFILL = "prefill"
    TRANSFER = "transfer"
    DECODE = "decode"


@dataclass(frozen=True, slots=True)
class Attribution:
    """TTFT by part, means in seconds (None where unknown), and the bottleneck with the reason.

    Attributes:
        queue_s: Waiting for prefill.
        prefill_s: Prefill itself.
        transfer_s: KV transfer.
        decode_s: From arrival at decode to the first token, without the transfer.
        bottleneck: What holds requests up.
        detail: Why, with the numbers and what would fix it.
    """

    queue_s: float | None
    prefill_s: float | None
    transfer_s: float | None
    decode_s: float | None
    bottleneck: Bottleneck
    detail: str


def attribute(snapshot: Snapshot, objectives: Objectives, decode_ready: int) -> Attribution:
    """Split TTFT and name the bottleneck."""
    queue_s = snapshot.usable(Scope.PREFILL, "queue_time_s")
    prefill_s = snapshot.usable(Scope.PREFILL, "prefill_time_s")
    transfer_s = snapshot.usable(Scope.SERVICE, "kv_transfer_time_s")
    first_s = snapshot.usable(Scope.DECODE, "first_token_time_s")
    decode_s = max(first_s - (transfer_s or 0.0), 0.0) if first_s is not None else None
    bottleneck, detail = _bottleneck(snapshot, objectives, decode_ready, queue_s, transfer_s, decode_s)
    return Attribution(queue_s, prefill_s, transfer_s, decode_s, bottleneck, detail)


def _bottleneck(
    snapshot: Snapshot,
    objectives: Objectives,
    decode_ready: int,
    queue_s: float | None,
    transfer_s: float | None,
    decode_s: float | None,
) -> tuple[Bottleneck, str]:
    target_s = objectives.ttft.target_s
    waiting = snapshot.usable(Scope.DECODE, "waiting") or 0.0
    fullest = snapshot.usable(Scope.DECODE, "kv_utilization_max") or 0.0
    expired = snapshot.usable(Scope.SERVICE, "kv_expired_rate") or 0.0
    if expired > 0:
        return Bottleneck.DECODE, f"{expired:.2g} KV leases a second run out before decode fetches them"
    if waiting > _WAITING_PER_REPLICA * max(decode_ready, 1) and (
        fullest >= _KV_FULL_RATIO or (decode_s or 0.0) > max(queue_s or 0.0, transfer_s or 0.0)
    ):
        return Bottleneck.DECODE, f"{waiting:.0f} requests wait for decode, its fullest pod is at {fullest:.0%} KV"
    if transfer_s is not None and transfer_s > _TRANSFER_SHARE * target_s and transfer_s > (queue_s or 0.0):
        spent = f"a KV transfer takes {transfer_s:.2g} s of a {target_s:.2g} s target"
        cure = "a faster link, larger KV blocks or serving without disaggregation would fix it, more prefill would not"
        return Bottleneck.TRANSFER, f"{spent}; {cure}"
    queue = snapshot.usable(Scope.PREFILL, "queue_depth") or 0.0
    if queue >= 1 and (queue_s or 0.0) > _TRANSFER_SHARE * target_s:
        return Bottleneck.PREFILL, f"{queue:.0f} requests wait for prefill, {queue_s:.2g} s on average"
    return Bottleneck.NONE, "no part of the path holds requests up"
