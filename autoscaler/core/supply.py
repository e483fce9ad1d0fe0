"""What the cluster can really deliver: replicas that find no node or cannot start, and the operator's word.

A replica that cannot come must not freeze the loop (Dynamo #14251): after a deadline the number steps back to what can
serve, and growth is retried with exponential back-off.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from autoscaler.core.decision import Reason, Stage, StageName
from autoscaler.core.policy import HoldKind, RolePolicy
from autoscaler.core.snapshot import PoolState

_FIRST_BACK_OFF_S = 300.0
LONGEST_BACK_OFF_S = 3600.0


@dataclass(frozen=True, slots=True)
class Shortage:
    """Memory of replicas that could not come.

    Attributes:
        since_s: Since when some replica cannot come; None while all can.
        until_s: No growth beyond `served` before this instant; None without back-off.
        failures: Times in a row that the deadline passed; lengthens the back-off.
        served: Replicas that could serve when it last passed; None where nothing was kept of them.
    """

    since_s: float | None = None
    until_s: float | None = None
    failures: int = 0
    served: int | None = None


def limit_to_deliverable(
    policy: RolePolicy, pool: PoolState, memory: Shortage, before: int, now: float
) -> tuple[Stage, Shortage]:
    """Hold growth while replicas cannot come; after the deadline step back and wait longer each time."""
    stuck = pool.unschedulable + pool.failing
    reason = Reason.UNSCHEDULABLE if pool.unschedulable >= pool.failing else Reason.REPLICAS_FAILING
    # In a rollout the stuck replica comes on top of those that serve.
    deliverable = max(pool.current - stuck, pool.ready, policy.min_replicas)
    backs_off_s = max((memory.until_s or now) - now, 0.0)
    served = max(memory.served if memory.served is not None else deliverable, policy.min_replicas)
    # A replica that served until now has a deadline of its own: it may come back before growth is retried.
    if backs_off_s and deliverable >= min(served, pool.current):
        most = max(served, deliverable)
        tries = f"after {memory.failures} failed attempts"
        detail = f"growth beyond {most}, which could serve, is retried in {backs_off_s:.0f} s, {tries}"
        after = min(before, most)
        return _stage(before, after, Reason.BACKING_OFF, detail, stuck), replace(memory, since_s=None)
    if stuck == 0:
        return _stage(before, before, Reason.DELIVERABLE, "", 0), _without_stuck(pool, memory, now)
    since_s = memory.since_s if memory.since_s is not None else now
    waited_s = now - since_s
    what = "find no node" if reason is Reason.UNSCHEDULABLE else "crash or cannot pull their image"
    if waited_s < policy.capacity_deadline_s:
        deadline_s = policy.capacity_deadline_s
        detail = (
            f"{stuck} replicas {what} for {waited_s:.0f} s; no growth until they serve, back after {deadline_s:.0f} s"
        )
        held = min(before, max(min(pool.current, served) if backs_off_s else pool.current, policy.min_replicas))
        return _stage(before, held, reason, detail, stuck), replace(memory, since_s=since_s)
    back_off_s = min(_FIRST_BACK_OFF_S * 2**memory.failures, LONGEST_BACK_OFF_S)
    detail = f"{stuck} replicas {what} for {waited_s:.0f} s: {deliverable} can serve; next try in {back_off_s:.0f} s"
    stage = _stage(before, min(before, deliverable), reason, detail, stuck)
    return stage, Shortage(None, now + back_off_s, memory.failures + 1, deliverable)


def _without_stuck(pool: PoolState, memory: Shortage, now: float) -> Shortage:
    """The failures are kept until more serve than could before, or nothing has failed for as long as a try waits."""
    if memory.until_s is None or memory.served is None:
        return Shortage()
    over = pool.ready > memory.served or now >= memory.until_s + LONGEST_BACK_OFF_S
    return Shortage() if over else replace(memory, since_s=None)


def _stage(before: int, after: int, reason: Reason, detail: str, stuck: int) -> Stage:
    reason = reason if after != before or stuck or reason is Reason.BACKING_OFF else Reason.DELIVERABLE
    return Stage(StageName.CAPACITY, before, after, reason, detail, {"stuck": float(stuck)})


def held_bounds(policy: RolePolicy, current: int, now: float) -> RolePolicy:
    """The policy with its bounds narrowed by the operator's word while that holds: pause, grow only, or pin."""
    hold = policy.hold
    if hold is None or (hold.until_s is not None and now >= hold.until_s):
        return policy
    if hold.kind is HoldKind.PAUSE:
        return replace(policy, min_replicas=current, max_replicas=current)
    if hold.kind is HoldKind.GROW_ONLY:
        return replace(policy, min_replicas=max(policy.min_replicas, min(current, policy.max_replicas)))
    pinned = min(max(hold.replicas, policy.min_replicas), policy.max_replicas)
    return replace(policy, min_replicas=pinned, max_replicas=pinned)


def obey(policy: RolePolicy, held: RolePolicy, before: int, now: float) -> Stage:
    """The record of what the operator's word did: the number inside the narrowed bounds."""
    hold = policy.hold
    if hold is None or held is policy:
        return Stage(StageName.OPERATOR, before, before, Reason.NO_HOLD)
    after = min(max(before, held.min_replicas), held.max_replicas)
    until = "until taken back" if hold.until_s is None else f"for another {hold.until_s - now:.0f} s"
    reason, what = {
        HoldKind.PAUSE: (Reason.PAUSED, "paused"),
        HoldKind.GROW_ONLY: (Reason.GROW_ONLY, "may only grow"),
        HoldKind.PIN: (Reason.PINNED, f"pinned to {hold.replicas}"),
    }[hold.kind]
    outside = hold.kind is HoldKind.PIN and hold.replicas != held.min_replicas
    allowed = f"; the bounds allow {held.min_replicas}" if outside else ""
    return Stage(StageName.OPERATOR, before, after, reason, f"{what} {until}{allowed}")
