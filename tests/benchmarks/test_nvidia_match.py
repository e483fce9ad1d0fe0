from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoscaler.core.policy import Role
from autoscaler.simulation.traces import Trace
from benchmarks.nvidia import contenders, fidelity, loads, match, ours, outcome, scene, tables, theirs
from benchmarks.nvidia.outcome import Outcome
from benchmarks.nvidia.scene import Job


def run_of(ttft_s: list[float], tpot_s: list[float], **other: Any) -> Outcome:
    told: dict[str, Any] = {
        "finished": np.ones(len(ttft_s), dtype=np.bool_),
        "preemptions": 0,
        "gpu_hours": 2.0,
        "changes": (),
        "duration_s": 3600.0,
        "took_s": 1.0,
        **other,
    }
    return Outcome(np.array(ttft_s), np.array(tpot_s), **told)


def test_a_single_token_has_no_tpot_to_miss_and_an_unfinished_request_misses() -> None:
    run = run_of(
        [0.1, 0.1, 3.0, 0.1, np.nan],
        [0.02, np.nan, 0.02, 0.06, np.nan],
        finished=np.array([True, True, True, True, False]),
    )

    assert run.attainment(scene.OBJECTIVES) == pytest.approx(0.4)


def test_a_score_counts_requests_in_time_per_gpu_hour() -> None:
    row = match.score(Job("test", 1, 1), "ours", run_of([0.1] * 9 + [9.0], [0.02] * 10))

    assert row["attainment"] == pytest.approx(0.9)
    assert row["attained_per_gpu_hour"] == pytest.approx(4.5)


def test_a_turn_within_ten_minutes_is_a_reversal() -> None:
    changes = (
        (0.0, "prefill", 2, 3),
        (60.0, "decode", 2, 1),
        (500.0, "prefill", 3, 2),
        (1200.0, "prefill", 2, 3),
        (1300.0, "prefill", 3, 4),
    )

    assert match.reversals(changes) == 1


def test_finalists_are_the_default_and_the_two_best_settings() -> None:
    rows = [
        {"contender": name, "attainment": attained, "attained_per_gpu_hour": per_hour, "gpu_hours": 1.0}
        for name, attained, per_hour in (
            (contenders.DEFAULT_PLANNER, 0.2, 20.0),
            ("planner, tight", 0.9, 90.0),
            ("planner, never down", 1.0, 50.0),
        )
    ]

    assert contenders.finalists(rows) == [contenders.DEFAULT_PLANNER, "planner, never down", "planner, tight"]


def test_our_policy_is_told_objectives_startup_time_and_engine_alone() -> None:
    policy = contenders.ours(120.0)

    assert policy.objectives == scene.OBJECTIVES
    for role in (Role.PREFILL, Role.DECODE):
        assert policy.roles[role].startup_time_s == 120.0
        assert policy.roles[role].settings == {}
        engine = policy.roles[role].engine
        assert engine is not None
        assert engine.kv_bytes_per_token == scene.KV_BYTES_PER_TOKEN


def test_a_run_survives_being_kept(tmp_path: Path) -> None:
    run = run_of([0.1, np.nan], [np.nan, 0.02], preemptions=3, changes=((15.0, "prefill", 1, 2),))

    outcome.keep(run, tmp_path / "run.npz")
    again = outcome.recall(tmp_path / "run.npz")

    np.testing.assert_array_equal(again.ttft_s, run.ttft_s)
    np.testing.assert_array_equal(again.tpot_s, run.tpot_s)
    assert (again.preemptions, again.gpu_hours, again.changes) == (3, 2.0, run.changes)


def test_equal_runs_have_ratio_one_and_agree_on_every_request() -> None:
    run = run_of([0.1, 0.2, 0.3], [0.02, np.nan, 0.03])

    row = fidelity.compare(run, run)

    assert row["ttft_p50"] == {"ours_s": 0.2, "theirs_s": 0.2, "ratio": 1.0}
    assert row["tpot_within_a_tenth"] == 1.0


def test_requests_match_although_arrivals_differ_by_rounding() -> None:
    arrival_s = np.array([0.3, 0.1 + 0.2, 0.1])
    order = outcome.request_order(arrival_s, np.array([7, 5, 9]), np.array([1, 1, 1]))

    assert order.tolist() == [2, 1, 0]


def test_no_two_prompts_share_a_prefix_in_what_nvidia_reads(tmp_path: Path) -> None:
    theirs.write_mooncake(Trace.of([0.0, 1.5], [1000, 100], [10, 20]), tmp_path / "trace.jsonl")

    lines = [json.loads(line) for line in (tmp_path / "trace.jsonl").read_text().splitlines()]

    assert lines == [
        {"timestamp": 0.0, "input_length": 1000, "output_length": 10, "hash_ids": [0, 1]},
        {"timestamp": 1500.0, "input_length": 100, "output_length": 20, "hash_ids": [2]},
    ]


def test_loads_begin_with_their_first_request() -> None:
    trace = loads.load("azure2023-conv-x2")

    assert trace.arrival_s[0] == 0.0
    assert trace.duration_s >= trace.arrival_s[-1]
    assert trace.input_tokens.max() + trace.output_tokens.max() <= scene.MAX_MODEL_TOKENS


def test_a_load_without_its_trace_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRACES", raising=False)

    with pytest.raises(loads.MissingTracesError, match="set TRACES to the folder that holds mooncake"):
        loads.load("mooncake-conversation-x1")


def test_long_prompts_take_several_passes() -> None:
    times_s = ours.prefill_s(Trace.of([0.0, 0.0, 0.0], [2048, 8192, 16384], 1))

    assert times_s.tolist() == pytest.approx([0.1845, 0.8643, 1.7285], abs=1e-3)


def test_a_static_fleet_serves_everything_in_our_simulator() -> None:
    trace = Trace.of(np.arange(50) * 0.5, 1000, 200)
    run = ours.replay(Job("test", 1, 1), trace)
    busy = ours.busy(Job("test", 1, 1), trace)

    assert run.finished.all()
    assert run.attainment(scene.OBJECTIVES) == 1.0
    assert busy.prefill_ratio == pytest.approx(50 * 0.091 / 24.5, rel=0.01)
    assert 0 < busy.decode_ratio <= busy.decode_peak_ratio < 0.1


def test_every_setting_is_shown_beside_ours() -> None:
    rows = [
        match.score(Job("load", 1, 1, startup_time_s=60.0, repeat=repeat), name, run_of([0.1] * 3 + [9.0], [0.02] * 4))
        for name in (contenders.OURS, *contenders.PLANNERS)
        for repeat in (0, 1)
    ]

    lines = tables.settings(rows).splitlines()

    assert len(lines) == 2 + 1 + len(contenders.PLANNERS)
    assert lines[0].split("|")[2].strip() == "load 60 s"
    assert [cell.strip() for cell in lines[-1].split("|")[1:3]] == ["never down", "75.0% / 2.0"]


def test_a_table_replaces_what_stood_between_its_marks(tmp_path: Path) -> None:
    document = tmp_path / "doc.md"
    document.write_text("before\n<!-- speed -->\nold\n<!-- /speed -->\nafter\n")

    tables.put(document, "speed", tables.markdown(("a", "bb"), [("1", "2"), ("333", "4")]))

    assert document.read_text() == (
        "before\n<!-- speed -->\n| a   | bb |\n| --- | -- |\n| 1   | 2  |\n| 333 | 4  |\n<!-- /speed -->\nafter\n"
    )


def test_a_document_without_a_place_for_a_table_is_an_error(tmp_path: Path) -> None:
    document = tmp_path / "doc.md"
    document.write_text("nothing\n")

    with pytest.raises(ValueError, match=r"has no place for a table: write <!-- speed -->"):
        tables.put(document, "speed", "table")
