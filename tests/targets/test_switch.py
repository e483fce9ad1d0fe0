"""Switches without a field of their own: none, a person, the prefill count."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from autoscaler.core.policy import Role
from autoscaler.core.snapshot import PoolState
from autoscaler.targets.base import Outcome, PoolReading, WriteResult
from autoscaler.targets.switch import (
    ALWAYS_TOKENS,
    NEVER_TOKENS,
    InstructedSwitch,
    NoSwitch,
    Position,
    PrefillZeroSwitch,
    Setting,
    SwitchReading,
)


def test_no_switch_is_unknown_and_refused() -> None:
    switch = NoSwitch("this stack has none")

    assert switch.read() == SwitchReading(Position.UNKNOWN, None, "this stack has none", shown=False)
    assert switch.set(Position.ON, dry_run=False) == WriteResult(Outcome.REFUSED, "this stack has none")


def test_an_instruction_is_the_change_to_make() -> None:
    switch = InstructedSwitch({Position.ON: "set the header", Position.OFF: "drop the header"})

    assert switch.set(Position.OFF, dry_run=False) == WriteResult(Outcome.INSTRUCTED, "drop the header")
    assert switch.set(NEVER_TOKENS, dry_run=False).message == "drop the header"
    assert switch.set(512.0, dry_run=False).message == "set the header (threshold 512 tokens)"
    assert switch.read().position is Position.UNKNOWN


def test_an_instruction_for_nothing_is_refused() -> None:
    assert InstructedSwitch({}).set(Position.UNKNOWN, dry_run=False).outcome is Outcome.REFUSED


@dataclass
class Prefill:
    """A target with a prefill pool, or without one that can be read."""

    pool: PoolState | None
    written: list[tuple[Role, int, str, bool]] = field(default_factory=list)

    def read(self) -> PoolReading:
        if self.pool is None:
            return PoolReading({}, {Role.PREFILL: "HTTP 503"})
        return PoolReading({Role.PREFILL: self.pool}, basis={Role.PREFILL: "v1"})

    def write(self, role: Role, replicas: int, *, basis: str, dry_run: bool) -> WriteResult:
        self.written.append((role, replicas, basis, dry_run))
        return WriteResult(Outcome.APPLIED, "done")

    def close(self) -> None:
        """Nothing to let go of."""


@pytest.mark.parametrize(
    ("current", "ready", "position", "threshold_tokens"),
    [
        (2, 1, Position.ON, ALWAYS_TOKENS),
        (0, 0, Position.OFF, NEVER_TOKENS),
        (2, 0, Position.UNKNOWN, None),
        (0, 1, Position.UNKNOWN, None),
    ],
    ids=["ready", "none", "starting", "draining"],
)
def test_the_prefill_count_is_the_switch(
    current: int, ready: int, position: Position, threshold_tokens: float | None
) -> None:
    reading = PrefillZeroSwitch(Prefill(PoolState(current, ready))).read()

    assert (reading.position, reading.threshold_tokens) == (position, threshold_tokens)
    assert f"{current} prefill replicas asked for, {ready} ready" in reading.detail


def test_off_takes_prefill_to_zero() -> None:
    target = Prefill(PoolState(2, 2))

    result = PrefillZeroSwitch(target).set(Position.OFF, dry_run=True)

    assert result.outcome is Outcome.APPLIED
    assert target.written == [(Role.PREFILL, 0, "v1", True)]


@pytest.mark.parametrize(
    ("current", "setting", "outcome", "words"),
    [
        (2, Position.ON, Outcome.APPLIED, "the switch is on already: 2 prefill replicas"),
        (2, ALWAYS_TOKENS, Outcome.APPLIED, "the switch is on already"),
        (0, Position.OFF, Outcome.APPLIED, "the switch is off already"),
        (0, NEVER_TOKENS, Outcome.APPLIED, "the switch is off already"),
        (0, Position.ON, Outcome.REFUSED, "grow the prefill pool first"),
        (2, 512.0, Outcome.REFUSED, "no threshold of 512 tokens"),
    ],
)
def test_what_the_prefill_count_cannot_do_writes_nothing(
    current: int, setting: Setting, outcome: Outcome, words: str
) -> None:
    target = Prefill(PoolState(current, current))

    result = PrefillZeroSwitch(target).set(setting, dry_run=False)

    assert (result.outcome, target.written) == (outcome, [])
    assert words in result.message


def test_an_unknown_prefill_count_is_an_unknown_switch() -> None:
    switch = PrefillZeroSwitch(Prefill(None))

    assert switch.read() == SwitchReading(Position.UNKNOWN, None, "prefill replicas unknown: HTTP 503")
    assert switch.set(Position.OFF, dry_run=False).outcome is Outcome.UNAVAILABLE
