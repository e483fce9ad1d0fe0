"""Whole runs: determinism, results, controllers, and the same numbers with and without the compiler."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from autoscaler.core.policy import Role, RolePolicy, ServicePolicy
from autoscaler.core.snapshot import Snapshot
from autoscaler.simulation import fleet as fleet_module
from autoscaler.simulation import pages as pages_module
from autoscaler.simulation import service as service_module
from autoscaler.simulation.config import Lost, Routing
from autoscaler.simulation.engine.compiled import COMPILES
from autoscaler.simulation.faults import ReplicaDeath
from autoscaler.simulation.results import Action, Results, count_reversals
from autoscaler.simulation.run import Memory, run
from autoscaler.simulation.service import Service
from autoscaler.simulation.traces import Trace
from tests.simulation.services import ENGINE, played, pool, split
from tests.support.core import service_policy


def busy_trace(requests: int = 400, duration_s: float = 100.0) -> Trace:
    rng = np.random.default_rng(8)
    arrival_s = np.sort(rng.uniform(0.0, duration_s, requests))
    return Trace.of(arrival_s, rng.integers(1, 900, requests), rng.integers(1, 200, requests), duration_s=duration_s)


def sway(snapshot: Snapshot, memory: Memory, now_s: float) -> Mapping[Role, int]:
    """Between one and three replicas, changing every minute."""
    del snapshot, memory
    wanted = 1 + int(now_s // 60) % 3
    return {Role.PREFILL: wanted, Role.DECODE: 4 - wanted}


def eventful_run(seed: int = 0) -> Results:
    config = split(
        pool(startup_sigma=0.15, startup_time_s=20.0, link_bytes_per_s=5e9),
        pool(engine=ENGINE, startup_sigma=0.15, startup_time_s=20.0, link_bytes_per_s=5e9),
        disaggregate_from_tokens=100.0,
        lost=Lost.RETRY,
        drain_grace_s=30.0,
    )
    return run(sway, config, busy_trace(), seed=seed, faults=(ReplicaDeath(Role.DECODE, 33.0),))


def fingerprint(results: Results) -> str:
    digest = hashlib.sha256()
    requests = results.requests
    for column in (requests.finish_s, requests.ttft_s, requests.tpot_s, requests.preemptions, requests.retries):
        digest.update(np.ascontiguousarray(column).tobytes())
    digest.update(repr((results.gpu_hours, results.actions, results.replicas)).encode())
    return digest.hexdigest()


def test_one_seed_gives_one_result() -> None:
    assert fingerprint(eventful_run(1)) == fingerprint(eventful_run(1))


def test_another_seed_gives_another_result() -> None:
    assert fingerprint(eventful_run(1)) != fingerprint(eventful_run(2))


def test_small_steps_lead_to_the_same_place_as_one_large_one() -> None:
    stepped, at_once = Service(split(), busy_trace()), Service(split(), busy_trace())
    for service in (stepped, at_once):
        service.inject(ReplicaDeath(Role.DECODE, 20.0))
        service.scale(Role.DECODE, 2)
    for at_s in np.arange(0.0, 500.0, 0.13):
        stepped.advance_to(float(at_s))
    at_once.advance_to(stepped.now_s)

    assert fingerprint(stepped.finish()) == fingerprint(at_once.finish())


def test_results_are_the_same_without_the_compiler() -> None:
    script = (
        "import sys; sys.modules['numba'] = None\n"
        "from autoscaler.simulation.engine.compiled import COMPILES\n"
        "from tests.simulation.test_sim_run import eventful_run, fingerprint\n"
        "assert not COMPILES\n"
        "print(fingerprint(eventful_run()))\n"
    )

    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)

    assert answer.stdout.strip() == fingerprint(eventful_run())


@pytest.mark.parametrize("module", [fleet_module, pages_module, service_module])
def test_python_calls_only_functions_that_were_compiled_to_be_called(module: ModuleType) -> None:
    options = [found.targetoptions for found in vars(module).values() if hasattr(found, "targetoptions")]

    assert len(options) >= 2 or not COMPILES
    assert not any(option.get("no_cpython_wrapper") for option in options)


def test_attainment_counts_requests_that_keep_both_objectives() -> None:
    slow_prefill = Trace.of([0.0, 100.0, 200.0, 300.0], [100, 2500, 100, 8000], [10, 10, 1, 1])

    results = played(split(), slow_prefill).finish()

    assert results.requests.in_time.tolist() == [True, False, True, False]
    assert results.attainment_ratio == 0.5
    assert np.isnan(results.requests.tpot_s).tolist() == [False, False, True, True]


def test_unfinished_requests_are_misses() -> None:
    service = Service(split(), Trace.of([0.0, 1.0], 100, [5, 5000]))
    service.advance_to(10.0)

    results = service.finish()

    assert (results.finished, results.unfinished, results.attainment_ratio) == (1, 1, 0.5)


def test_a_service_can_be_summed_up_before_it_begins() -> None:
    results = Service(split(), busy_trace()).finish()

    assert (results.arrived, results.attainment_ratio, results.gpu_hours, results.violation_s) == (0, 1.0, 0.0, 0.0)
    assert np.isnan(results.ttft_s[95])


def test_reversals_are_turns_of_one_pool_within_ten_minutes() -> None:
    def up(at_s: float, role: Role = Role.PREFILL) -> Action:
        return Action(at_s, role, 2, 3)

    def down(at_s: float, role: Role = Role.PREFILL) -> Action:
        return Action(at_s, role, 3, 2)

    assert count_reversals([up(0), down(600), up(700)]) == 2
    assert count_reversals([up(0), down(601), down(602)]) == 0
    assert count_reversals([up(0), down(10, Role.DECODE), up(20)]) == 0


def test_violations_are_counted_by_minute_and_the_worst_five_minutes_found() -> None:
    good = [float(at_s) for at_s in range(0, 1200, 10)]
    bad = [at_s for at_s in good if 300 <= at_s < 360]
    prompts = [8000 if at_s in bad else 10 for at_s in good]
    config = split(pool(20))

    results = run(lambda _snapshot, _memory, _now_s: {}, config, Trace.of(good, prompts, 5, duration_s=1200.0))

    assert results.violation_s == 60.0
    assert results.worst_5min_ratio == pytest.approx(0.8)
    assert results.attainment_ratio == pytest.approx(0.95)


def test_a_run_waits_for_its_last_requests_but_not_for_ever() -> None:
    done = run(lambda _snapshot, _memory, _now_s: {}, split(), Trace.of([10.0], 100, 1000))
    stuck = run(lambda _snapshot, _memory, _now_s: {}, split(decode=pool(0)), Trace.of([10.0], 100, 10), tail_s=50.0)

    assert (done.unfinished, done.duration_s) == (0, 30.0)
    assert (stuck.unfinished, stuck.duration_s) == (1, 60.0)


def test_a_controller_sees_the_snapshot_of_now_and_its_own_memory() -> None:
    seen = []

    def count(snapshot: Snapshot, memory: Memory, now_s: float) -> Mapping[Role, int]:
        memory["ticks"] = int(str(memory.get("ticks", 0))) + 1
        seen.append((snapshot.at_s, now_s, memory["ticks"]))
        return {Role.PREFILL: 2 if now_s >= 30 else 1}

    results = run(count, split(), Trace.of([0.0], 10, 5, duration_s=60.0))

    assert seen == [(0.0, 0.0, 1), (15.0, 15.0, 2), (30.0, 30.0, 3), (45.0, 45.0, 4), (60.0, 60.0, 5)]
    assert results.actions == (Action(30.0, Role.PREFILL, 1, 2),)


def test_a_scaling_policy_drives_a_run() -> None:
    trace = Trace.of(np.arange(0.0, 600.0, 0.08), 200, 50)

    results = run(service_policy(), split(pool(1), pool(1)), trace)

    assert results.arrived == 7500
    assert any(action.role is Role.PREFILL and action.after > action.before for action in results.actions)


def test_a_scaling_policy_decides_at_its_own_interval_on_what_holds_at_the_time() -> None:
    asked: list[float] = []
    reached: list[float] = []

    def at(policy: ServicePolicy, elapsed_s: float) -> ServicePolicy:
        asked.append(elapsed_s)
        prefill = policy.roles[Role.PREFILL]
        return policy if elapsed_s < 40 else with_prefill(policy, replace(prefill, min_replicas=3))

    policy = replace(service_policy(), interval_s=20.0)
    results = run(
        policy, split(pool(1), pool(1)), Trace.of([0.0], 10, 5, duration_s=60.0), at=at, reached=reached.append
    )

    assert asked == reached == [0.0, 20.0, 40.0, 60.0]
    assert Action(40.0, Role.PREFILL, 2, 3) in results.actions


def with_prefill(policy: ServicePolicy, prefill: RolePolicy) -> ServicePolicy:
    return replace(policy, roles={**policy.roles, Role.PREFILL: prefill})


@pytest.mark.parametrize("routing", list(Routing))
def test_round_robin_and_least_loaded_use_every_replica(routing: Routing) -> None:
    trace = Trace.of(np.arange(0.0, 40.0, 0.05), 100, 50)

    service = played(split(pool(4), pool(4), routing=routing), trace)

    served = [pod.request_success_total["stop"] for pod in service.pods() if pod.role is Role.DECODE]
    assert sum(served) == 800
    assert min(served) > 100
    if routing is Routing.ROUND_ROBIN:
        assert set(served) == {200}
