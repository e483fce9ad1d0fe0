"""`recommend --watch`: look again and again, as the daemon would, and show what it would do; writes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

from autoscaler.core.policy import Objectives
from autoscaler.daemon.clock import Clock
from autoscaler.daemon.service import ServiceRunner
from autoscaler.daemon.tick import Tick
from autoscaler.report.live import Moment, live_view

_QUIET_S = 300.0


def watch(
    runners: Sequence[ServiceRunner],
    objectives: Mapping[str, Objectives],
    clock: Clock,
    file: TextIO,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Tick]:
    """Show every service until the user interrupts; a terminal is redrawn, elsewhere a line tells each change.

    Args:
        runners: One per service; closed by the caller.
        objectives: What each service promises.
        clock: Where the time comes from.
        file: Where to show.
        sleep: Waits; a `KeyboardInterrupt` from it ends the watch.

    Returns:
        The last tick of each service.
    """
    started_s, ticks = clock.now_s(), list[Tick]()
    interval_s = min(runner.policy.interval_s for runner in runners)
    view = live_view(objectives, file, quiet_s=_QUIET_S)
    try:
        while True:
            ticks = [runner.tick(clock.now_s()) for runner in runners]
            view.show(_moment(ticks, clock.now_s() - started_s, interval_s))
            sleep(interval_s)
    except KeyboardInterrupt:
        return ticks
    finally:
        view.close()


def _moment(ticks: Sequence[Tick], elapsed_s: float, interval_s: float) -> Moment:
    decisions = tuple(tick.decision for tick in ticks if tick.decision is not None)
    wrong = dict.fromkeys(f"{tick.service}: {trouble.message}" for tick in ticks for trouble in tick.troubles)
    services = f"{len(ticks)} service{'' if len(ticks) == 1 else 's'}"
    facts = f"recommend only, nothing is written; {services}, every {interval_s:g} s; Ctrl-C ends it"
    return Moment(elapsed_s, decisions, facts, tuple(wrong))
