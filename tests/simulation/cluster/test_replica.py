from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.capacity import DecodeStep, EngineModel, PrefillTime
from autoscaler.core.policy import Role
from autoscaler.simulation.cluster.replica import Replica

# A prompt of 1,000 tokens takes 110 ms; a step takes 10 ms and 1 ms a sequence.
ENGINE = EngineModel(PrefillTime(10.0, 0.1, 0.0), DecodeStep(10.0, 1.0, 0.0), 10_000.0, max_sequences=4)


def replica(role: Role) -> Replica:
    return Replica(role, ENGINE, "pod", 0.0)


def test_prefill_computes_one_prompt_after_another() -> None:
    prefill = replica(Role.PREFILL)
    first, second = prefill.submit(1000, 50, 0.0), prefill.submit(1000, 50, 0.0)

    prefill.advance(0.1101)
    assert (first.done.is_set(), second.done.is_set()) == (True, False)
    prefill.advance(0.2201)
    assert second.done.is_set()
    page = prefill.counters(0.3)
    assert page.histograms["time_to_first_token_seconds"].sum == pytest.approx(0.33)
    assert page.histograms["request_queue_time_seconds"].sum == pytest.approx(0.11)
    assert (page.prompt_tokens_total, page.generation_tokens_total) == (2000, 2)
    assert page.prompt_tokens_by_source["local_compute"] == 2000


def test_decode_gives_every_sequence_a_token_a_step() -> None:
    decode = replica(Role.DECODE)
    first, second = decode.submit(100, 3, 0.0), decode.submit(100, 2, 0.0)

    decode.advance(0.0111)  # the first step began before the second request came
    assert (first.generated, second.generated) == (1, 0)
    decode.advance(0.0351)  # two steps of 12 ms
    assert first.done.is_set()
    assert second.done.is_set()
    assert decode.counters(1.0).histograms["inter_token_latency_seconds"].count == 3


def test_a_full_batch_makes_requests_wait() -> None:
    decode = replica(Role.DECODE)
    for _ in range(6):
        decode.submit(100, 100, 0.0)

    page = decode.counters(0.5)
    assert (page.running, page.waiting) == (4, 2)


def test_kv_that_is_full_makes_requests_wait() -> None:
    decode = replica(Role.DECODE)
    for _ in range(3):
        decode.submit(4000, 100, 0.0)

    page = decode.counters(0.1)
    assert (page.running, page.waiting) == (2, 1)
    assert page.kv_usage_ratio == pytest.approx(0.8, abs=0.01)


def test_a_request_larger_than_the_cache_is_served_alone() -> None:
    decode = replica(Role.DECODE)
    large = decode.submit(20_000, 2, 0.0)

    decode.advance(1.0)
    assert large.done.is_set()


def test_without_requests_no_time_passes_in_it() -> None:
    assert replica(Role.DECODE).advance(100.0) == math.inf


@given(
    requests=st.lists(
        st.tuples(st.integers(1, 5000), st.integers(1, 50), st.floats(0.0, 0.3)), min_size=1, max_size=20
    ),
    role=st.sampled_from([Role.PREFILL, Role.DECODE]),
)
def test_every_request_is_finished_and_counted_once(requests: list[tuple[int, int, float]], role: Role) -> None:
    engine, now_s = replica(role), 0.0
    taken = []
    for prompt, output, gap_s in requests:
        now_s += gap_s
        taken.append(engine.submit(prompt, output, now_s))

    page = engine.counters(now_s + 1000.0)

    assert all(request.done.is_set() for request in taken)
    assert (page.running, page.waiting, page.kv_usage_ratio) == (0, 0, 0.0)
    assert page.request_success_total["length"] == len(requests)
    assert page.prompt_tokens_total == sum(prompt for prompt, _, _ in requests)
    wanted = [1 if role is Role.PREFILL else output for _, output, _ in requests]
    assert page.generation_tokens_total == sum(wanted)
    assert page.histograms["e2e_request_latency_seconds"].count == len(requests)
