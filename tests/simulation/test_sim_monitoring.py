"""What the service looks like from outside: signals, pods, snapshots, and the same run told by all of them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from autoscaler.core.capacity import DecodeStep, PrefillTime
from autoscaler.core.decide import decide
from autoscaler.core.policy import Role
from autoscaler.core.signals import CATALOGUE, Scope, SignalState
from autoscaler.core.state import State
from autoscaler.simulation.config import MonitoringConfig
from autoscaler.simulation.counters import Histogram
from autoscaler.simulation.faults import MonitoringOutage
from autoscaler.simulation.scrapes import quantile, share_within
from autoscaler.simulation.service import Service
from autoscaler.simulation.traces import Trace
from tests.simulation.services import ENGINE, played, pool, split, together
from tests.support.core import service_policy

STEADY = Trace.of(np.arange(0.0, 600.0, 0.5), 200, 101, 50)


def value(service: Service, scope: Scope, name: str) -> float | None:
    return service.observe(service.now_s)[scope][name].usable


def test_every_signal_of_the_catalogue_is_there_and_in_its_unit() -> None:
    config = split()
    config = replace(config, pools={**config.pools, Role.AGGREGATED: pool()}, disaggregate_from_tokens=100.0)
    rng = np.random.default_rng(1)
    trace = Trace.of(np.arange(0.0, 300.0, 0.5), rng.integers(1, 300, 600), 50, 0)
    service = Service(config, trace)
    service.advance_to(290.0)

    signals = service.observe(290.0)

    for scope, specs in CATALOGUE.items():
        assert {name: signal.unit for name, signal in signals[scope].items()} == {
            name: spec.unit for name, spec in specs.items()
        }
        assert all(signal.state is SignalState.VALUE for signal in signals[scope].values())


def test_a_steady_load_reads_as_what_it_is() -> None:
    engine = replace(ENGINE, kv_bytes_per_token=1000.0)
    service = played(split(pool(engine=engine, link_bytes_per_s=1e7), pool(engine=engine)), STEADY, 599.0)

    def read(scope: Scope) -> dict[str, float | None]:
        return {name: signal.usable for name, signal in service.observe(599.0)[scope].items()}

    prefill, decode, user = read(Scope.PREFILL), read(Scope.DECODE), read(Scope.SERVICE)
    assert prefill["offered_tokens_per_s"] == pytest.approx(400.0, rel=0.02)
    assert prefill["uncached_ratio"] == pytest.approx(0.75)
    assert prefill["request_rate"] == pytest.approx(2.0, rel=0.02)
    assert prefill["prefill_time_s"] == pytest.approx(0.150)
    assert prefill["queue_time_s"] == pytest.approx(0.0, abs=1e-9)
    assert decode["generation_tokens_per_s"] == pytest.approx(202.0, rel=0.02)
    assert decode["step_time_s"] == pytest.approx(0.010)
    assert decode["kv_capacity_tokens"] == 16_000
    assert decode["kv_utilization_mean"] == pytest.approx(2 * 250 / 16_000, rel=0.4)
    assert user["kv_transfer_time_s"] == pytest.approx(0.020)
    assert user["input_tokens_mean"] == 200
    assert user["output_tokens_mean"] == 101
    assert user["request_rate"] == pytest.approx(2.0, rel=0.02)
    assert user["ttft_attainment_ratio"] == 1.0


def test_decode_that_prefills_too_reads_its_prompts_as_computed_by_itself() -> None:
    trace = Trace.of(np.arange(0.0, 600.0, 0.5), 200, 21, 50)
    off = played(split(pool(), pool(), disaggregate_from_tokens=np.inf), trace, 599.0)
    on = played(split(pool(), pool()), trace, 599.0)

    assert value(off, Scope.DECODE, "offered_tokens_per_s") == pytest.approx(400.0, rel=0.05)
    assert value(off, Scope.DECODE, "request_rate") == pytest.approx(2.0, rel=0.05)
    assert value(off, Scope.DECODE, "uncached_ratio") == pytest.approx(0.75)
    assert value(on, Scope.DECODE, "offered_tokens_per_s") == pytest.approx(400.0, rel=0.05)
    assert value(on, Scope.DECODE, "uncached_ratio") == 0.0


def test_offered_load_counts_what_the_queue_hides() -> None:
    trace = Trace.of(np.arange(0.0, 300.0, 0.05), 200, 2)  # 4000 tokens/s where a replica prefills 1000
    service = played(split(), trace, 200.0)

    offered = value(service, Scope.PREFILL, "offered_tokens_per_s")

    assert offered == pytest.approx(4000.0, rel=0.05)


def test_latency_quantiles_are_interpolated_as_prometheus_does() -> None:
    histogram = Histogram((1.0, 2.0, 4.0), (2.0, 6.0, 8.0, 10.0), 30.0)

    assert quantile(histogram, 0.4) == pytest.approx(1.5)
    assert quantile(histogram, 0.1) == pytest.approx(0.5)
    assert quantile(histogram, 0.95) == 4.0
    assert quantile(Histogram((1.0,), (0.0, 0.0), 0.0), 0.5) is None


def test_attainment_is_the_share_of_observations_up_to_the_target() -> None:
    histogram = Histogram((1.0, 2.0, 4.0), (2.0, 6.0, 8.0, 10.0), 30.0)

    assert share_within(histogram, 2.0) == pytest.approx(0.6)
    assert share_within(histogram, 3.0) == pytest.approx(0.717857, abs=1e-6)  # slopes 6/35 and 1/10
    assert share_within(histogram, 100.0) == pytest.approx(0.8)


def test_a_query_sees_only_samples_that_have_arrived() -> None:
    config = split(monitoring=MonitoringConfig(scrape_interval_s=10.0, delay_s=7.0))
    service = Service(config, STEADY)
    service.advance_to(26.0)

    at_once, later = service.observe(26.0), service.observe(27.0)

    assert at_once[Scope.DECODE]["running"].age_s == 16.0
    assert later[Scope.DECODE]["running"].age_s == 7.0


def test_before_the_first_sample_everything_is_absent() -> None:
    service = Service(split(monitoring=MonitoringConfig(delay_s=2.0)), STEADY)
    service.advance_to(1.0)

    signals = service.observe(1.0)

    assert all(signal.state is SignalState.ABSENT for scope in signals.values() for signal in scope.values())
    assert "scrape" in signals[Scope.DECODE]["running"].detail


def test_signals_grow_stale_and_then_absent_while_monitoring_is_down() -> None:
    service = Service(split(), STEADY)
    service.inject(MonitoringOutage(100.0, 500.0))
    states = []
    for at_s in (155.0, 170.0, 405.0, 505.0):
        service.advance_to(at_s)
        states.append(service.observe(at_s)[Scope.DECODE]["running"].state)

    assert states == [SignalState.VALUE, SignalState.STALE, SignalState.ABSENT, SignalState.VALUE]


def test_a_pool_without_pods_has_no_readings_but_zero_ready() -> None:
    service = Service(split(pool(0)), Trace.of([], [], [], duration_s=60.0))
    service.advance_to(60.0)

    prefill = service.observe(60.0)[Scope.PREFILL]

    assert prefill["ready_replicas"].usable == 0.0
    assert prefill["queue_depth"].state is SignalState.ABSENT
    assert "no pod" in prefill["queue_depth"].detail


@pytest.mark.parametrize(
    ("role", "threshold", "at_s", "name"),
    [
        (Role.PREFILL, 0.0, 1.0, "queue_depth"),
        (Role.DECODE, 0.0, 8.05, "waiting"),
        (Role.DECODE, math.inf, 1, "waiting"),
    ],
)
def test_a_queue_includes_what_waits_at_the_gateway_for_the_pool(
    role: Role, threshold: float, at_s: float, name: str
) -> None:
    config = split(disaggregate_from_tokens=threshold)
    service = Service(config, Trace.of([0.0, 2.0], [8_000, 100], 1000))
    service.advance_to(at_s)
    service.scale(role, 0)  # it drains, and is scraped meanwhile
    service.advance_to(10.5 if role is Role.DECODE else 5.5)

    assert service.unrouted == 1
    assert value(service, Scope(role.value), name) == 1.0


def test_pods_count_every_token_once() -> None:
    rng = np.random.default_rng(2)
    prompts, answers = rng.integers(1, 500, 200), rng.integers(1, 80, 200)
    cached = prompts // 3
    service = played(split(pool(2), pool(3)), Trace.of(np.sort(rng.uniform(0, 60, 200)), prompts, answers, cached))
    pods = service.pods()
    prefill = [pod for pod in pods if pod.role is Role.PREFILL]
    decode = [pod for pod in pods if pod.role is Role.DECODE]

    def total(source: str) -> float:
        return sum(pod.prompt_tokens_by_source[source] for pod in prefill)

    computed = np.maximum(prompts - cached, 1)
    assert total("local_compute") == computed.sum()
    assert total("local_cache_hit") == (prompts - computed).sum()
    assert sum(pod.prompt_tokens_by_source["external_kv_transfer"] for pod in decode) == prompts.sum()
    assert sum(pod.prompt_tokens_total for pod in prefill) == prompts.sum()
    assert sum(pod.generation_tokens_total for pod in decode) == answers.sum()
    assert sum(pod.generation_tokens_total for pod in prefill) == 200
    assert sum(pod.request_success_total["length"] for pod in prefill) == 200
    assert sum(pod.request_success_total["stop"] for pod in decode) == 200


def test_histograms_hold_what_happened_to_requests() -> None:
    rng = np.random.default_rng(4)
    answers = rng.integers(1, 80, 100)
    service = played(split(), Trace.of(np.sort(rng.uniform(0, 60, 100)), rng.integers(1, 500, 100), answers))
    prefill, decode = (pod.histograms for pod in service.pods())
    requests = service.finish().requests
    parts_s = requests.parts_s

    sums = {
        "request_queue_time_seconds": parts_s["decode_queue"] + parts_s["transfer"] + parts_s["next_step_wait"],
        "request_prefill_time_seconds": parts_s["first_step"],
        "request_decode_time_seconds": np.nan_to_num(requests.tpot_s) * (answers - 1),
        "request_time_per_output_token_seconds": np.nan_to_num(requests.tpot_s),
        "request_generation_tokens": answers,
        "inter_token_latency_seconds": np.nan_to_num(requests.tpot_s) * (answers - 1),
    }
    for name, values in sums.items():
        assert decode[name].sum == pytest.approx(values.sum()), name
    assert all(histogram.count == 100 for name, histogram in decode.items() if name != "inter_token_latency_seconds")
    assert decode["inter_token_latency_seconds"].count == (answers - 1).sum()
    assert prefill["e2e_request_latency_seconds"].sum == pytest.approx(
        (parts_s["prefill_queue"] + parts_s["prefill"]).sum()
    )
    assert prefill["time_to_first_token_seconds"].sum == prefill["e2e_request_latency_seconds"].sum


def test_gaps_between_tokens_fall_into_the_buckets_of_their_lengths() -> None:
    engine = replace(ENGINE, prefill=PrefillTime(0.0, 0.0, 0.0), decode=DecodeStep(20.0, 0.0, 0.1003))
    service = played(split(decode=pool(engine=engine)), Trace.of([0.0], 1, 801))

    gaps = service.pods()[1].histograms["inter_token_latency_seconds"]

    # The gap after token j is the step that reads 1 + j tokens: 20 ms + 0.1003 ms each.
    lengths_s = 0.020 + 0.0001003 * (1 + np.arange(1, 801))
    expected = [(lengths_s <= bound).sum() for bound in gaps.bounds]
    assert list(gaps.cumulative_counts[:-1]) == expected
    assert gaps.sum == pytest.approx(lengths_s.sum())


def test_counters_of_replicas_that_are_gone_still_count_for_their_pool() -> None:
    service = Service(split(decode=pool(2)), STEADY)
    service.advance_to(300.0)
    service.scale(Role.DECODE, 1)
    service.advance_to(330.0)

    assert value(service, Scope.DECODE, "generation_tokens_per_s") == pytest.approx(202.0, rel=0.05)


def test_reading_pods_changes_nothing() -> None:
    read, left_alone = Service(together(), STEADY), Service(together(), STEADY)
    for at_s in np.arange(0.0, 700.0, 0.37):
        read.advance_to(float(at_s))
        read.pods()
    left_alone.advance_to(read.now_s)

    assert np.array_equal(read.finish().requests.finish_s, left_alone.finish().requests.finish_s)


def test_the_core_decides_on_a_simulated_service_as_on_a_real_one() -> None:
    service = Service(split(), STEADY)
    policy, state = service_policy(), State()
    desired = []
    for at_s in range(0, 300, 15):
        service.advance_to(float(at_s))
        decision, state = decide(policy, service.snapshot(float(at_s)), state, float(at_s))
        desired.append(decision.roles[Role.PREFILL].desired)
        for role, decided in decision.roles.items():
            service.scale(role, decided.desired)

    assert service.snapshot(300.0).pool_errors == {}
    assert min(desired) >= 1
    assert all(math.isfinite(signal.value) for signal in decision.signals[Scope.DECODE].values() if signal.value)
