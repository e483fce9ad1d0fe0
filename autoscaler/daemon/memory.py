"""The memory of a service between ticks: which one to go on from, and what was there before the first change."""

from __future__ import annotations

from dataclasses import replace

from autoscaler.core.decision import Decision
from autoscaler.core.policy import Mode, Role
from autoscaler.core.state import OriginalSwitch, State
from autoscaler.daemon.switching import setting_of
from autoscaler.targets.switch import NEVER_TOKENS, Position, Setting, SwitchReading

# A memory older than this when it is read has missed a tick, and with it what was needed then.
_WHOLE_INTERVALS = 1.5


def later(own: State | None, kept: State) -> State:
    """The one that knows more; of what was there before, only who leads knows, and what they keep says."""
    if own is None or own.decided_at_s is None:
        return kept
    newer = own if kept.decided_at_s is None or own.decided_at_s > kept.decided_at_s else kept
    originals = {**own.originals, **kept.originals}
    return replace(newer, originals=originals, original_switch=kept.original_switch or own.original_switch)


def whole(state: State, now_s: float, interval_s: float) -> State:
    """A memory that has missed a tick begins its windows anew: nothing shrinks before one has passed."""
    if state.decided_at_s is None or now_s - state.decided_at_s <= _WHOLE_INTERVALS * interval_s:
        return state
    return replace(state, roles={role: replace(memory, since_s=now_s) for role, memory in state.roles.items()})


def forgotten(state: State) -> State:
    """A new memory that keeps nothing but what was there before the first change, for whoever wants that back."""
    return State(originals=state.originals, original_switch=state.original_switch)


def as_standby(state: State, now_s: float) -> State:
    """What a standby would have done now is not done: a change that another makes counts from when it is seen.

    What is kept of a leader's decision stays, for a pool that could not be read.
    """
    roles = {
        role: replace(memory, decided=None) if memory.decided is not None and memory.decided.at_s == now_s else memory
        for role, memory in state.roles.items()
    }
    return replace(state, roles=roles)


def with_originals(state: State, decision: Decision, shown: SwitchReading | None) -> State:
    """Remember what pools and switch were before they are changed for the first time.

    Closing the switch may empty prefill, without a decision that says so.
    """
    if decision.mode is not Mode.ENFORCE:
        return state
    emptied = {Role.PREFILL} if decision.switch is not None and decision.switch.disaggregate is False else set()
    changed = {role: made.current for role, made in decision.roles.items() if made.changed or role in emptied}
    switch = state.original_switch or _original_switch(decision, shown)
    if changed.keys() <= state.originals.keys() and switch is state.original_switch:
        return state
    return replace(state, originals={**changed, **state.originals}, original_switch=switch)


def original_setting(switch: OriginalSwitch) -> Setting:
    """What to set the switch to, so that it is as it was."""
    if not switch.disaggregated:
        return Position.OFF
    return Position.ON if switch.threshold_tokens is None else switch.threshold_tokens


def _original_switch(decision: Decision, shown: SwitchReading | None) -> OriginalSwitch | None:
    """Where a switch stands that is to be moved; None where it is not, or nobody can tell."""
    if shown is None or decision.switch is None or setting_of(decision.switch) is None:
        return None
    if shown.position is Position.UNKNOWN:
        return None
    tokens = shown.threshold_tokens
    return OriginalSwitch(shown.position is Position.ON, None if tokens == NEVER_TOKENS else tokens)
