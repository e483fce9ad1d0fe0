"""The same replay under many settings, on all cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any

from autoscaler.core.policy import ServicePolicy
from autoscaler.simulation.replay import replay
from autoscaler.simulation.run import PolicyAt
from autoscaler.simulation.traces import Trace
from autoscaler.simulation.traces.reshape import times


@dataclass(frozen=True, slots=True)
class Case:
    """One combination of settings.

    Attributes:
        settings: What was varied, in words: `{"startup": "60s"}`.
        policies: The policies with these settings, by name.
        rate: Times the rate of the load.
        seed: Of everything random.
        at: What holds of a policy when, by its name.
    """

    settings: Mapping[str, str]
    policies: Mapping[str, ServicePolicy]
    rate: float
    seed: int
    at: Mapping[str, PolicyAt] = field(default_factory=dict)


Rows = list[dict[str, Any]]


def sweep(cases: Sequence[Case], trace: Trace, against: Sequence[str]) -> Iterator[tuple[int, Rows]]:
    """Play every case, each in a process of its own pool; cases come back as they are done.

    Args:
        cases: What to play.
        trace: The load, before any case's rate.
        against: Baselines to play beside the policies of each case.

    Yields:
        The place of a case, and its rows, each with the settings after the policy's name.

    Raises:
        SimulationError: A case cannot be played.
    """
    # Spawned, not forked: threads of numerical libraries do not survive a fork.
    context = multiprocessing.get_context("spawn")
    workers = min(os.cpu_count() or 1, len(cases))
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        # Workers inherit the mask: Ctrl-C, which reaches them too, is ours to answer.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            running = {pool.submit(play, case, trace, tuple(against)): place for place, case in enumerate(cases)}
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        try:
            for done in as_completed(running):
                yield running[done], done.result()
        except BaseException:
            # Interrupted, refused, or nobody wants more: what is under way would go on for minutes.
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()
                worker.join()
            raise


def at_rate(trace: Trace, rate: float, seed: int) -> Trace:
    """So many times a load; once it is the load itself."""
    return trace if rate == 1.0 else times(trace, rate, seed)


def play(case: Case, trace: Trace, against: Sequence[str]) -> Rows:
    """The rows of one case."""
    load = at_rate(trace, case.rate, case.seed)
    record = replay(case.policies, load, against=against, seed=case.seed, at=case.at).record()
    return [{"policy": row.pop("policy"), **case.settings, **row} for row in record["rows"]]
