"""Gives a service back as it was before the first change from here, or its pools to another autoscaler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from autoscaler.core.policy import Role
from autoscaler.core.state import State
from autoscaler.daemon.memory import original_setting
from autoscaler.daemon.state_store import StateStore
from autoscaler.daemon.switching import setting_text
from autoscaler.targets.base import Outcome, Target
from autoscaler.targets.kubernetes.competitors import Competition
from autoscaler.targets.switch import Position, PrefillZeroSwitch, Switch, position_of

_TRIES = 3  # the count may change between a read and the write that follows
_SWITCH = "switch"
_AGAIN = "release again in a minute"


@dataclass(frozen=True, slots=True)
class Released:
    """What became of one pool, or of the switch.

    Attributes:
        subject: The role, or "switch".
        done: Whether it is given back; if not, the message says what to do.
        message: What was done, in words.
    """

    subject: str
    done: bool
    message: str


def release(
    service: str,
    target: Target,
    store: StateStore,
    competition: Mapping[Role, Competition],
    switch: Switch | None,
    now_s: float,
) -> list[Released]:
    """Give back the pools and the switch of a service: pools that grow, then the switch, then pools that shrink.

    A pool that another autoscaler scales is left to it, unless it is at 0: an HPA sleeps there until somebody wakes it.
    The switch waits until the replicas that its position needs are ready, and a release that moves it shrinks no pool:
    requests are under way, and KV is still fetched. What waits is done by the next release. What has been given back is
    forgotten, so that a later start takes the counts and the position of then for the original ones.

    Args:
        service: Its name.
        target: Where the counts are.
        store: Where the memory is.
        competition: Who else scales each pool.
        switch: The stack's switch; None where the policy leaves it alone.
        now_s: Unix time.

    Raises:
        StateStoreError: The memory cannot be read or written.
    """
    state = store.load(service, now_s)
    counts = {role: pool.current for role, pool in target.read().pools.items()}
    shrinking = [
        role for role in competition if role in state.originals and state.originals[role] < counts.get(role, 0)
    ]
    done = [_release(service, role, target, state, competition[role]) for role in competition if role not in shrinking]
    moved = _release_switch(switch, target, state)
    if moved is None:
        done += [_release(service, role, target, state, competition[role]) for role in shrinking]
    else:
        done.append(moved)
        done += [Released(role, done=False, message=f"shrinks after the switch: {_AGAIN}") for role in shrinking]
    given_back = {one.subject for one in done if one.done}
    kept = {role: count for role, count in state.originals.items() if role not in given_back}
    original_switch = state.original_switch if moved is not None and not moved.done else None
    if kept != state.originals or original_switch != state.original_switch:
        store.save(service, replace(state, originals=kept, original_switch=original_switch))
    return done


def _release_switch(switch: Switch | None, target: Target, state: State) -> Released | None:
    """Put the switch back; None where it is as it was, or comes with the prefill replicas."""
    if state.original_switch is None or isinstance(switch, PrefillZeroSwitch):
        return None
    setting = original_setting(state.original_switch)
    was = f"not given back: it was {setting_text(setting)}"
    if switch is None:
        message = f"{was}, and the policy names no switch any more: put spec.switch back"
        return Released(_SWITCH, done=False, message=message)
    shown = switch.read()
    if shown.position is not Position.UNKNOWN and setting in (shown.position, shown.threshold_tokens):
        return None
    missing = _missing(target, state, position_of(setting))
    if missing:
        return Released(_SWITCH, done=False, message=f"{was}; {missing}: {_AGAIN}")
    result = switch.set(setting, dry_run=False)
    if result.outcome is Outcome.APPLIED:
        return Released(_SWITCH, done=True, message=f"back to {setting_text(setting)}: {result.message}")
    return Released(_SWITCH, done=False, message=f"{was}; {result.message}")


def _missing(target: Target, state: State, position: Position) -> str:
    """Which replicas a position of the switch still waits for; empty for none."""
    role = Role.PREFILL if position is Position.ON else Role.DECODE
    pool = target.read().pools.get(role)
    needed = max(state.originals.get(role, 0), 1)
    if pool is None:
        return f"{role} cannot be read"
    return f"{role} has {pool.ready} of {needed} replicas ready" if pool.ready < needed else ""


def _release(service: str, role: Role, target: Target, state: State, competition: Competition) -> Released:
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
        if original is None and state == State():
            message = (
                f"stays at {current} replicas: nothing is remembered of {service} here; release with the same --state, "
                "--state-dir, --lease-namespace and --lease-name that the daemon was started with"
            )
            return Released(role, done=False, message=message)
        if original is None:
            return Released(
                role, done=True, message=f"stays at {current} replicas: no change from here is left to take back"
            )
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
