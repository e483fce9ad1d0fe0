"""The disaggregation switch: an explicit state machine over the two safe orders.

On: prefill ready first, then open, observe, only then may decode shrink. Off: decode grown first, then close, wait
until prefill is idle and the KV lease has passed, only then may prefill shrink. Every step is safe to restart in, and a
switch that does not confirm is taken back with a reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from autoscaler.core.arrangement import Comparison
from autoscaler.core.decision import Reason, Stage, StageName, SwitchDecision, SwitchStep
from autoscaler.core.policy import Disaggregation, HoldKind, Role, RolePolicy, SwitchPolicy
from autoscaler.core.proposal import whole
from autoscaler.core.signals import Scope
from autoscaler.core.snapshot import PoolState, Snapshot
from autoscaler.core.state import SwitchState
from autoscaler.core.supply import held_bounds

_COMMANDS = {SwitchStep.OPENING: True, SwitchStep.CLOSING: False}
# Where a change rests that the policy takes back.
_TAKEN_BACK: Mapping[tuple[Disaggregation, SwitchStep | None], SwitchStep] = MappingProxyType(
    {
        (Disaggregation.ON, SwitchStep.GROWING_DECODE): SwitchStep.ON,
        (Disaggregation.OFF, SwitchStep.GROWING_PREFILL): SwitchStep.OFF,
    }
)


def advance(
    policy: SwitchPolicy,
    snapshot: Snapshot,
    comparison: Comparison | None,
    memory: SwitchState,
    now: float,
    *,
    blocked: str = "",
    payback_s: float = 0.0,
    floors: tuple[int, int] = (1, 1),
) -> tuple[SwitchDecision, SwitchState]:
    """Take one step of the switch.

    Args:
        policy: How the switch is used.
        snapshot: Pools, signals and the switch as read back.
        comparison: What both arrangements need; None while that cannot be told.
        memory: Where the switch stood.
        now: Unix time.
        blocked: Why no change may begin now; empty where one may. One under way goes on.
        payback_s: Time in which the saving pays for the replicas that a change holds twice.
        floors: What a change begins with while nothing can be compared: prefill replicas, and decode replicas for
            both phases.
    """
    if memory.step is None:
        memory = begun(policy, snapshot, now)
    resting = memory.step in {SwitchStep.ON, SwitchStep.OFF}
    if resting and snapshot.disaggregated is not None and not _sets_back(policy, memory, now):
        memory = _believe(snapshot, memory, now)
    if memory.step in {SwitchStep.ON, SwitchStep.OFF}:
        memory, detail = _resting(policy, snapshot, comparison, memory, now, blocked, payback_s, floors)
    else:
        memory, detail = _under_way(policy, snapshot, memory, now)
    step = memory.step or SwitchStep.ON
    command = _COMMANDS.get(step)
    if _sets_back(policy, memory, now):
        command = step is SwitchStep.ON
    costs = (comparison.apart_gpus, comparison.together_gpus) if comparison is not None else ()
    known = [cost if math.isfinite(cost) else None for cost in costs]
    return SwitchDecision(command, step, detail, *known), memory


def begun(policy: SwitchPolicy, snapshot: Snapshot, now: float) -> SwitchState:
    """The first memory: what the stack shows; if it shows nothing, what the policy says or the prefill pool tells."""
    shown, prefill = snapshot.disaggregated, snapshot.pools.get(Role.PREFILL)
    if shown is None:
        shown = policy.disaggregation is Disaggregation.ON or prefill is None or prefill.current > 0
    return SwitchState(SwitchStep.ON if shown else SwitchStep.OFF, now)


def taken_back(policy: SwitchPolicy, memory: SwitchState, now: float) -> SwitchState:
    """The memory without a change to where the policy does not want the switch any more, as long as replicas only grow.

    Nothing has been moved by then. A change that was begun under an earlier policy would else go all the way, and only
    then back.
    """
    rests = _TAKEN_BACK.get((policy.disaggregation, memory.step))
    return memory if rests is None else SwitchState(rests, now, memory.changed_at_s)


def prefill_stands(step: SwitchStep | None) -> bool:
    """Whether prefill is not sized by what it is asked for, since disaggregation is off or on its way there."""
    return step in _PREFILL_STANDS | {SwitchStep.OFF}


def narrowed(
    policy: SwitchPolicy, role: Role, own: RolePolicy, pool: PoolState, step: SwitchStep, now: float
) -> RolePolicy:
    """A pool's bounds in a step of the switch: prefill may be empty while it is off, and stands while it closes.

    They leave room for what the operator's word still has to make of the number.
    """
    if role is not Role.PREFILL or not prefill_stands(step):
        return own
    replicas = policy.prefill_off_replicas if step is SwitchStep.OFF else pool.current
    # Where no prefill is off, a number written while the switch closes would be set back by the switch.
    kept = replicas if step is SwitchStep.CLOSING else _kept(own, pool, replicas, now)
    return replace(own, min_replicas=min(replicas, kept), max_replicas=max(replicas, kept))


def _kept(own: RolePolicy, pool: PoolState, replicas: int, now: float) -> int:
    """What the operator's word makes of a number that the switch asks for; a pause stops every change by itself."""
    hold = own.hold
    if hold is None or held_bounds(own, pool.current, now) is own:
        return replicas
    match hold.kind:
        case HoldKind.GROW_ONLY:
            return max(replicas, min(pool.current, own.max_replicas))
        case HoldKind.PIN:
            return min(max(hold.replicas, min(replicas, own.min_replicas)), own.max_replicas)
        case _:
            return replicas


def stage(policy: SwitchPolicy, role: Role, pool: PoolState, memory: SwitchState, before: int) -> Stage:
    """What the switch does to a pool's number: floors before it moves, no shrink until it has been watched."""
    step = memory.step or SwitchStep.ON
    if step is SwitchStep.ON or (step is SwitchStep.OFF and role is not Role.PREFILL):
        return Stage(StageName.SWITCH, before, before, Reason.NOT_SWITCHING)
    if step is SwitchStep.OFF:
        after = policy.prefill_off_replicas
        return Stage(
            StageName.SWITCH, before, after, Reason.DISAGGREGATION_OFF, "disaggregation is off: decode does prefill"
        )
    if role is Role.PREFILL and step in _PREFILL_STANDS:
        after, why = pool.current, "prefill stands until it is idle and its KV leases are over"
    elif role is Role.PREFILL:
        after, why = (
            max(before, pool.current, memory.prefill_floor),
            f"opening takes {memory.prefill_floor} prefill replicas",
        )
    elif step in _OPENS:
        after, why = max(before, pool.current), "decode does not shrink before the open switch has been watched"
    else:
        after, why = (
            max(before, pool.current, memory.decode_floor),
            f"closing takes {memory.decode_floor} decode replicas",
        )
    numbers = {"prefill_floor": float(memory.prefill_floor), "decode_floor": float(memory.decode_floor)}
    return Stage(StageName.SWITCH, before, after, Reason.SWITCHING, f"{step.value.replace('_', ' ')}: {why}", numbers)


_PREFILL_STANDS = frozenset({SwitchStep.CLOSING, SwitchStep.DRAINING_PREFILL})
_OPENS = frozenset({SwitchStep.GROWING_PREFILL, SwitchStep.OPENING, SwitchStep.OBSERVING})


def _sets_back(policy: SwitchPolicy, memory: SwitchState, now: float) -> bool:
    """Whether the stack is still told to go back, so that what it shows is not yet the truth.

    A change that was given up while a pool grew keeps its floors: it has moved nothing that could be set back.
    """
    since_s = memory.changed_at_s if memory.changed_at_s is not None else memory.since_s
    return memory.given_up and not memory.prefill_floor and now - since_s < policy.confirm_s


def _believe(snapshot: Snapshot, memory: SwitchState, now: float) -> SwitchState:
    """Someone else may have moved it: what the stack shows is the truth, and is met as if we had moved it."""
    if snapshot.disaggregated is (memory.step is SwitchStep.ON):
        return memory
    step = SwitchStep.OBSERVING if snapshot.disaggregated else SwitchStep.DRAINING_PREFILL
    return SwitchState(step, now, now)


def _resting(
    policy: SwitchPolicy,
    snapshot: Snapshot,
    comparison: Comparison | None,
    memory: SwitchState,
    now: float,
    blocked: str,
    payback_s: float,
    floors: tuple[int, int],
) -> tuple[SwitchState, str]:
    on = memory.step is SwitchStep.ON
    wanted, why = _wanted(policy, comparison, on=on)
    if wanted is on:
        return replace(memory, better_since_s=None), why
    better_since_s = memory.better_since_s if memory.better_since_s is not None else now
    memory = replace(memory, better_since_s=better_since_s)
    fixed = policy.disaggregation is not Disaggregation.AUTO
    sustain_s = max(policy.sustain_s, payback_s)
    if not fixed and now - better_since_s < sustain_s:
        return memory, f"{why}; for {now - better_since_s:.0f} s, changes after {sustain_s:.0f} s"
    dwells = not fixed or memory.given_up
    if dwells and memory.changed_at_s is not None and now - memory.changed_at_s < policy.dwell_s:
        what = "gave up" if memory.given_up else "changed"
        return memory, f"{why}; {what} {now - memory.changed_at_s:.0f} s ago, dwells {policy.dwell_s:.0f} s"
    if any(pool.starting or pool.terminating or pool.updating for pool in snapshot.pools.values()):
        return memory, f"{why}; waits for a scaling under way"
    if blocked:
        return memory, f"{why}; {blocked}"
    needs = (comparison.prefill_replicas, comparison.together_replicas) if comparison is not None else floors
    prefill, together = (max(whole(need), 1) if math.isfinite(need) else 1 for need in needs)
    step = SwitchStep.GROWING_PREFILL if wanted else SwitchStep.GROWING_DECODE
    return SwitchState(step, now, memory.changed_at_s, prefill_floor=prefill, decode_floor=together), why


def _wanted(policy: SwitchPolicy, comparison: Comparison | None, *, on: bool) -> tuple[bool, str]:
    if policy.disaggregation is Disaggregation.ON:
        return True, "the policy says on"
    if policy.disaggregation is Disaggregation.OFF:
        return False, "the policy says off"
    if comparison is None:
        return on, "what both arrangements cost cannot be told yet"
    ratio, zone = comparison.advantage_ratio, policy.dead_zone_ratio
    apart, together = (
        f"needs {gpus:.3g} GPUs" if math.isfinite(gpus) else "meets the objectives with no number of GPUs"
        for gpus in (comparison.apart_gpus, comparison.together_gpus)
    )
    numbers = f"apart {apart}, together {together}"
    if ratio > 1.0 + zone:
        return True, f"{numbers}: apart is better"
    if ratio < 1.0 / (1.0 + zone):
        return False, f"{numbers}: together is better"
    return on, f"{numbers}: within {zone:.0%}, not worth a change"


def _under_way(policy: SwitchPolicy, snapshot: Snapshot, memory: SwitchState, now: float) -> tuple[SwitchState, str]:
    match memory.step:
        case SwitchStep.GROWING_PREFILL | SwitchStep.GROWING_DECODE:
            return _grow(policy, snapshot, memory, now)
        case SwitchStep.OPENING | SwitchStep.CLOSING:
            return _confirm(policy, snapshot, memory, now)
        case SwitchStep.OBSERVING:
            waited_s = now - memory.since_s
            if waited_s >= policy.observe_s:
                return SwitchState(SwitchStep.ON, now, now), f"open and calm for {waited_s:.0f} s"
            return memory, f"watched for another {policy.observe_s - waited_s:.0f} s before decode may shrink"
        case _:
            return _drain(policy, snapshot, memory, now)


def _grow(policy: SwitchPolicy, snapshot: Snapshot, memory: SwitchState, now: float) -> tuple[SwitchState, str]:
    opens = memory.step is SwitchStep.GROWING_PREFILL
    role, floor = (Role.PREFILL, memory.prefill_floor) if opens else (Role.DECODE, memory.decode_floor)
    pool = snapshot.pools.get(role)
    ready, waited_s = pool.ready if pool is not None else 0, now - memory.since_s
    if ready >= floor and opens:
        return _enter(memory, SwitchStep.OPENING, now), "prefill is ready: opening"
    if ready >= floor:
        return _enter(memory, SwitchStep.CLOSING, now), "decode can take prefill over: closing"
    if waited_s <= policy.grow_s:
        return memory, f"waits for {floor} {role} replicas, {ready} serve"
    back = SwitchStep.OFF if opens else SwitchStep.ON
    memory = replace(memory, step=back, since_s=now, changed_at_s=now, better_since_s=None, given_up=True)
    return memory, f"given up: its replicas did not come within {waited_s:.0f} s; next try after the dwell time"


def _confirm(policy: SwitchPolicy, snapshot: Snapshot, memory: SwitchState, now: float) -> tuple[SwitchState, str]:
    opening = memory.step is SwitchStep.OPENING
    if snapshot.disaggregated is opening:
        after = SwitchStep.OBSERVING if opening else SwitchStep.DRAINING_PREFILL
        return _enter(memory, after, now), "the stack confirms the switch"
    waited_s = now - memory.since_s
    if waited_s < policy.confirm_s:
        return memory, f"waits {waited_s:.0f} s for the stack to confirm"
    # A stack that confirms nothing may have opened all the same: prefill goes by the order of closing.
    back = SwitchStep.DRAINING_PREFILL if opening else SwitchStep.ON
    shown = {True: "on", False: "off", None: "nothing"}[snapshot.disaggregated]
    why = (
        f"given up: the stack shows {shown} {waited_s:.0f} s after the switch was moved; next try after the dwell time"
    )
    return SwitchState(back, now, now, given_up=True), why


def _drain(policy: SwitchPolicy, snapshot: Snapshot, memory: SwitchState, now: float) -> tuple[SwitchState, str]:
    if snapshot.disaggregated and not _sets_back(policy, memory, now):
        return SwitchState(SwitchStep.OBSERVING, now, now), "the stack shows it open again"
    pool = snapshot.pools.get(Role.PREFILL)
    if pool is not None and not pool.current and not pool.ready and not pool.terminating:
        return _off(memory, now), "no prefill replica is left"
    load = [snapshot.usable(Scope.PREFILL, name) for name in ("queue_depth", "in_flight")]
    if any(value is None or value > 0 for value in load):
        return replace(memory, quiet_since_s=None), "waits until prefill is idle"
    quiet_since_s = memory.quiet_since_s if memory.quiet_since_s is not None else now
    if now - quiet_since_s >= policy.lease_s:
        return _off(memory, now), "prefill is idle and its KV leases are over"
    return replace(memory, quiet_since_s=quiet_since_s), f"waits for the KV lease of {policy.lease_s:.0f} s"


def _off(memory: SwitchState, now: float) -> SwitchState:
    """Prefill may go; a change that was given up dwells from when it was."""
    return SwitchState(SwitchStep.OFF, now, memory.changed_at_s if memory.given_up else now, given_up=memory.given_up)


def _enter(memory: SwitchState, step: SwitchStep, now: float) -> SwitchState:
    return replace(memory, step=step, since_s=now)
