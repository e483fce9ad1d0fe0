"""Gives pools back: to the replica counts that they had before the first change from here, or to another autoscaler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from autoscaler.core.policy import Role
from autoscaler.core.state import State
from autoscaler.daemon.state_store import StateStore
from autoscaler.targets.base import Outcome, Target
from autoscaler.targets.kubernetes.competitors import Competition

_TRIES = 3  # the count may change between a read and the write that follows


@dataclass(frozen=True, slots=True)
class Released:
    """What became of one pool.

    Attributes:
        role: Which one.
        done: Whether it is given back; if not, the message says what to do.
        message: What was done, in words.
    """

    role: Role
    done: bool
    message: str


def release(
    service: str, target: Target, store: StateStore, competition: Mapping[Role, Competition], now_s: float
) -> list[Released]:
    """Give back the pools of a service, those that grow first.

    A pool that another autoscaler scales is left to it, unless it is at 0: an HPA sleeps there until somebody wakes it.
    What has been given back is forgotten, so that a later start takes the count of then for the original.

    Args:
        service: Its name.
        target: Where the counts are.
        store: Where the memory is.
        competition: Who else scales each pool.
        now_s: Unix time.

    Raises:
        StateStoreError: The memory cannot be read or written.
    """
    state = store.load(service, now_s)
    counts = {role: pool.current for role, pool in target.read().pools.items()}
    order = sorted(competition, key=lambda role: state.originals.get(role, 0) < counts.get(role, 0))
    done = [_release(role, target, state, competition[role]) for role in order]
    kept = {role: count for role, count in state.originals.items() if not any(_is(one, role) for one in done)}
    if kept != state.originals:
        store.save(service, replace(state, originals=kept))
    return done


def _is(one: Released, role: Role) -> bool:
    return one.done and one.role is role


def _release(role: Role, target: Target, state: State, competition: Competition) -> Released:
    original = state.originals.get(role)
    others = [f"{one.kind} {one.namespace}/{one.name}" for one in competition.conflicts]
    message = ""
    for _ in range(_TRIES):
        reading = target.read()
        if role not in reading.pools:
            return Released(
                role, done=False, message=f"cannot be read: {reading.errors.get(role, 'no reason is given')}"
            )
        current = reading.pools[role].current
        if others and current > 0:
            return Released(role, done=True, message=f"left at {current} replicas to {', '.join(others)}")
        if others:
            original = max(original or 0, 1)
        if original is None:
            return Released(role, done=True, message=f"stays at {current} replicas: it was never changed from here")
        if original == current:
            return Released(role, done=True, message=f"has its {original} replicas already")
        result = target.write(role, original, basis=reading.basis[role], dry_run=False)
        if result.outcome is Outcome.APPLIED:
            whose = f", for {', '.join(others)} to go on from" if others else ""
            return Released(role, done=True, message=f"back from {current} to {original} replicas{whose}")
        message = result.message
        if result.outcome is not Outcome.CONFLICT:
            break
    return Released(role, done=False, message=f"not given back: {message}")
