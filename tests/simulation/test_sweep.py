from __future__ import annotations

import multiprocessing
import time

from autoscaler.cli.engines import default_policy
from autoscaler.simulation.sweep import Case, sweep
from autoscaler.simulation.traces import Trace


def test_who_stops_a_sweep_does_not_wait_for_what_is_under_way() -> None:
    policies = {"chat": default_policy("llama-3.1-70b", "h100", 4, "2s", "50ms", "240s").core()}
    cases = [Case({}, policies, rate, 0) for rate in (1.0, 20_000.0, 20_000.0)]  # the second takes a minute
    played = sweep(cases, Trace.of(range(60), 200, 50), ())
    next(played)
    began_s = time.monotonic()

    played.close()  # type: ignore[attr-defined]  # a generator

    assert time.monotonic() - began_s < 20.0
    assert not multiprocessing.active_children()
