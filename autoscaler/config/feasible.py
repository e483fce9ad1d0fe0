"""Whether bounds, schedules, ratio band and GPU budget can all be met at any time of the week."""

from __future__ import annotations

import math
from collections.abc import Sequence

from autoscaler.config.refusal import Conflicts
from autoscaler.config.roles import Roles
from autoscaler.config.schedule import Bounds, Schedule, bounds_of, possible_winners
from autoscaler.core.policy import RatioBand, Role

_NOISE = 1e-9


def check_counts(
    conflicts: Conflicts, roles: Roles, schedules: Sequence[Schedule], band: RatioBand | None, max_gpus: float | None
) -> None:
    """Note every arrangement of bounds that no pair of counts meets: a decision would have to break one."""
    _check_names(conflicts, schedules)
    if _check_bounds(conflicts, roles, schedules):
        return
    guilty: set[int] = set()
    for index, prefill, decode in _arrangements(roles, schedules):
        found = None if index in guilty else _clash(roles, prefill, decode, band, max_gpus)
        if found is None:
            continue
        guilty.add(index)
        key, message, value, allowed = found
        if index < 0:
            conflicts.add(key, message=message, value=value, allowed=allowed)
            return  # every schedule would say the same
        when = f"has hours in which {key} {message}"
        conflicts.add("schedules", index, message=when, allowed=f"bounds that go with {key}")


def _check_names(conflicts: Conflicts, schedules: Sequence[Schedule]) -> None:
    names = [schedule.name for schedule in schedules]
    for index, name in enumerate(names):
        if name in names[:index]:
            conflicts.add("schedules", index, "name", message="is the name of another schedule", value=name)


def _check_bounds(conflicts: Conflicts, roles: Roles, schedules: Sequence[Schedule]) -> bool:
    """Note schedules whose bounds contradict each other, or those of the pool; says whether there are any."""
    wrong = False
    for index, schedule in enumerate(schedules):
        for role in schedule.by_role():
            found, place = _bounds(roles, role, schedule), ("schedules", index, role.value)
            if found.min_replicas > found.max_replicas:
                message = f"with the min of {found.min_replicas} that holds then leaves no count: max is less"
                conflicts.add(*place, message=message, value=f"max {found.max_replicas}")
                wrong = True
            elif role is Role.DECODE and found.min_replicas < 1:
                message = "leaves the service without a decode replica, and nothing would be served"
                conflicts.add(*place, "min", message=message, value="0", allowed=f"1 to {found.max_replicas}")
                wrong = True
    return wrong


def _arrangements(roles: Roles, schedules: Sequence[Schedule]) -> list[tuple[int, Bounds, Bounds]]:
    """Bounds of both pools that can hold together, each with the last schedule that has a part in it; -1 is none."""
    found = []
    for prefill, decode in possible_winners(schedules):
        last = max(schedules.index(item) if item is not None else -1 for item in (prefill, decode))
        found.append((last, _bounds(roles, Role.PREFILL, prefill), _bounds(roles, Role.DECODE, decode)))
    return sorted(found, key=lambda item: (item[0], item[1].schedule, item[2].schedule))


def _bounds(roles: Roles, role: Role, schedule: Schedule | None) -> Bounds:
    pool = roles.by_role()[role]
    return bounds_of(schedule, role, pool.min_replicas, pool.max_replicas)


def _clash(
    roles: Roles, prefill: Bounds, decode: Bounds, band: RatioBand | None, max_gpus: float | None
) -> tuple[str, str, str | None, str] | None:
    """Which key no pair of counts meets: its name, what is wrong, its value, and what may stand there."""
    prefill_counts = range(prefill.min_replicas, prefill.max_replicas + 1)
    pairs = [(p, d) for p in prefill_counts if (d := _least_decode(p, decode, band)) is not None]
    if not pairs:
        message = "leaves no pair of counts inside min and max of both pools"
        return "ratio", message, None, "a band that some pair of counts meets"
    least = min(p * roles.prefill.gpus_per_replica + d * roles.decode.gpus_per_replica for p, d in pairs)
    if max_gpus is not None and max_gpus < least:
        message = f"is less than the {least:g} GPUs of the smallest pools allowed"
        return "maxGpus", message, f"{max_gpus:g}", f"{least:g} or more"
    return None


def _least_decode(prefill: int, bounds: Bounds, band: RatioBand | None) -> int | None:
    """Fewest decode replicas that go with so many of prefill; None where no count does."""
    if band is None:
        return bounds.min_replicas
    least = max(bounds.min_replicas, math.ceil(prefill / band.max_ratio - _NOISE))
    return least if least <= bounds.max_replicas and band.holds(prefill, least) else None
