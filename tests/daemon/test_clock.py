from __future__ import annotations

import pytest

from autoscaler.daemon.clock import SteadyClock


class Hands:
    wall_s = 1_700_000_000.0
    monotonic_s = 50.0


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def clock(hands: Hands) -> SteadyClock:
    return SteadyClock(lambda: hands.wall_s, lambda: hands.monotonic_s)


def test_time_goes_by_the_monotonic_clock(clock: SteadyClock, hands: Hands) -> None:
    hands.monotonic_s += 15.0

    assert clock.now_s() == 1_700_000_015.0


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
def test_a_wall_clock_that_is_set_does_not_move_time_but_is_noticed(
    clock: SteadyClock, hands: Hands, jump_s: float
) -> None:
    hands.wall_s += jump_s

    assert clock.now_s() == 1_700_000_000.0
    assert clock.wall_ahead_s() == jump_s


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
def test_an_instant_is_told_as_the_wall_clock_has_it_now(clock: SteadyClock, hands: Hands, jump_s: float) -> None:
    at_s = clock.now_s()

    hands.wall_s += jump_s + 5.0
    hands.monotonic_s += 5.0

    assert clock.wall_s(at_s) == at_s + jump_s


def test_the_real_clock_starts_at_the_wall_clock() -> None:
    assert abs(SteadyClock().wall_ahead_s()) < 1.0
