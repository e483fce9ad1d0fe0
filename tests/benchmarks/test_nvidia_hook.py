from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from autoscaler.core.policy import Role
from autoscaler.core.signals import Scope, SignalState
from benchmarks.nvidia import contenders
from benchmarks.nvidia.peer.hook import RATE_WINDOW_S, SHAPE_WINDOW_S, DecideBehindHook, Window

WORKER_TOKENS = 1000.0


def worker(**told: float) -> dict[str, Any]:
    names = (
        *("wall_time", "num_prefill_requests", "sum_prefill_tokens", "sum_prefill_kv_tokens"),
        *("num_queued_prefill", "sum_queued_prefill_tokens"),
        *("num_decode_requests", "sum_decode_kv_tokens", "num_queued_decode", "sum_queued_decode_kv_tokens"),
    )
    return {**dict.fromkeys(names, 0), **told}


def tick(
    now_s: float,
    *,
    prefill: Iterable[dict[str, Any]] = (),
    decode: Iterable[dict[str, Any]] = (),
    traffic: dict[str, Any] | None = None,
    starting: int = 0,
) -> dict[str, Any]:
    prefill, decode = list(prefill) or [worker()], list(decode) or [worker()]
    counts: dict[str, int] = {}
    for role, workers in (("prefill", prefill), ("decode", decode)):
        counts[f"active_{role}_count"] = len(workers)
        counts[f"non_draining_{role}_count"] = len(workers) + starting
        counts[f"draining_{role}_count"] = 0
    return {
        "now_ms": now_s * 1e3,
        "prefill_fpm_snapshots": prefill,
        "decode_fpm_snapshots": decode,
        "traffic": traffic,
        **counts,
    }


def traffic(
    arrived: int, finished: int, *, seconds: float = 15.0, isl: float = 0.0, osl: float = 0.0
) -> dict[str, Any]:
    return {
        "duration_s": seconds,
        "num_req": arrived,
        "shape_count": finished,
        "avg_isl": isl,
        "avg_osl": osl,
        "avg_kv_hit_rate": 0.0,
        "avg_accept_length": 1.0,
        "accept_length_forward_count": finished * osl,
    }


@pytest.fixture
def hook() -> DecideBehindHook:
    return DecideBehindHook(contenders.ours(60.0), WORKER_TOKENS)


def test_windows_weigh_lengths_by_the_requests_that_finished() -> None:
    first = Window.of(tick(15, traffic=traffic(10, 1, isl=100, osl=10)))
    second = Window.of(tick(30, traffic=traffic(20, 3, isl=500, osl=50)))

    both = first + second

    assert both.arrived == 30
    assert both.input_tokens / both.finished == 400
    assert both.output_tokens / both.finished == 40


def test_step_times_are_weighted_by_the_sequences_that_waited_for_them() -> None:
    window = Window.of(
        tick(
            15,
            decode=[
                worker(wall_time=0.02, num_decode_requests=1),
                worker(wall_time=0.05, num_decode_requests=9),
                worker(wall_time=0.5),
            ],
        )
    )

    assert window.step_s / window.stepped == pytest.approx(0.047)


def test_prefill_times_are_weighted_by_the_requests_that_share_a_pass() -> None:
    window = Window.of(
        tick(
            15,
            prefill=[
                worker(wall_time=0.1, num_prefill_requests=1),
                worker(wall_time=0.8, num_prefill_requests=3),
                worker(wall_time=0.5),
            ],
        )
    )

    assert window.pass_s / window.passed == pytest.approx(0.625)


def test_the_prefill_time_of_a_long_prompt_is_that_of_all_its_passes() -> None:
    first = worker(wall_time=0.8, num_prefill_requests=1)
    goes_on = worker(wall_time=0.6, num_prefill_requests=2, sum_prefill_kv_tokens=8192)

    window = Window.of(tick(15, prefill=[first, goes_on]))

    assert window.passed == 2
    assert window.pass_s / window.passed == pytest.approx((0.8 + 2 * 0.6) / 2)


def test_passes_that_have_ended_are_not_in_flight(hook: DecideBehindHook) -> None:
    idle = [worker(wall_time=0.1, num_prefill_requests=1) for _ in range(4)]

    snapshot = hook.snapshot(tick(15, prefill=idle, traffic=traffic(30, 30, isl=1000, osl=10)))

    assert snapshot.usable(Scope.PREFILL, "in_flight") == pytest.approx(0.2)


def test_a_full_pool_holds_no_more_than_its_passes(hook: DecideBehindHook) -> None:
    full = [worker(wall_time=0.8, num_prefill_requests=8) for _ in range(2)]

    snapshot = hook.snapshot(tick(15, prefill=full, traffic=traffic(3000, 30, isl=1000, osl=10)))

    assert snapshot.usable(Scope.PREFILL, "in_flight") == 16


def test_offered_tokens_count_arrivals_although_nothing_finishes(hook: DecideBehindHook) -> None:
    hook.snapshot(tick(15, traffic=traffic(30, 30, isl=1000, osl=10)))

    snapshot = hook.snapshot(tick(30, traffic=traffic(90, 0)))

    assert snapshot.usable(Scope.PREFILL, "request_rate") == 4.0
    assert snapshot.usable(Scope.PREFILL, "offered_tokens_per_s") == 4000.0
    assert snapshot.usable(Scope.SERVICE, "request_rate") == 1.0


def test_what_the_hook_does_not_tell_is_absent(hook: DecideBehindHook) -> None:
    snapshot = hook.snapshot(tick(15, traffic=traffic(30, 30, isl=1000, osl=10)))

    for name in ("ttft_s", "tpot_s", "ttft_attainment_ratio", "kv_transfer_time_s"):
        signal = snapshot.signal(Scope.SERVICE, name)
        assert signal is not None
        assert signal.state is SignalState.ABSENT


def test_quantiles_of_lengths_come_from_the_prompts_that_passes_began(hook: DecideBehindHook) -> None:
    passes = [
        *(worker(num_prefill_requests=1, sum_prefill_tokens=100 * n) for n in range(1, 20)),
        worker(num_prefill_requests=2, sum_prefill_tokens=4000),
        worker(num_prefill_requests=1, sum_prefill_tokens=8192, sum_prefill_kv_tokens=8192),
    ]

    snapshot = hook.snapshot(tick(15, prefill=passes, traffic=traffic(30, 30, isl=1000, osl=10)))

    assert snapshot.usable(Scope.SERVICE, "input_tokens_p50") == 1100
    assert snapshot.usable(Scope.SERVICE, "input_tokens_p90") == 1900


def test_a_handful_of_prompts_has_no_quantiles(hook: DecideBehindHook) -> None:
    few = [worker(num_prefill_requests=1, sum_prefill_tokens=1000) for _ in range(3)]

    snapshot = hook.snapshot(tick(15, prefill=few, traffic=traffic(30, 30, isl=1000, osl=10)))

    assert snapshot.usable(Scope.SERVICE, "input_tokens_p50") is None


def test_lengths_are_absent_until_a_request_finishes(hook: DecideBehindHook) -> None:
    snapshot = hook.snapshot(tick(15, traffic=traffic(30, 0)))

    assert snapshot.usable(Scope.SERVICE, "input_tokens_mean") is None
    assert snapshot.usable(Scope.PREFILL, "offered_tokens_per_s") is None


def test_no_arrival_is_no_offered_token(hook: DecideBehindHook) -> None:
    assert hook.snapshot(tick(15, traffic=traffic(0, 0))).usable(Scope.PREFILL, "offered_tokens_per_s") == 0.0


def test_rates_forget_sooner_than_lengths(hook: DecideBehindHook) -> None:
    hook.snapshot(tick(0, traffic=traffic(300, 300, isl=1000, osl=10)))

    later = hook.snapshot(tick(RATE_WINDOW_S, traffic=traffic(0, 0)))
    assert later.usable(Scope.PREFILL, "request_rate") == 0.0
    assert later.usable(Scope.SERVICE, "input_tokens_mean") == 1000

    at_last = hook.snapshot(tick(SHAPE_WINDOW_S, traffic=traffic(0, 0)))
    assert at_last.usable(Scope.SERVICE, "input_tokens_mean") is None


def test_kv_of_queued_requests_counts_and_stops_at_full(hook: DecideBehindHook) -> None:
    snapshot = hook.snapshot(
        tick(
            15,
            decode=[
                worker(sum_decode_kv_tokens=300, sum_queued_decode_kv_tokens=100),
                worker(sum_decode_kv_tokens=900, sum_queued_decode_kv_tokens=5000),
            ],
        )
    )

    assert snapshot.usable(Scope.DECODE, "kv_utilization_mean") == pytest.approx(0.7)
    assert snapshot.usable(Scope.DECODE, "kv_utilization_max") == 1.0


def test_starting_workers_are_asked_for_but_not_ready(hook: DecideBehindHook) -> None:
    pool = hook.snapshot(tick(15, starting=2)).pools[Role.PREFILL]

    assert (pool.current, pool.ready, pool.starting) == (3, 1, 2)


def test_targets_are_whole_numbers_and_the_next_tick_follows(hook: DecideBehindHook) -> None:
    busy = worker(wall_time=0.8, num_prefill_requests=8, num_queued_prefill=400, sum_queued_prefill_tokens=400_000)

    answers = [
        hook.on_tick(tick(15 * n, prefill=[busy], traffic=traffic(300, 100, isl=1000, osl=100))) for n in range(1, 5)
    ]

    assert hook.initial_tick_ms() == 15_000
    assert answers[-1]["next_tick_ms"] == 75_000
    assert type(answers[-1]["target_prefill"]) is int
    assert answers[-1]["target_prefill"] > 1
    assert answers[-1]["target_decode"] >= 1
