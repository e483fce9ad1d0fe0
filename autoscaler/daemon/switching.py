"""The stack's switch at each tick: read with the counts, moved after them, never in their way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from autoscaler.core.decision import Decision, SwitchDecision, SwitchStep
from autoscaler.core.policy import Disaggregation, Mode, Role, ServicePolicy
from autoscaler.core.signals import Scope
from autoscaler.core.snapshot import Snapshot
from autoscaler.daemon.leadership import LED_BY_ANOTHER
from autoscaler.targets.base import Outcome, PoolReading, Target, WriteResult
from autoscaler.targets.fights import WINDOW_S, WriteMemory, explain, lost_track, observe, wrote
from autoscaler.targets.switch import InstructedSwitch, Position, Setting, Switch, SwitchReading, same_setting

_TOLD = {Position.ON: Disaggregation.ON, Position.OFF: Disaggregation.OFF}
_DISAGGREGATED = {Position.ON: True, Position.OFF: False, Position.UNKNOWN: None}
_SLACK = 1.5  # growing before a move, and watching after it, take their time beside the dwell


def _nothing() -> None:
    return


@dataclass(frozen=True, slots=True)
class StackSwitch:
    """How to get at the stack's switch.

    Attributes:
        make: Makes it; a switch that is a replica count reads and writes it through the target given.
        close: Lets go of its connections.
        others: Who else moves it and how to proceed; asked before each move.
    """

    make: Callable[[Target], Switch]
    close: Callable[[], None] = _nothing
    others: Callable[[], tuple[str, ...]] = tuple


class RecalledTarget:
    """The counts as they were read last; writes go through. Implements `targets.base.Target`.

    A switch that is a replica count then sees what the tick decides on, and writes on the same basis.

    Args:
        target: The target to write.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self.reading = PoolReading({})

    def read(self) -> PoolReading:
        """The last reading; see `Target.read`."""
        return self.reading

    def write(self, role: Role, replicas: int, *, basis: str, dry_run: bool) -> WriteResult:
        """Set one pool's replica count; see `Target.write`."""
        return self._target.write(role, replicas, basis=basis, dry_run=dry_run)

    def close(self) -> None:
        """The target is closed by whoever owns it."""


class SwitchHand:
    """Reads and moves one switch; whatever goes wrong with it becomes words.

    It moves nothing that others move: those who can be found beforehand are named, and who moves it back twice after it
    was moved here freezes it, as with counts (`targets.fights`).

    Args:
        switch: How to get at it.
        target: Where replica counts are written.
        clock_s: Seconds that never go backwards.
        window_s: How long a foreign move is remembered.
        may_write: Whether we are the one who moves it; asked once others have been looked for, which may take a while.
    """

    def __init__(
        self,
        switch: StackSwitch,
        target: Target,
        clock_s: Callable[[], float] = lambda: 0.0,
        window_s: float = WINDOW_S,
        *,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        self._target = RecalledTarget(target)
        self._switch = switch.make(self._target)
        self._others = switch.others
        self._clock_s = clock_s
        self._window_s = window_s
        self._may_write = may_write
        self._memory: WriteMemory[Setting] = WriteMemory()
        self._shown_tokens: float | None = None

    def read(self, counts: PoolReading) -> SwitchReading:
        """Read the switch, given the counts as this tick has read them; a frozen one says so."""
        shown = self._read(counts)
        if shown.written is not None:
            self._memory = observe(
                self._memory,
                shown.written,
                shown.writer,
                self._clock_s(),
                window_s=self._window_s,
                same=same_setting,
            )
        frozen = self._frozen()
        return replace(shown, detail=f"{shown.detail}; {frozen}") if frozen else shown

    def give_way(self, policy: ServicePolicy, shown: SwitchReading) -> ServicePolicy:
        """The policy; while the switch is frozen, with whoever moves it having the word on where it stands."""
        told = _TOLD.get(shown.position)
        if policy.switch is None or told is None or not self._memory.frozen:
            return policy
        chosen = policy.switch.disaggregation is Disaggregation.THRESHOLD
        if chosen and told is Disaggregation.ON and shown.threshold_tokens is not None:
            # Which prompts go apart stays known, so that decode is sized for those that do not.
            return replace(policy, switch=replace(policy.switch, thresholds_tokens=(shown.threshold_tokens,)))
        return replace(policy, switch=replace(policy.switch, disaggregation=told))

    def worded(self, decision: Decision) -> Decision:
        """The decision; while the switch is frozen, with that as why it stays, and not the policy's word."""
        frozen = self._frozen()
        if decision.switch is None or not frozen:
            return decision
        return replace(decision, switch=replace(decision.switch, detail=frozen))

    def _read(self, counts: PoolReading) -> SwitchReading:
        self._target.reading = counts
        self._shown_tokens = None
        try:
            shown = self._switch.read()
        except Exception as error:  # noqa: BLE001 - a defect in a switch must not keep the counts from being set
            return SwitchReading(Position.UNKNOWN, None, f"{error!r}; this is a defect, please report it")
        self._shown_tokens = shown.threshold_tokens if shown.position is not Position.UNKNOWN else None
        return shown

    def move(self, decided: SwitchDecision, mode: Mode) -> WriteResult | None:
        """Set the switch where the decision wants it set now; what nobody but a person can do is only told."""
        if decided.step is SwitchStep.GROWING_PREFILL:
            self._memory = lost_track(self._memory)  # where no prefill is off, growing it is on
        setting = setting_of(decided)
        if setting is None or setting == self._shown_tokens:
            return None
        if mode is Mode.RECOMMEND and not isinstance(self._switch, InstructedSwitch):
            return None
        frozen = self._frozen()
        if frozen:
            return WriteResult(Outcome.FROZEN, frozen)
        others = self._others()
        if others:
            return WriteResult(Outcome.REFUSED, "; ".join(others))
        if not self._may_write():
            return LED_BY_ANOTHER
        result = self._set(setting, dry_run=mode is not Mode.ENFORCE)
        if result.outcome is Outcome.APPLIED:
            self._memory = wrote(self._memory, setting)
        elif result.outcome is Outcome.UNAVAILABLE:
            self._memory = lost_track(self._memory)
        return result

    def _set(self, setting: Setting, *, dry_run: bool) -> WriteResult:
        try:
            return self._switch.set(setting, dry_run=dry_run)
        except Exception as error:  # noqa: BLE001 - a defect in a switch must not keep the counts from being set
            return WriteResult(Outcome.UNAVAILABLE, f"{error!r}; this is a defect, please report it")

    def _frozen(self) -> str:
        """Why the switch is not moved any more; empty where it is."""
        return explain(self._memory, self._clock_s(), what="the switch", window_s=self._window_s)


def fight_window_s(policy: ServicePolicy) -> float:
    """How long a foreign move of the switch is remembered: a change comes after a dwell at the soonest, so for two."""
    dwell_s = policy.switch.dwell_s if policy.switch is not None else 0.0
    return max(WINDOW_S, 2 * _SLACK * dwell_s)


def setting_of(decided: SwitchDecision) -> Setting | None:
    """What a decision wants the switch to be now: a position or a threshold; None leaves it."""
    if decided.threshold_tokens is not None:
        return decided.threshold_tokens
    return None if decided.disaggregate is None else Position.ON if decided.disaggregate else Position.OFF


def setting_text(setting: Setting | None) -> str:
    """A setting in a few words."""
    if setting is None:
        return "stays"
    return setting.value if isinstance(setting, Position) else f"{setting:g} tokens"


def with_position(snapshot: Snapshot, reading: SwitchReading) -> Snapshot:
    """The snapshot with the switch's position; where the stack shows none, as the traffic tells."""
    told = _DISAGGREGATED[reading.position]
    seen = told if reading.shown else _seen_in_traffic(snapshot)
    return replace(snapshot, disaggregated=seen, threshold_tokens=reading.threshold_tokens)


def _seen_in_traffic(snapshot: Snapshot) -> bool | None:
    """Requests go through prefill, or they do not although decode has some; None where neither can be said."""
    prefill = snapshot.usable(Scope.PREFILL, "request_rate")
    decode = snapshot.usable(Scope.DECODE, "request_rate")
    pool = snapshot.pools.get(Role.PREFILL)
    if pool is not None and not pool.current and not pool.ready:
        prefill = 0.0
    if prefill is None or not decode:
        return None
    if prefill == 0:
        return False
    return True if prefill > decode / 2 else None
