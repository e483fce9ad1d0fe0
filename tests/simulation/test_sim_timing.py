"""When things happen to single requests, worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.core.capacity import DecodeStep, PrefillTime
from autoscaler.core.policy import Role
from autoscaler.simulation.config import TimingTables, TransferConfig
from autoscaler.simulation.results import TTFT_PARTS
from autoscaler.simulation.traces import Trace
from tests.simulation.services import ENGINE, played, pool, split, together


def test_time_to_first_token_is_prefill_transfer_and_the_first_decode_step() -> None:
    engine = replace(ENGINE, kv_bytes_per_token=1000.0)
    config = split(
        pool(engine=engine, link_bytes_per_s=1e6),
        pool(engine=engine, link_bytes_per_s=1e6),
        transfer=TransferConfig(setup_s=0.25),
    )

    requests = played(config, Trace.of([1.0], 400, 11)).finish().requests

    parts = {name: parts_s[0] for name, parts_s in requests.parts_s.items()}
    assert parts == pytest.approx(
        dict.fromkeys(TTFT_PARTS, 0.0) | {"prefill": 0.4, "transfer": 0.25 + 0.4, "first_step": 0.01}
    )
    assert requests.ttft_s[0] == pytest.approx(1.06)
    assert requests.tpot_s[0] == pytest.approx(0.010)
    assert requests.finish_s[0] == pytest.approx(1.0 + 1.06 + 10 * 0.010)


def test_the_parts_of_ttft_add_up_when_everything_is_busy() -> None:
    rng = np.random.default_rng(3)
    trace = Trace.of(np.sort(rng.uniform(0, 60, 300)), rng.integers(1, 600, 300), rng.integers(1, 300, 300))
    config = split(pool(2, link_bytes_per_s=3e9), pool(2, link_bytes_per_s=3e9), transfer=TransferConfig(setup_s=0.003))

    requests = played(config, trace).finish().requests

    assert requests.finished.all()
    assert np.allclose(sum(requests.parts_s.values()), requests.ttft_s, atol=1e-9)
    assert all((part_s >= 0).all() for part_s in requests.parts_s.values())


def test_cached_tokens_are_not_computed_but_transferred() -> None:
    engine = replace(ENGINE, kv_bytes_per_token=1000.0)
    config = split(pool(engine=engine, link_bytes_per_s=1e6), pool(engine=engine, link_bytes_per_s=1e6))

    parts_s = played(config, Trace.of([0.0], 500, 5, 300)).finish().requests.parts_s

    assert parts_s["prefill"][0] == pytest.approx(0.2)
    assert parts_s["transfer"][0] == pytest.approx(0.5)


def test_the_real_cache_holds_only_a_share_of_what_could_be_cached() -> None:
    config = split(prefix_hit_ratio=0.5)

    parts_s = played(config, Trace.of([0.0], 500, 5, 300)).finish().requests.parts_s

    assert parts_s["prefill"][0] == pytest.approx(0.35)


def test_at_least_one_token_of_a_wholly_cached_prompt_is_computed() -> None:
    parts_s = played(split(), Trace.of([0.0], 500, 5, 500)).finish().requests.parts_s

    assert parts_s["prefill"][0] == pytest.approx(0.001)


def test_a_long_prompt_is_prefilled_in_chunks_that_each_cost_the_fixed_time() -> None:
    timing = PrefillTime(a_ms=5.0, b_ms_per_token=0.1, c_ms_per_token2=1e-4)
    config = split(pool(engine=replace(ENGINE, prefill=timing, max_batched_tokens=256)))

    parts_s = played(config, Trace.of([0.0], 1000, 2)).finish().requests.parts_s

    chunks = math.ceil(1000 / 256)
    assert parts_s["prefill"][0] == pytest.approx((chunks * 5.0 + 0.1 * 1000 + 1e-4 * 1000**2) / 1000)


def test_prompts_share_a_pass_up_to_its_token_budget() -> None:
    config = split(pool(engine=replace(ENGINE, max_batched_tokens=300)))

    requests = played(config, Trace.of([0.0, 0.01, 0.01, 0.01], [100, 120, 120, 120], 2)).finish().requests

    ends_s = requests.arrival_s + requests.parts_s["prefill_queue"] + requests.parts_s["prefill"]
    # The first runs alone; then 120 + 120 + 60 of the last share a pass, and 60 remain.
    assert ends_s == pytest.approx([0.1, 0.4, 0.4, 0.46])


def test_a_sequence_limit_of_one_prefills_one_prompt_a_pass() -> None:
    config = split(pool(engine=replace(ENGINE, max_sequences=1)))

    requests = played(config, Trace.of([0.0, 0.0, 0.0], 100, 2)).finish().requests

    assert requests.parts_s["prefill_queue"] == pytest.approx([0.0, 0.1, 0.2])


def test_transfers_share_the_link_of_their_sender() -> None:
    engine = replace(ENGINE, kv_bytes_per_token=1000.0)
    config = split(pool(engine=engine, link_bytes_per_s=1e6), pool(2, engine=engine, link_bytes_per_s=10e6))

    parts_s = played(config, Trace.of([0.0, 0.0], 100, 2)).finish().requests.parts_s

    assert parts_s["transfer"] == pytest.approx([0.2, 0.2])


def test_a_transfer_that_ends_as_another_starts_joins_at_once() -> None:
    engine = replace(ENGINE, kv_bytes_per_token=1024.0)
    slow: dict[str, Any] = {"engine": engine, "link_bytes_per_s": 1024.0 * 1024.0 / 0.25}
    service = played(split(pool(2, **slow), pool(1, **slow)), Trace.of([0.0, 0.25], 1024, 5))

    # 1.024 s of prefill, 0.25 s of transfer, 10 ms for the first step: the second is handed over as the first one ends.
    assert service.finish().requests.ttft_s.tolist() == pytest.approx([1.284, 1.284])


def test_a_transfer_speeds_up_when_another_one_ends() -> None:
    engine = replace(ENGINE, prefill=PrefillTime(0.0, 0.0, 0.0), kv_bytes_per_token=1000.0)
    config = split(pool(engine=engine, link_bytes_per_s=1e6), pool(2, engine=engine, link_bytes_per_s=1e6))

    parts_s = played(config, Trace.of([0.0, 0.0], [100, 300], 2)).finish().requests.parts_s

    assert parts_s["transfer"] == pytest.approx([0.2, 0.4])


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.floats(0, 1.5), st.integers(1, 400), st.integers(1, 60)), min_size=1, max_size=25),
    st.floats(1.0, 20.0),
    st.floats(0.0, 1.0),
    st.floats(0.0, 0.01),
)
def test_the_closed_form_of_many_steps_equals_going_step_by_step(
    rows: list[tuple[float, int, int]], d0_ms: float, d1_ms: float, d2_ms: float
) -> None:
    rows.sort()
    arrival_s, prompts, answers = (list(column) for column in zip(*rows, strict=True))
    step = DecodeStep(d0_ms, d1_ms, d2_ms)
    engine = replace(ENGINE, prefill=PrefillTime(0.0, 0.0, 0.0), decode=step, kv_capacity_tokens=1_000_000)

    finish_s = played(split(pool(engine=engine), pool(engine=engine)), Trace.of(arrival_s, prompts, answers)).finish()

    assert finish_s.requests.finish_s == pytest.approx(_step_by_step(arrival_s, prompts, answers, step), abs=1e-9)


def _step_by_step(arrival_s: list[float], prompts: list[int], answers: list[int], step: DecodeStep) -> list[float]:
    """Decode alone, one step after the other: a request is pulled between two steps and joins between the next two."""
    finish_s = [math.nan] * len(arrival_s)
    waiting, pulled, batch = list(range(len(arrival_s))), list[int](), dict[int, int]()
    now_s = 0.0
    while waiting or pulled or batch:
        if not batch and not pulled:
            now_s = max(now_s, arrival_s[waiting[0]])
        idle = not batch
        batch |= dict.fromkeys(pulled, 0)
        pulled = [index for index in waiting if arrival_s[index] <= now_s]
        waiting = waiting[len(pulled) :]
        if idle:
            batch |= dict.fromkeys(pulled, 0)
            pulled = []
        kv_tokens = sum(prompts[index] + done for index, done in batch.items())
        now_s += step.step_ms(len(batch), kv_tokens) / 1000 if batch else 0.0
        batch = {index: done + 1 for index, done in batch.items()}
        for index in [index for index, done in batch.items() if done == answers[index]]:
            finish_s[index] = now_s
            del batch[index]
    return finish_s


def test_a_small_batch_of_experts_has_its_own_step_time() -> None:
    step = DecodeStep(30.0, 0.0, 0.0, small_batch=DecodeStep(10.0, 0.0, 0.0), small_batch_max=1)
    config = split(decode=pool(engine=replace(ENGINE, decode=step)))

    alone = played(config, Trace.of([0.0], 10, 11)).finish()
    both = played(config, Trace.of([0.0, 0.0], 10, 11)).finish()

    assert alone.tpot_s[50] == pytest.approx(0.010)
    assert both.tpot_s[50] == pytest.approx(0.030)


def test_tables_of_a_linear_engine_time_like_the_linear_engine() -> None:
    step = DecodeStep(8.0, 0.0, 0.003)
    engine = replace(ENGINE, prefill=PrefillTime(3.0, 0.5, 0.0), decode=step, kv_capacity_tokens=100_000)
    kv, context = np.array([0.0, 500.0, 4_000.0, 9_000.0]), np.array([0.0, 40.0, 400.0, 1_000.0])
    tables = TimingTables.of(
        [0, 300, 5_000],
        [3.0, 153.0, 2_503.0],
        kv,
        context,
        step.step_ms(0, kv)[:, None] + 0 * context,  # type: ignore[index, arg-type]
    )
    rng = np.random.default_rng(5)
    trace = Trace.of(np.sort(rng.uniform(0, 30, 80)), rng.integers(1, 900, 80), rng.integers(1, 400, 80))
    linear, tabled = pool(engine=engine), pool(engine=engine, tables=tables)

    by_model = played(split(linear, linear), trace).finish().requests
    by_table = played(split(tabled, tabled), trace).finish().requests

    assert by_table.ttft_s == pytest.approx(by_model.ttft_s)
    assert by_table.finish_s == pytest.approx(by_model.finish_s)


def test_a_decode_table_is_read_bilinearly_at_every_step() -> None:
    kv, context = [0.0, 100.0, 200.0], [0.0, 150.0, 400.0]
    step_ms = [[10.0, 12.0, 20.0], [30.0, 38.0, 50.0], [45.0, 70.0, 71.0]]
    tables = TimingTables.of([0, 1000], [0.0, 0.0], kv, context, step_ms)
    config = split(pool(engine=replace(ENGINE, prefill=PrefillTime(0.0, 0.0, 0.0))), pool(tables=tables))

    requests = played(config, Trace.of([0.0], 80, 100)).finish().requests

    def one_step_s(tokens: float) -> float:
        rows = [np.interp(tokens, context, row) for row in step_ms]
        return float(np.interp(tokens, kv, rows)) / 1000

    assert requests.finish_s[0] == pytest.approx(sum(one_step_s(80 + j) for j in range(100)))


def test_a_mixed_step_takes_the_decode_step_and_the_chunk() -> None:
    engine = replace(ENGINE, prefill=PrefillTime(5.0, 1.0, 0.0), max_batched_tokens=101)
    config = together(pool(engine=engine))

    requests = played(config, Trace.of([0.0, 0.050], [20, 200], [40, 2])).finish().requests

    # Alone: 25 ms prefill, then 10 ms steps. The second prompt comes during the third step, at 55 ms its two chunks of
    # 100 tokens ride on decode steps of 110 ms each.
    assert requests.ttft_s[0] == pytest.approx(0.025)
    assert requests.ttft_s[1] == pytest.approx(0.005 + 2 * 0.110)
    assert requests.finish_s[0] == pytest.approx(0.025 + 2 * 0.110 + 37 * 0.010)


def test_a_mixed_step_by_tables_adds_both_times_up() -> None:
    tables = TimingTables.of([0, 1000], [5.0, 1005.0], [0, 1000], [0, 1000], np.full((2, 2), 10.0))
    config = together(pool(tables=tables))

    requests = played(config, Trace.of([0.0, 0.050], [20, 200], [40, 2])).finish().requests

    assert requests.ttft_s[1] == pytest.approx(0.005 + 0.010 + 0.205)


def test_one_token_is_complete_with_prefill_in_an_aggregated_pool() -> None:
    requests = played(together(), Trace.of([0.0], 100, 1)).finish().requests

    assert requests.finish_s[0] == pytest.approx(0.1)
    assert np.isnan(requests.tpot_s[0])


@pytest.mark.parametrize("utilization", [0.5, 0.8])
def test_prefill_waits_as_long_as_queueing_theory_says(utilization: float) -> None:
    """M/D/1: Pollaczek-Khinchine gives a mean wait of s*rho/(2*(1-rho))."""
    service_s, count = 0.1, 30_000
    timing = PrefillTime(service_s * 1000, 0.0, 0.0)
    engine = replace(ENGINE, prefill=timing, max_sequences=1, kv_capacity_tokens=1e9)
    decode = pool(engine=replace(ENGINE, decode=DecodeStep(0.01, 0.0, 0.0), max_sequences=1000))
    gaps_s = np.random.default_rng(11).exponential(service_s / utilization, count)
    trace = Trace.of(np.cumsum(gaps_s), 100, 1)

    wait_s = played(split(pool(engine=engine), decode), trace, 1e5).finish().requests.parts_s["prefill_queue"]

    assert wait_s.mean() == pytest.approx(service_s * utilization / (2 * (1 - utilization)), rel=0.04)


def test_the_pool_with_the_least_outstanding_work_gets_the_prompt() -> None:
    config = split(pool(2))

    requests = played(config, Trace.of([0.0, 0.0, 0.1], [900, 100, 50], 2)).finish().requests

    assert requests.parts_s["prefill_queue"] == pytest.approx([0.0, 0.0, 0.0])
    assert {pod.role for pod in played(config, Trace.of([0.0], 1, 1)).pods()} == {Role.PREFILL, Role.DECODE}
