"""What a tick has to tell people: what was scaled, what held a pool back, what went wrong. Made of its record alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from autoscaler.core.decision import Reason, RoleDecision, StageName, SwitchDecision, SwitchStep
from autoscaler.core.policy import Mode, Role
from autoscaler.daemon.tick import Tick
from autoscaler.report.words import binding_stage, reason_text, story_text
from autoscaler.targets.base import Outcome, WriteResult
from autoscaler.targets.switch import SwitchReading


class Topic(StrEnum):
    """What a notice is about; the reason of its Event. Closed: the documents list it."""

    SCALED = "Scaled"
    SCALE_CHECKED = "ScaleChecked"
    SCALE_CONFLICT = "ScaleConflict"
    SCALE_FAILED = "ScaleFailed"
    SWITCHING = "Switching"
    SWITCHED = "Switched"
    SWITCH_FAILED = "SwitchFailed"
    FROZEN = "Frozen"
    ACTION_NEEDED = "ActionNeeded"
    RECOMMENDED = "Recommended"
    LIMITED = "Limited"
    HELD = "Held"
    UNREADABLE = "Unreadable"


_OF_OUTCOME: Mapping[Outcome, Topic] = {
    Outcome.APPLIED: Topic.SCALED,
    Outcome.DRY_RUN: Topic.SCALE_CHECKED,
    Outcome.CONFLICT: Topic.SCALE_CONFLICT,
    Outcome.FROZEN: Topic.FROZEN,
    Outcome.INSTRUCTED: Topic.ACTION_NEEDED,
    Outcome.DEFERRED: Topic.HELD,
}
_FINE = frozenset(
    {
        Topic.SCALED,
        Topic.SCALE_CHECKED,
        Topic.SWITCHING,
        Topic.SWITCHED,
        Topic.ACTION_NEEDED,
        Topic.RECOMMENDED,
        Topic.HELD,
    }
)
_OF_SWITCH = {
    Outcome.FROZEN: Topic.FROZEN,
    Outcome.INSTRUCTED: Topic.ACTION_NEEDED,
    Outcome.DEFERRED: Topic.HELD,
}
AT_REST = frozenset({SwitchStep.ON, SwitchStep.OFF})
"""Steps at which the switch is not being moved."""
_LAST_STEPS = frozenset({(SwitchStep.OBSERVING, SwitchStep.ON), (SwitchStep.DRAINING_PREFILL, SwitchStep.OFF)})
_GIVEN_UP_OPEN = (SwitchStep.OPENING, SwitchStep.DRAINING_PREFILL)
_MOVED = frozenset({Outcome.APPLIED, Outcome.DRY_RUN})
LIMITS = frozenset({StageName.RATE, StageName.BOUNDS, StageName.RATIO, StageName.BUDGET, StageName.CAPACITY})
"""Stages that keep a pool from the replicas it wants; the others wait, or do as somebody asked."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell.

    Attributes:
        service: Whose it is.
        role: Which pool's; None for the switch.
        topic: What it is about.
        cause: What makes two notices of a topic the same one, whatever numbers their messages carry.
        message: In words, with the numbers.
    """

    service: str
    role: Role | None
    topic: Topic
    cause: str
    message: str

    @property
    def is_warning(self) -> bool:
        """Whether somebody should look."""
        return self.topic not in _FINE


def notices_of(tick: Tick) -> Iterator[Notice]:
    """What a tick has to tell; nothing for a pool that has what it needs."""
    if tick.decision is None:
        return
    for role, why in tick.decision.undecided.items():
        yield Notice(tick.service, role, Topic.UNREADABLE, "replicas", f"{role} cannot be decided: {why}")
    for role, decided in tick.decision.roles.items():
        told = _of_write(role, decided, tick.writes.get(role), tick.at_s) or _of_rest(role, decided, tick.decision.mode)
        if told is not None:
            yield Notice(tick.service, role, *told)
    if tick.decision.switch is not None:
        if tick.switch is not None and tick.switch.is_unread:
            unread = f"the switch {unread_text(tick.decision.switch, tick.switch)}"
            yield Notice(tick.service, None, Topic.UNREADABLE, "switch", unread)
        told = _of_switch(tick.decision.switch, tick, tick.decision.mode)
        if told is not None:
            yield Notice(tick.service, None, *told)


def unread_text(decided: SwitchDecision, shown: SwitchReading) -> str:
    """What a switch that cannot be read is taken for, and why it cannot."""
    return f"cannot be read, and is taken to be {decided.step.value.replace('_', ' ')}: {shown.detail}"


_Told = tuple[Topic, str, str]


def _of_write(role: Role, decided: RoleDecision, written: WriteResult | None, at_s: float) -> _Told | None:
    if written is None:
        return None
    topic = _OF_OUTCOME.get(written.outcome, Topic.SCALE_FAILED)
    step = f"{role} from {decided.current} to {decided.desired} replicas"
    if topic is Topic.SCALED:
        return topic, f"at {at_s}", f"scaled {step}: {story_text(decided)}"  # each one counts
    return topic, written.outcome.value, f"{step}: {written.message}"


def _of_switch(decided: SwitchDecision, tick: Tick, mode: Mode) -> _Told | None:
    """What there is to tell of the switch: how a move ended, that one failed, each step of one."""
    result, step = tick.switched, decided.step
    came_to_rest = step in AT_REST and tick.stood is not None and tick.stood not in AT_REST
    if came_to_rest and mode is not Mode.RECOMMEND:
        done = (tick.stood, step) in _LAST_STEPS
        words = f"the switch {'is' if done else 'stays'} {step.value}: {decided.detail}"
        return Topic.SWITCHED if done else Topic.SWITCH_FAILED, f"at {tick.at_s}", words  # each one counts
    if (tick.stood, step) == _GIVEN_UP_OPEN and mode is not Mode.RECOMMEND:
        return Topic.SWITCH_FAILED, f"at {tick.at_s}", f"the switch stays off: {decided.detail}"
    if result is not None and result.outcome not in _MOVED:
        topic = _OF_SWITCH.get(result.outcome, Topic.SWITCH_FAILED)
        return topic, result.outcome.value, f"the switch is not moved: {result.message}"
    if step in AT_REST:
        return None
    words = f"{step.value.replace('_', ' ')}: {decided.detail}"
    if mode is Mode.RECOMMEND:
        return Topic.RECOMMENDED, step.value, f"the switch should be moved, {words}"
    return Topic.SWITCHING, step.value, f"the switch is moved, {words}{f'; {result.message}' if result else ''}"


def _of_rest(role: Role, decided: RoleDecision, mode: Mode) -> _Told | None:
    if decided.changed:
        if mode is not Mode.RECOMMEND:
            return None
        step = f"{decided.current} to {decided.desired}"
        return Topic.RECOMMENDED, step, f"{role} should go from {step} replicas: {story_text(decided)}"
    binding = binding_stage(decided)
    if decided.uncapped != decided.current and binding.reason is not Reason.WITHIN_TOLERANCE:
        limited = decided.uncapped > decided.current and binding.stage in LIMITS
        why = f"{decided.uncapped} were proposed: {reason_text(decided)}"
        message = f"{role} stays at {decided.current} replicas, {why}"
        return Topic.LIMITED if limited else Topic.HELD, binding.reason.value, message
    if binding.reason is Reason.SIGNALS_UNUSABLE:
        return Topic.HELD, binding.reason.value, f"{role} stays at {decided.current} replicas: {reason_text(decided)}"
    return None
