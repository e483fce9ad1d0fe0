from __future__ import annotations

import io

from autoscaler.cli.watch import watch
from autoscaler.core.policy import Mode
from autoscaler.daemon.tick import Tick
from tests.daemon.builders import Bench, HandClock, blind_signals, policy, role_policy


class Wait:
    """Lets the clock pass, and interrupts after some looks."""

    def __init__(self, clock: HandClock, looks: int) -> None:
        self.clock = clock
        self.left = looks

    def __call__(self, seconds: float) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        self.clock.at_s += seconds


def watched(bench: Bench, looks: int) -> tuple[list[Tick], list[str]]:
    clock, file = HandClock(), io.StringIO()
    objectives = {bench.runner.policy.service: bench.runner.policy.objectives}
    ticks = watch([bench.runner], objectives, clock, file, sleep=Wait(clock, looks))
    return ticks, file.getvalue().splitlines()


def test_it_looks_at_every_interval_and_tells_a_change_once() -> None:
    ticks, lines = watched(Bench(policy(Mode.RECOMMEND, prefill=role_policy(3))), looks=4)

    assert ticks[0].at_s == HandClock().at_s + 3 * 15.0
    assert [line.split("  ")[1] for line in lines] == ["prefill 2 -> 3"]


def test_it_tells_the_state_of_things_at_once_and_then_now_and_again() -> None:
    _, lines = watched(Bench(policy(Mode.RECOMMEND, prefill=role_policy(2), decode=role_policy(2))), looks=25)

    assert [line[:8] for line in lines] == ["00:00:00", "00:05:00"]
    assert "nothing is written" in lines[0]


def test_what_is_wrong_is_told() -> None:
    bench = Bench(policy(Mode.RECOMMEND))
    bench.source.signals = blind_signals()

    _, lines = watched(bench, looks=1)

    assert any("refused the connection" in line for line in lines)


def test_nothing_is_written() -> None:
    bench = Bench(policy(Mode.RECOMMEND, prefill=role_policy(3)))

    watched(bench, looks=3)

    assert bench.target.writes == []
