"""What a decision remembers: small, versioned, serialisable, so that a restarted daemon goes on where it stopped."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autoscaler.core import codec
from autoscaler.core.calibration import Fit, check_fit
from autoscaler.core.decision import SwitchStep
from autoscaler.core.forecast import Forecast, check_forecast
from autoscaler.core.headroom import Headroom
from autoscaler.core.policy import Role
from autoscaler.core.supply import LONGEST_BACK_OFF_S, Shortage

STATE_VERSION = 1


class StateError(ValueError):
    """Stored state that cannot be used: corrupt, or of a version that this build does not know."""


@dataclass(frozen=True, slots=True)
class Timed:
    """A number at an instant (Unix seconds)."""

    at_s: float
    value: float


@dataclass(frozen=True, slots=True)
class Gauges:
    """Momentary load of a pool, kept to average it over the window of the latency signals.

    Attributes:
        at_s: Unix time.
        sequences: Requests in the batch, per ready replica.
        kv_tokens: Resident tokens, per ready replica.
    """

    at_s: float
    sequences: float
    kv_tokens: float


@dataclass(frozen=True, slots=True)
class RoleState:
    """Memory of one pool.

    Attributes:
        proposals: Numbers proposed within the longest window, oldest first.
        changes: Signed changes of the replica count within ten minutes, or the longest rate period if that is longer,
            oldest first.
        since_s: When this memory began; the pool does not shrink for one window after.
        seen_s: When the pool was last decided.
        decided: The number decided then, if it was a change.
        unusable_since_s: Since when no signal could be judged; None while some can.
        current: Replicas asked for at the last tick.
        ready: Replicas that served at the last tick.
        grown_at_s: When replicas last became ready; their first samples do not count.
        startup_times_s: Startup times seen, newest last.
        gauges: Load within the window of the latency signals.
        fit: What has been learned of the engine's timing.
        forecast: Memory of the demand.
        headroom: Margin on demand.
        shortage: Replicas that could not come.
        transfer_alone_s: Time per prompt token of a KV transfer that shares its link with no other.
        squares_ratio: Mean squared length of prompts over the square of the mean, averaged over an hour; None before
            any was seen.
    """

    proposals: tuple[Timed, ...] = ()
    changes: tuple[Timed, ...] = ()
    since_s: float | None = None
    seen_s: float | None = None
    decided: Timed | None = None
    unusable_since_s: float | None = None
    current: int | None = None
    ready: int | None = None
    grown_at_s: float | None = None
    startup_times_s: tuple[float, ...] = ()
    gauges: tuple[Gauges, ...] = ()
    fit: Fit | None = None
    forecast: Forecast = field(default_factory=Forecast)
    headroom: Headroom = field(default_factory=Headroom)
    shortage: Shortage = field(default_factory=Shortage)
    transfer_alone_s: float | None = None
    squares_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class SwitchState:
    """Memory of the disaggregation switch.

    Attributes:
        step: Where it stands; None before the first reading.
        since_s: When this step began.
        changed_at_s: When the position last changed, or a change was given up.
        better_since_s: Since when the other arrangement has been better by more than the dead zone.
        quiet_since_s: Since when prefill has been idle while draining.
        given_up: Whether the last change was given up, so that the switch is being set back.
        prefill_floor: Prefill replicas that the change needs.
        decode_floor: Decode replicas that the change needs.
    """

    step: SwitchStep | None = None
    since_s: float = 0.0
    changed_at_s: float | None = None
    better_since_s: float | None = None
    quiet_since_s: float | None = None
    given_up: bool = False
    prefill_floor: int = 0
    decode_floor: int = 0


@dataclass(frozen=True, slots=True)
class ThresholdState:
    """Memory of the prompt-length threshold.

    Attributes:
        tokens: Prompts at least this long are prefilled apart; None where none is.
        known: Whether the stack has shown where it stands; until then all prompts are taken to be prefilled apart.
        moving_to: Where it is to go once both pools can serve it; None while it rests.
        since_s: When it began to rest or to move.
        better_since_s: Since when another threshold has been cheaper by more than the dead zone.
        changed_at_s: When it last moved, or a move was given up.
        prefill_floor: Prefill replicas that the move needs.
        decode_floor: Decode replicas that the move needs.
    """

    tokens: float | None = 0.0
    known: bool = False
    moving_to: float | None = None
    since_s: float = 0.0
    better_since_s: float | None = None
    changed_at_s: float | None = None
    prefill_floor: int = 0
    decode_floor: int = 0

    @property
    def from_tokens(self) -> float:
        """Prompts at least this long are prefilled apart; infinite where none is."""
        return self.tokens if self.tokens is not None else math.inf


@dataclass(frozen=True, slots=True)
class OriginalSwitch:
    """Where the disaggregation switch stood before it was first moved from here.

    Attributes:
        disaggregated: Whether any request was prefilled apart.
        threshold_tokens: Prompts at least this long were; None where that is never, or the stack has no threshold.
    """

    disaggregated: bool
    threshold_tokens: float | None = None


@dataclass(frozen=True, slots=True)
class State:
    """Memory of one service.

    Attributes:
        started_at_s: When this memory began; nothing shrinks for one window after.
        decided_at_s: When the last decision was made; the same instant again changes nothing.
        roles: Memory per pool; under `aggregated`, what one pool for both phases would be asked for.
        switch: Memory of the disaggregation switch.
        threshold: Memory of the prompt-length threshold.
        originals: Replicas of each pool before it was first changed from here, for whoever wants them back.
        original_switch: The same of the switch; None while it was never moved from here.
    """

    started_at_s: float | None = None
    decided_at_s: float | None = None
    roles: Mapping[Role, RoleState] = field(default_factory=dict)
    switch: SwitchState = field(default_factory=SwitchState)
    threshold: ThresholdState = field(default_factory=ThresholdState)
    originals: Mapping[Role, int] = field(default_factory=dict)
    original_switch: OriginalSwitch | None = None

    @property
    def decode_does_prefill(self) -> bool:
        """Whether all prompts are prefilled where they are decoded, as the switch or the threshold stands."""
        return (self.switch.step or SwitchStep.ON).decode_does_prefill or math.isinf(self.threshold.from_tokens)


def to_json(state: State) -> dict[str, Any]:
    """Plain data of a state, ready for `json.dumps`."""
    return {"version": STATE_VERSION, **codec.encode(state)}


def from_json(data: object, now: float) -> State:
    """Read back what `to_json` wrote.

    Instants in the future (the clock was set back, or the state comes from another machine) are moved to `now`, so
    that no window can last longer than its length.

    Args:
        data: Parsed JSON.
        now: Unix time.

    Raises:
        StateError: Not a state, or of a version that this build does not know.
    """
    if not isinstance(data, dict) or "version" not in data:
        raise StateError("stored state is not a mapping with a version")
    if data["version"] != STATE_VERSION:
        raise StateError(f"stored state has version {data['version']}, this build knows {STATE_VERSION}")
    try:
        state = codec.decode(State, {name: value for name, value in data.items() if name != "version"})
        for memory in state.roles.values():
            check_fit(memory.fit)
            check_forecast(memory.forecast)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StateError(f"stored state is corrupt: {error}") from error
    return _not_after(state, now)


def _not_after(state: State, now: float) -> State:
    """Move every instant that lies in the future to now; what waits for its time in the future is dropped."""
    roles = {
        role: dataclasses.replace(
            memory,
            proposals=_clip(memory.proposals, now),
            changes=_clip(memory.changes, now),
            since_s=_earlier(memory.since_s, now),
            seen_s=_earlier(memory.seen_s, now),
            unusable_since_s=_earlier(memory.unusable_since_s, now),
            grown_at_s=_earlier(memory.grown_at_s, now),
            gauges=tuple(item for item in memory.gauges if item.at_s <= now),
            forecast=_forecast_not_after(memory.forecast, now),
            headroom=dataclasses.replace(memory.headroom, at_s=_earlier(memory.headroom.at_s, now)),
            shortage=dataclasses.replace(
                memory.shortage,
                since_s=_earlier(memory.shortage.since_s, now),
                until_s=_earlier(memory.shortage.until_s, now + LONGEST_BACK_OFF_S),
            ),
        )
        for role, memory in state.roles.items()
    }
    switch = dataclasses.replace(
        state.switch,
        since_s=min(state.switch.since_s, now),
        changed_at_s=_earlier(state.switch.changed_at_s, now),
        better_since_s=_earlier(state.switch.better_since_s, now),
        quiet_since_s=_earlier(state.switch.quiet_since_s, now),
    )
    threshold = dataclasses.replace(
        state.threshold,
        since_s=min(state.threshold.since_s, now),
        better_since_s=_earlier(state.threshold.better_since_s, now),
        changed_at_s=_earlier(state.threshold.changed_at_s, now),
    )
    return dataclasses.replace(
        state,
        started_at_s=_earlier(state.started_at_s, now),
        decided_at_s=_earlier(state.decided_at_s, now),
        roles=roles,
        switch=switch,
        threshold=threshold,
    )


def _forecast_not_after(memory: Forecast, now: float) -> Forecast:
    if memory.at_s is None or memory.at_s <= now:
        return memory
    began_s = _earlier(memory.began_s, now)
    return dataclasses.replace(memory, at_s=now, began_s=began_s, pending=(), lifted=())


def _earlier(at_s: float | None, now: float) -> float | None:
    return None if at_s is None else min(at_s, now)


def _clip(history: tuple[Timed, ...], now: float) -> tuple[Timed, ...]:
    return tuple(Timed(min(item.at_s, now), item.value) for item in history)
