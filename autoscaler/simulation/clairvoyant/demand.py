"""What a load requires in every slot of time, however well it is scheduled."""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autoscaler.core.policy import Role
from autoscaler.simulation.clairvoyant.work import Work
from autoscaler.simulation.traces.trace import Floats

SLOT_S = 10.0

Ints = npt.NDArray[np.int64]

_ROUNDING = 1e-9  # replicas; keeps sums of floats from asking for one more


@dataclass(frozen=True, slots=True, eq=False)
class SlotLoad:
    """Load of one role, slot by slot.

    Attributes:
        slot_s: Length of a slot.
        busy: Replicas that the slot keeps busy.
        requests: Requests that make this load; one that spans slots counts in each with its part.
    """

    slot_s: float
    busy: Floats
    requests: Floats

    def replicas(self, utilization_ratio: float = 1.0) -> Ints:
        """Whole replicas required, at least one, if none may be busy for more than this share of the time."""
        return np.maximum(np.ceil(self.busy / utilization_ratio - _ROUNDING), 1.0).astype(np.int64)


def slot_loads(
    work: Work, *, weight: float = 1.0, links: bool = True, slot_s: float = SLOT_S
) -> Mapping[Role, SlotLoad]:
    """Load per role if every slot must serve what arrives in it.

    Prefill: `W/(slot + slack)`, since work may finish by the slot's end plus the mean slack. Decode: work spread evenly
    over the slowest allowed residence. Links of either role must carry the KV of the prompts that arrive. An
    estimate: neither bound nor schedule.

    Args:
        work: The load.
        weight: Multiplier of each request's work, a smooth stand-in for so many times the rate.
        links: Count KV transfer as load.
        slot_s: Length of a slot.
    """
    slots, slack_s = _slots(work, slot_s), _mean_slack_s(work)
    prefill_s = _arriving(work, weight * work.prefill_s, slot_s)
    requests = weight * _arriving(work, np.ones_like(work.arrival_s), slot_s)
    decode_s = spread(work.arrival_s, work.residence_s, work.decode_s, slots, slot_s)
    parts = spread(work.arrival_s, work.residence_s, np.ones_like(work.decode_s), slots, slot_s)
    busy = {Role.PREFILL: prefill_s / (slot_s + slack_s), Role.DECODE: weight * decode_s / slot_s}
    if links:
        for role, link_s in work.link_s.items():
            carrying_s = _arriving(work, weight * link_s, slot_s)
            busy[role] = np.maximum(busy[role], carrying_s / (slot_s + slack_s))
    return {
        Role.PREFILL: SlotLoad(slot_s, busy[Role.PREFILL], requests),
        Role.DECODE: SlotLoad(slot_s, busy[Role.DECODE], weight * parts),
    }


def sustained_peak(work: Work, *, slot_s: float = SLOT_S) -> Mapping[Role, int]:
    """Replicas per role of the smallest constant fleet that never falls behind by more than the slack.

    Prefill, and the links of either role, need `W/(length + slack)` in every run of consecutive slots: what arrives in
    it may finish by its end plus the mean slack (the demand-bound function, with one slack for all). `slot_loads` asks
    that of single slots; but under sustained load they cannot all borrow the slack of the next, so this is never less
    than its peak. Decode takes the peak of `slot_loads`: spread over its slowest residence, its work borrows nothing.

    Args:
        work: The load.
        slot_s: Length of a slot.
    """
    slack_s = _mean_slack_s(work)
    linked = {
        role: _never_behind(_arriving(work, link_s, slot_s), slack_s, slot_s) for role, link_s in work.link_s.items()
    }
    prefill = _never_behind(_arriving(work, work.prefill_s, slot_s), slack_s, slot_s)
    decode = int(slot_loads(work, links=False, slot_s=slot_s)[Role.DECODE].replicas().max())
    return {Role.PREFILL: max(prefill, linked[Role.PREFILL]), Role.DECODE: max(decode, linked[Role.DECODE])}


def deadline_demand(work: Work, *, weight: float = 1.0, slot_s: float = SLOT_S) -> Mapping[Role, Ints]:
    """Fewest replicas per role and slot that meet every deadline if work could be cut and run in parallel at will.

    In every window of slots capacity must cover the work that arrives and falls due in it (demand-bound function).
    Serving the earliest deadline first, and adding replicas only for work that would be late, makes the smallest sum of
    replica-slots among all profiles that are constant within a slot, at least one replica in each. Decode falls due at
    the end of its slowest residence, counted from the latest first token.
    """
    slots = _slots(work, slot_s)
    prefill_due_s = work.arrival_s + work.prefill_s + work.prefill_slack_s
    decode_due_s = prefill_due_s + work.residence_s
    return {
        Role.PREFILL: _fewest(work.arrival_s, prefill_due_s, weight * work.prefill_s, slots, slot_s),
        Role.DECODE: _fewest(work.arrival_s, decode_due_s, weight * work.decode_s, slots, slot_s),
    }


def _never_behind(work_s: Floats, slack_s: float, slot_s: float) -> int:
    """Fewest replicas that never have more work left at the end of a slot than they do within the slack."""

    def keep_up(replicas: int) -> bool:
        done_s = np.concatenate(([0.0], np.cumsum(work_s - replicas * slot_s)))
        left_s = float((done_s - np.minimum.accumulate(done_s)).max())
        return left_s <= replicas * (slack_s + _ROUNDING)

    most = max(math.ceil(float(work_s.max()) / slot_s), 1)
    return 1 + bisect_left(range(1, most), True, key=keep_up)


def _arriving(work: Work, amount: Floats, slot_s: float) -> Floats:
    """An amount per request, summed by the slot in which it arrives."""
    slots = _slots(work, slot_s)
    slot = np.minimum((work.arrival_s // slot_s).astype(np.int64), slots - 1)
    return np.bincount(slot, amount, slots).astype(np.float64)


def _mean_slack_s(work: Work) -> float:
    return float(work.prefill_slack_s.mean()) if work.prefill_slack_s.size else 0.0


def spread(start_s: Floats, length_s: Floats, amount: Floats, slots: int, slot_s: float) -> Floats:
    """Amounts spread evenly over [start, start + length), summed per slot; what lies past the last slot is cut off."""
    edges_s = np.linspace(0.0, slots * slot_s, slots + 1)
    rate = amount / length_s
    return np.diff(_ramp(start_s, rate, edges_s) - _ramp(start_s + length_s, rate, edges_s))


def _ramp(from_s: Floats, rate: Floats, at_s: Floats) -> Floats:
    """Sum over all of `rate * max(at - from, 0)`."""
    order = np.argsort(from_s, kind="stable")
    begun = np.searchsorted(from_s[order], at_s)
    rates = np.concatenate(([0.0], np.cumsum(rate[order])))
    moments = np.concatenate(([0.0], np.cumsum((rate * from_s)[order])))
    ramp: Floats = at_s * rates[begun] - moments[begun]
    return ramp


def _fewest(arrival_s: Floats, due_s: Floats, work_s: Floats, slots: int, slot_s: float) -> Ints:
    """Earliest deadline first, slot by slot; work arrives at its slot's start and is due by its due slot's end."""
    arrived, due, amounts = _by_slot_and_due(arrival_s, due_s, work_s, slots, slot_s)
    replicas = np.ones(slots, dtype=np.int64)
    waiting: list[tuple[int, float]] = []  # due slot, work
    row = 0
    for slot in range(slots):
        while row < len(arrived) and arrived[row] == slot:
            heapq.heappush(waiting, (due[row], amounts[row]))
            row += 1
        urgent_s = 0.0
        while waiting and waiting[0][0] <= slot:
            urgent_s += heapq.heappop(waiting)[1]
        replicas[slot] = max(math.ceil(urgent_s / slot_s - _ROUNDING), 1)
        spare_s = replicas[slot] * slot_s - urgent_s
        while waiting and spare_s > 0.0:
            due_slot, left_s = heapq.heappop(waiting)
            if left_s > spare_s:
                heapq.heappush(waiting, (due_slot, left_s - spare_s))
            spare_s -= left_s
    return replicas


def _by_slot_and_due(
    arrival_s: Floats, due_s: Floats, work_s: Floats, slots: int, slot_s: float
) -> tuple[list[int], list[int], list[float]]:
    """Work added up by slot of arrival and slot of deadline, in order of arrival."""
    arrived = np.minimum((arrival_s // slot_s).astype(np.int64), slots - 1)
    due = (due_s // slot_s).astype(np.int64)
    span = int(due.max(initial=0)) + 1
    keys, places = np.unique(arrived * span + due, return_inverse=True)
    amounts = np.bincount(places, work_s, keys.size)
    return (keys // span).tolist(), (keys % span).tolist(), amounts.tolist()


def _slots(work: Work, slot_s: float) -> int:
    return max(math.ceil(work.duration_s / slot_s), 1)
