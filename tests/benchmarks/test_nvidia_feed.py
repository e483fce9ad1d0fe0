from __future__ import annotations

import pytest

from autoscaler.core.policy import Role
from autoscaler.simulation.service import Service
from autoscaler.simulation.traces import Trace
from benchmarks.nvidia import ours
from benchmarks.nvidia.feed import Feed
from benchmarks.nvidia.scene import Job


def service(trace: Trace, *, prefill: int = 1, decode: int = 1, startup_time_s: float = 60.0) -> Service:
    return Service(ours.service_config(Job("test", prefill, decode, startup_time_s=startup_time_s)), trace)


def test_a_tick_tells_of_the_requests_since_the_last_one() -> None:
    simulated = service(Trace.of([1.0, 2.0, 9.0, 11.0], [1000, 3000, 500, 500], [2, 2, 2, 2], duration_s=20.0))
    feed = Feed(simulated)
    simulated.advance_to(5.0)
    first = feed.metrics()["traffic"]
    simulated.advance_to(10.0)
    second = feed.metrics()["traffic"]

    assert (first["num_req"], first["shape_count"], first["avg_isl"], first["duration_s"]) == (2, 2, 2000, 5.0)
    assert (second["num_req"], second["shape_count"], second["avg_isl"]) == (1, 1, 500)
    assert first["avg_ttft_ms"] > 100


def test_waiting_prompts_are_told_per_worker() -> None:
    simulated = service(Trace.of([0.0, 0.1, 0.2, 0.3], [8192, 8192, 100, 100], [5, 5, 5, 5], duration_s=5.0))
    simulated.advance_to(0.5)

    (snapshot,) = Feed(simulated).metrics()["prefill_fpm_snapshots"]

    assert (snapshot["num_prefill_requests"], snapshot["sum_prefill_tokens"]) == (1, 8192)
    assert (snapshot["num_queued_prefill"], snapshot["sum_queued_prefill_tokens"]) == (3, 8392)
    assert snapshot["wall_time"] == pytest.approx(0.864, abs=0.001)
    assert snapshot["num_decode_requests"] == snapshot["num_queued_decode"] == 0


def test_decoding_sequences_are_told_with_what_they_have_generated() -> None:
    simulated = service(Trace.of([0.0, 0.0], [1000, 2000], [400, 400], duration_s=5.0))
    simulated.advance_to(3.0)

    (snapshot,) = Feed(simulated).metrics()["decode_fpm_snapshots"]

    assert snapshot["num_decode_requests"] == 2
    assert 3000 < snapshot["sum_decode_kv_tokens"] < 3800
    assert snapshot["var_decode_kv_tokens"] == pytest.approx(250_000, rel=0.01)
    assert 0.015 < snapshot["wall_time"] < 0.03


def test_workers_are_counted_by_what_they_do() -> None:
    simulated = service(Trace.of([0.0, 0.0], 8192, 50, duration_s=200.0), prefill=2)
    feed = Feed(simulated)
    simulated.advance_to(0.5)
    simulated.scale(Role.DECODE, 3)
    simulated.scale(Role.PREFILL, 1)
    ordered = feed.metrics()
    simulated.advance_to(100.0)
    served = feed.metrics()

    assert (ordered["active_decode_count"], ordered["starting_decode_count"]) == (1, 2)
    assert (ordered["active_prefill_count"], ordered["draining_prefill_count"]) == (1, 1)
    assert ordered["non_draining_decode_count"] == ordered["total_decode_count"] == 3
    assert served["active_decode_ids"] == [0, 1, 2]
    assert served["total_prefill_count"] == 1
    assert len(served["decode_fpm_snapshots"]) == 3
