"""A switch, its pools and the stack that it moves, on a fake clock."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

from autoscaler.core.arrangement import Comparison
from autoscaler.core.decision import SwitchStep
from autoscaler.core.policy import SwitchPolicy
from autoscaler.core.snapshot import PoolState
from autoscaler.core.state import SwitchState
from autoscaler.core.switch import advance
from tests.support.core import START_S, Reading, snapshot

AUTO = SwitchPolicy()


TICK_S = 15.0


QUIET: dict[str, Reading] = {"prefill.queue_depth": 0.0, "prefill.in_flight": 0.0}


def needing(apart: float, together: float) -> Comparison:
    """GPUs of both arrangements, of four a replica; prefill takes a quarter of those that are apart."""
    return Comparison(apart, together, apart / 16.0, apart * 3 / 16.0, together / 4.0)


BETTER_TOGETHER = needing(16.0, 12.0)


BETTER_APART = needing(12.0, 16.0)


LEVEL = needing(16.0, 16.0)


@dataclass
class Machine:
    """A switch, its pools and the stack that it moves, on a fake clock."""

    policy: SwitchPolicy = AUTO
    comparison: Comparison | None = LEVEL
    on: bool | None = True
    obedient: bool = True
    prefill: PoolState = field(default_factory=lambda: PoolState(2, 2))
    decode: PoolState = field(default_factory=lambda: PoolState(4, 4))
    readings: dict[str, Reading] = field(default_factory=dict)
    memory: SwitchState = field(default_factory=SwitchState)
    now: float = START_S
    commands: list[bool | None] = field(default_factory=list)
    steps: list[SwitchStep] = field(default_factory=list)
    detail: str = ""
    gpus: tuple[float | None, float | None] = (None, None)

    def look(self) -> Self:
        """One decision, which the stack then obeys or not."""
        seen = replace(
            snapshot(self.readings, prefill=self.prefill, decode=self.decode, at_s=self.now), disaggregated=self.on
        )
        decided, self.memory = advance(self.policy, seen, self.comparison, self.memory, self.now)
        self.commands.append(decided.disaggregate)
        self.steps.append(decided.step)
        self.detail, self.gpus = decided.detail, (decided.apart_gpus, decided.together_gpus)
        if decided.disaggregate is not None and self.obedient:
            self.on = decided.disaggregate
        return self

    def wait(self, seconds: float) -> Self:
        """Look every quarter of a minute until so much time has passed."""
        until = self.now + seconds
        while self.now < until:
            self.now += TICK_S
            self.look()
        return self

    def grown(self, prefill: int, decode: int) -> Self:
        self.prefill, self.decode = PoolState(prefill, prefill), PoolState(decode, decode)
        return self

    @property
    def step(self) -> SwitchStep:
        return self.steps[-1]

    @property
    def visited(self) -> list[SwitchStep]:
        """The steps in order, each once."""
        return [step for index, step in enumerate(self.steps) if index == 0 or step is not self.steps[index - 1]]


def on(comparison: Comparison | None = LEVEL, policy: SwitchPolicy = AUTO) -> Machine:
    return Machine(policy, comparison).look()


def off(comparison: Comparison | None = LEVEL, policy: SwitchPolicy = AUTO) -> Machine:
    machine = Machine(policy, comparison, on=False)
    machine.prefill = PoolState(0, 0)
    return machine.look()
