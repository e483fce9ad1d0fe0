"""Several roles behind one target, and roles that a person changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from autoscaler.core.policy import Role
from autoscaler.core.snapshot import PoolState
from autoscaler.targets.base import Outcome, PoolReading, WriteResult
from autoscaler.targets.fights import WINDOW_S
from autoscaler.targets.guarded import GuardedTarget
from autoscaler.targets.instructed import InstructedRole
from autoscaler.targets.kubernetes.aim import Limits
from autoscaler.targets.role import RoleOf, RoleReading, RoleTargets, UnreadableError


@dataclass
class Held:
    """A role's count in a variable."""

    current: int = 3
    blockers: tuple[str, ...] = ()
    error: str = ""
    outcome: Outcome = Outcome.APPLIED
    written: list[int] = field(default_factory=list)

    def read(self) -> RoleReading:
        if self.error:
            raise UnreadableError(self.error)
        return RoleReading(PoolState(self.current, self.current), f"v{self.current}", "hpa", self.blockers, 8.0)

    def write(self, replicas: int, *, basis: str, dry_run: bool) -> WriteResult:
        assert basis == f"v{self.current}"
        self.written.append(replicas)
        if not dry_run:
            self.current = replicas
        return WriteResult(Outcome.DRY_RUN if dry_run else self.outcome, "done")


def targets(roles: Mapping[Role, Held]) -> RoleTargets:
    return RoleTargets(roles, close=lambda: None)


def test_roles_of_different_kinds_are_read_together() -> None:
    prefill, decode = Held(2, blockers=("no",)), Held(4)

    reading = targets({Role.PREFILL: prefill, Role.DECODE: decode}).read()

    assert {role: pool.current for role, pool in reading.pools.items()} == {Role.PREFILL: 2, Role.DECODE: 4}
    assert reading.basis == {Role.PREFILL: "v2", Role.DECODE: "v4"}
    assert reading.writers == dict.fromkeys(reading.pools, "hpa")
    assert reading.blockers == {Role.PREFILL: ("no",)}
    assert reading.gpus_per_replica == dict.fromkeys(reading.pools, 8.0)


def test_a_role_that_cannot_be_read_leaves_the_others_alone() -> None:
    reading = targets({Role.PREFILL: Held(error="no such object"), Role.DECODE: Held(4)}).read()

    assert reading.errors == {Role.PREFILL: "no such object"}
    assert set(reading.pools) == {Role.DECODE}


def test_a_write_goes_to_its_role() -> None:
    prefill, decode = Held(2), Held(4)
    both = targets({Role.PREFILL: prefill, Role.DECODE: decode})

    both.write(Role.DECODE, 5, basis="v4", dry_run=False)

    assert (prefill.written, decode.written) == ([], [5])


def test_closing_lets_go_of_what_the_roles_share() -> None:
    closed: list[bool] = []

    RoleTargets({}, close=lambda: closed.append(True)).close()

    assert closed == [True]


class Counted:
    """A target whose counts come from metrics and cannot be written."""

    def read(self) -> PoolReading:
        return PoolReading({Role.DECODE: PoolState(4, 3)}, {Role.PREFILL: "no series"})

    def write(self, role: Role, replicas: int, *, basis: str, dry_run: bool) -> WriteResult:
        return WriteResult(Outcome.REJECTED, f"{role} {replicas} {basis} {dry_run}")

    def close(self) -> None:
        """Nothing to let go of."""


def test_a_role_of_another_target_is_read_through_it() -> None:
    assert RoleOf(Counted(), Role.DECODE).read().state == PoolState(4, 3)


def test_a_role_that_another_target_cannot_read_says_why() -> None:
    with pytest.raises(UnreadableError, match="no series"):
        RoleOf(Counted(), Role.PREFILL).read()


def test_a_role_that_another_target_does_not_have_is_said_so() -> None:
    with pytest.raises(UnreadableError, match="there is no aggregated pool"):
        RoleOf(Counted(), Role.AGGREGATED).read()


def instructed(reader: Held) -> InstructedRole:
    limits = Limits(1, 15, "the rate goes from 1 to 15")
    return InstructedRole(reader, limits.refusal, lambda now, then: f"change {now} to {then}")


def test_an_instruction_says_what_to_change_and_sends_nothing() -> None:
    reader = Held(3)
    role = instructed(reader)
    basis = role.read().basis

    result = role.write(5, basis=basis, dry_run=False)

    assert result == WriteResult(Outcome.INSTRUCTED, "change 3 to 5")
    assert reader.written == []


def test_an_instruction_keeps_the_limits() -> None:
    result = instructed(Held(3)).write(16, basis="v3", dry_run=False)

    assert result.outcome is Outcome.REFUSED
    assert "16 replicas are more than 15: the rate goes from 1 to 15" in result.message


@dataclass
class Guarded:
    """A guarded decode pool, and the hand of somebody else."""

    held: Held = field(default_factory=Held)
    now_s: float = 0.0

    def __post_init__(self) -> None:
        self.target = GuardedTarget(targets({Role.DECODE: self.held}), lambda: self.now_s)

    def write(self, replicas: int, *, dry_run: bool = False) -> WriteResult:
        reading = self.target.read()
        return self.target.write(Role.DECODE, replicas, basis=reading.basis[Role.DECODE], dry_run=dry_run)

    def fight(self) -> None:
        for _ in range(2):
            self.write(5)
            self.held.current = 4
            self.now_s += 15


def test_a_fight_stops_writing_and_says_with_whom() -> None:
    pool = Guarded()
    pool.fight()

    result = pool.write(5)

    assert (result.outcome, pool.held.current) == (Outcome.FROZEN, 4)
    assert "hpa changes the count back" in result.message
    assert "frozen: hpa" in pool.target.read().blockers[Role.DECODE][0]


def test_writing_goes_on_when_the_count_has_been_left_alone() -> None:
    pool = Guarded()
    pool.fight()
    pool.write(5)
    pool.now_s += WINDOW_S

    assert pool.write(5).outcome is Outcome.APPLIED


def test_closing_a_guarded_target_closes_the_target() -> None:
    closed: list[bool] = []

    GuardedTarget(RoleTargets({}, close=lambda: closed.append(True)), lambda: 0.0).close()

    assert closed == [True]


def test_a_dry_run_is_nothing_that_could_be_reverted() -> None:
    pool = Guarded()
    for _ in range(3):
        assert pool.write(5, dry_run=True).outcome is Outcome.DRY_RUN
        pool.now_s += 15

    assert pool.write(5).outcome is Outcome.APPLIED


def test_a_write_of_unknown_fate_blames_nobody() -> None:
    pool = Guarded(Held(outcome=Outcome.UNAVAILABLE))
    pool.write(4)
    pool.fight()

    assert pool.write(5).outcome is not Outcome.FROZEN


def test_other_blockers_stay_beside_the_freeze() -> None:
    pool = Guarded(Held(blockers=("no",)))
    pool.fight()

    assert [blocker.split(":")[0] for blocker in pool.target.read().blockers[Role.DECODE]] == ["no", "frozen"]


def test_a_pool_that_was_not_written_is_never_frozen() -> None:
    pool = Guarded()
    for current in (4, 5, 6):
        pool.held.current = current
        assert pool.target.read().blockers == {}
        pool.now_s += 15
