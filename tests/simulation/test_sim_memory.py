"""KV blocks: admission, growth, preemption, leases; nothing is lost and nothing is used twice."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.core.policy import Role
from autoscaler.simulation.config import Lost, Routing, ServiceConfig, TransferConfig
from autoscaler.simulation.faults import ReplicaDeath
from autoscaler.simulation.results import Results
from autoscaler.simulation.service import Service
from autoscaler.simulation.traces import Trace
from tests.simulation.services import ENGINE, played, pool, split, together


def test_decode_admits_requests_while_blocks_last() -> None:
    engine = replace(ENGINE, kv_capacity_tokens=640)
    service = Service(split(decode=pool(engine=engine)), Trace.of([0.0, 0.0, 0.0], 304, 5))
    service.advance_to(0.912 + 0.015)

    decode = service.pods()[1]

    assert (decode.running, decode.waiting, decode.waiting_for_kv) == (2, 1, 0)
    assert decode.kv_usage_ratio == pytest.approx(2 * 20 / 40)  # 304 tokens are 19 blocks, the second step takes one


def test_prefill_blocks_stay_in_use_until_decode_has_pulled_them() -> None:
    service = Service(split(decode=pool(0)), Trace.of([0.0], 1600, 5))
    service.advance_to(10.0)
    held = service.pods()[0]
    service.scale(Role.DECODE, 1)
    service.advance_to(100.0)

    assert (held.running, held.waiting) == (0, 0)
    assert held.kv_usage_ratio == pytest.approx(0.1)
    assert service.pods()[0].kv_usage_ratio == 0.0


def test_a_full_prefill_replica_waits_for_its_kv_to_be_pulled() -> None:
    service = Service(split(decode=pool(0)), Trace.of([0.0, 0.0], 9_000, 5))
    service.advance_to(30.0)
    waiting = service.pods()[0].waiting
    service.scale(Role.DECODE, 1)
    service.advance_to(200.0)

    assert waiting == 1
    assert service.finish().requests.parts_s["prefill_queue"][1] == pytest.approx(90.0)


def test_blocks_grow_with_every_sixteenth_token() -> None:
    service = Service(split(), Trace.of([0.0], 1, 64))
    usage = []
    for token in range(1, 64):
        service.advance_to(0.001 + token * 0.010 + 0.005)
        usage.append(round(service.pods()[1].kv_usage_ratio * 1000))

    assert usage == [math.ceil((token + 1) / 16) for token in range(1, 64)]


def test_the_last_arrived_is_preempted_and_recomputed_when_blocks_run_out() -> None:
    engine = replace(ENGINE, kv_capacity_tokens=320)
    config = split(decode=pool(engine=engine))

    service = played(config, Trace.of([0.0, 0.3], 100, [150, 150]))

    results = service.finish()
    decode = service.pods()[1]
    assert results.requests.preemptions.tolist() == [0, 1]
    assert results.finished == 2
    assert decode.preemptions_total == 1
    assert decode.generation_tokens_total == 300
    assert decode.prompt_tokens_total == 200
    assert results.requests.finish_s[0] == pytest.approx(0.1 + 150 * 0.010)


def test_a_preempted_request_takes_up_where_it_was() -> None:
    engine = replace(ENGINE, kv_capacity_tokens=320)
    config = split(decode=pool(engine=engine))

    requests = played(config, Trace.of([0.0, 0.3], 100, [150, 150])).finish().requests

    # 20 blocks; both have 7 at first. The first needs its 14th block at 209 tokens, when the second holds 7.
    first_ends_s = requests.finish_s[0]
    assert requests.finish_s[1] > first_ends_s
    assert requests.ttft_s[1] == pytest.approx(0.11, abs=0.011)
    generated = round((first_ends_s - 0.41) / 0.010)
    assert requests.finish_s[1] < first_ends_s + 0.300 + (150 - generated + 60) * 0.010


def test_kv_that_is_not_pulled_in_time_is_freed_and_computed_again() -> None:
    config = split(decode=pool(0), transfer=TransferConfig(setup_s=0.0, lease_s=30.0))
    service = Service(config, Trace.of([0.0], 400, 5))
    service.advance_to(30.3)
    before = service.pods()[0]
    service.advance_to(30.5)
    after = service.pods()[0]
    service.scale(Role.DECODE, 1)
    service.advance_to(100.0)

    results = service.finish()

    assert (before.kv_usage_ratio, before.nixl_num_kv_expired_reqs_total) == (0.025, 0)
    assert (after.kv_usage_ratio, after.nixl_num_kv_expired_reqs_total) == (0.0, 1)
    assert results.finished == 1
    assert not results.requests.disaggregated[0]
    assert service.pods()[1].prompt_tokens_by_source["local_compute"] == 400


def test_a_lease_that_ends_at_a_waiting_decode_replica_is_computed_there() -> None:
    engine = replace(ENGINE, max_sequences=1)
    config = split(decode=pool(engine=engine), transfer=TransferConfig(setup_s=0.0, lease_s=5.0))

    service = played(config, Trace.of([0.0, 0.0], [100, 100], [2000, 5]))

    assert service.finish().requests.disaggregated.tolist() == [True, False]
    assert service.pods()[0].nixl_num_kv_expired_reqs_total == 1
    assert service.finish().finished == 2


def test_a_lease_taken_anew_runs_out_after_those_that_others_held_before_it() -> None:
    config = split(pool(2), pool(0), lost=Lost.RETRY, transfer=TransferConfig(setup_s=0.0, lease_s=10.0))
    service = Service(config, Trace.of([0.0, 0.0], [100, 200], 5))
    service.inject(ReplicaDeath(Role.PREFILL, 8.0))  # the first request is prefilled again elsewhere, until 8.1 s

    expired = []
    for at_s in (10.1, 10.3, 18.0, 18.2):
        service.advance_to(at_s)
        expired.append(sum(pod.nixl_num_kv_expired_reqs_total for pod in service.pods()))

    assert expired == [0, 1, 1, 2]


ENGINES = st.builds(
    lambda blocks, sequences, budget: replace(
        ENGINE, kv_capacity_tokens=16 * blocks, max_sequences=sequences, max_batched_tokens=budget
    ),
    st.integers(20, 200),
    st.integers(1, 12),
    st.integers(64, 1024),
)
REQUESTS = st.lists(
    st.tuples(st.floats(0, 40), st.integers(1, 400), st.integers(1, 150), st.floats(0, 1)), min_size=1, max_size=60
)
CHANGES = st.lists(
    st.tuples(st.floats(0.1, 15.0), st.integers(0, 2), st.integers(0, 4), st.sampled_from([0.0, 100.0, math.inf])),
    max_size=12,
)


@st.composite
def services(draw: st.DrawFn) -> ServiceConfig:
    engine = draw(ENGINES)
    own = pool(draw(st.integers(0, 2)), engine, link_bytes_per_s=1e9, startup_time_s=3.0)
    options = {
        "lost": draw(st.sampled_from(list(Lost))),
        "routing": draw(st.sampled_from(list(Routing))),
        "drain_grace_s": draw(st.floats(0.5, 10.0)),
        "transfer": TransferConfig(0.01, draw(st.sampled_from([2.0, 480.0]))),
        "disaggregate_from_tokens": draw(st.sampled_from([0.0, 150.0, math.inf])),
    }
    config = split(own, own, **options)
    match draw(st.integers(0, 2)):
        case 0:
            return config
        case 1:
            return together(own, **options)
        case _:
            return replace(config, pools={**config.pools, Role.AGGREGATED: own})


@settings(max_examples=60)
@given(services(), REQUESTS, CHANGES, st.lists(st.floats(1, 60), max_size=3))
def test_no_request_is_lost_and_no_block_used_twice(
    config: ServiceConfig,
    rows: list[tuple[float, int, int, float]],
    changes: list[tuple[float, int, int, float]],
    deaths_s: list[float],
) -> None:
    rows.sort()
    arrival_s, prompts, answers, cached = (np.array(column) for column in zip(*rows, strict=True))
    service = Service(config, Trace.of(arrival_s, prompts, answers, np.floor(prompts * cached)))
    roles = list(config.pools)
    for number, at_s in enumerate(deaths_s):
        service.inject(ReplicaDeath(roles[number % len(roles)], at_s))
    for wait_s, number, replicas, threshold in changes:
        service.advance_to(service.now_s + wait_s)
        assert_conserved(service)
        service.scale(roles[number % len(roles)], replicas)
        if Role.PREFILL in roles:
            service.set_disaggregation(threshold)
        assert_conserved(service)
    for role in roles:
        service.scale(role, 2)
    service.advance_to(service.now_s + 3000.0)

    results = assert_conserved(service)

    assert service.settled
    assert results.unfinished == 0
    assert all(pod.kv_usage_ratio == 0.0 and pod.running == 0 and pod.waiting == 0 for pod in service.pods())
    if config.lost is Lost.RETRY and not results.failed:
        assert results.finished + results.rejected == len(rows)


def assert_conserved(service: Service) -> Results:
    results, pods = service.finish(), service.pods()
    in_system = sum(pod.running + pod.waiting for pod in pods) + service.unrouted
    assert results.unfinished == in_system
    assert all(0.0 <= pod.kv_usage_ratio <= 1.0 for pod in pods)
    assert all(pod.running >= 0 and 0 <= pod.waiting_for_kv <= pod.waiting for pod in pods)
    return results
