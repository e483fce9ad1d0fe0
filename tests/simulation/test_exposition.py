from __future__ import annotations

import math
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from autoscaler.core.policy import Role
from autoscaler.simulation.counters import Histogram, PodCounters
from autoscaler.simulation.exposition import render_pod
from tests.simulation.pod_builder import pod

MODEL = "meta-llama/Llama-3.1-70B-Instruct"
Parsed = dict[str, dict[frozenset[tuple[str, str]], float]]


def render(made: PodCounters) -> str:
    return render_pod(made, model_name=MODEL, created_unix_s=1.788184174081528e9)


def parse(text: str) -> Parsed:
    parsed: Parsed = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            own = {name: value for name, value in sample.labels.items() if name not in ("engine", "model_name")}
            parsed.setdefault(sample.name, {})[frozenset(own.items())] = sample.value
    return parsed


def by(parsed: Parsed, name: str, label: str) -> dict[str, float]:
    return {dict(labels)[label]: value for labels, value in parsed[name].items()}


def plain(parsed: Parsed, name: str) -> float:
    return parsed[name][frozenset()]


@given(st.integers(0, 10_000), st.sampled_from([Role.PREFILL, Role.DECODE, Role.AGGREGATED]))
def test_the_page_says_what_was_counted(seed: int, role: Role) -> None:
    made = pod(role=role, seed=seed)

    page = parse(render(made))

    assert plain(page, "vllm:num_requests_running") == made.running
    assert plain(page, "vllm:num_requests_waiting") == made.waiting
    assert plain(page, "vllm:kv_cache_usage_perc") == made.kv_usage_ratio
    assert plain(page, "vllm:prompt_tokens_total") == made.prompt_tokens_total
    assert plain(page, "vllm:generation_tokens_total") == made.generation_tokens_total
    assert plain(page, "vllm:num_preemptions_total") == made.preemptions_total
    assert plain(page, "vllm:prefix_cache_queries_total") == made.prefix_cache_queries_total
    assert plain(page, "vllm:prefix_cache_hits_total") == made.prefix_cache_hits_total
    assert plain(page, "vllm:nixl_num_kv_expired_reqs_total") == made.nixl_num_kv_expired_reqs_total
    assert by(page, "vllm:prompt_tokens_by_source_total", "source") == made.prompt_tokens_by_source
    assert by(page, "vllm:request_success_total", "finished_reason") == {
        **made.request_success_total,
        "repetition": 0,
    }


@given(st.integers(0, 10_000))
def test_every_histogram_comes_back_as_it_was(seed: int) -> None:
    made = pod(seed=seed)

    page = parse(render(made))

    read = {
        name: Histogram(
            bounds=[float(le) for le in by(page, f"vllm:{name}_bucket", "le")][:-1],
            cumulative_counts=list(by(page, f"vllm:{name}_bucket", "le").values()),
            sum=plain(page, f"vllm:{name}_sum"),
        )
        for name in made.histograms
    }
    assert {n: (tuple(h.bounds), tuple(h.cumulative_counts), h.sum) for n, h in read.items()} == {
        n: (tuple(h.bounds), tuple(h.cumulative_counts), h.sum) for n, h in made.histograms.items()
    }
    assert all(plain(page, f"vllm:{name}_count") == made.histograms[name].count for name in made.histograms)


def test_every_engine_series_names_model_and_engine_but_the_cache_config_names_no_model() -> None:
    labels = {
        sample.name: set(sample.labels) & {"engine", "model_name"}
        for family in text_string_to_metric_families(render(pod()))
        for sample in family.samples
    }

    assert labels.pop("vllm:cache_config_info") == {"engine"}
    assert set(map(frozenset, labels.values())) == {frozenset({"engine", "model_name"})}


def test_the_cache_config_tells_the_kv_capacity() -> None:
    info = dict(next(iter(parse(render(pod()))["vllm:cache_config_info"])))

    assert int(info["num_gpu_blocks"]) * int(info["block_size"]) == 28562 * 16


def test_waiting_is_split_into_capacity_and_deferred() -> None:
    page = parse(render(pod(waiting=5, waiting_for_kv=3)))

    assert by(page, "vllm:num_requests_waiting_by_reason", "reason") == {"capacity": 2, "deferred": 3}


def test_only_consumers_of_kv_tell_their_fetches() -> None:
    assert "vllm:num_requests_kv_fetch_by_stage" not in parse(render(pod(role=Role.PREFILL)))
    fetches = by(parse(render(pod(role=Role.DECODE))), "vllm:num_requests_kv_fetch_by_stage", "stage")
    assert fetches == {"waiting_to_start": 0, "in_progress": 3, "completed_waiting": 0}


def test_numbers_look_as_prometheus_client_writes_them() -> None:
    text = render(pod(running=7))

    assert f'vllm:num_requests_running{{engine="0",model_name="{MODEL}"}} 7.0\n' in text
    assert 'le="1.0"' in text
    assert 'le="+Inf"' in text
    assert f'vllm:prompt_tokens_created{{engine="0",model_name="{MODEL}"}} 1.788184174081528e+09\n' in text


def test_every_counter_and_histogram_tells_when_it_was_created() -> None:
    page = parse(render(pod()))
    counted = {name.removesuffix("_total") for name in page if name.endswith("_total")}
    counted |= {name.removesuffix("_sum") for name in page if name.endswith("_sum")}

    assert {name.removesuffix("_created") for name in page if name.endswith("_created")} == counted


def test_a_model_name_with_quotes_survives() -> None:
    text = render_pod(pod(), model_name='we"ird\\name\n', created_unix_s=0.0)

    names = {s.labels.get("model_name") for f in text_string_to_metric_families(text) for s in f.samples}
    assert names == {'we"ird\\name\n', None}


@pytest.mark.parametrize("role", [Role.PREFILL, Role.DECODE])
def test_promtool_objects_to_nothing_but_the_names_that_vllm_chose(role: Role) -> None:
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=render(pod(role=role)), capture_output=True, text=True, check=False
    )

    objections = {line.partition(" ")[2] for line in checked.stderr.splitlines()}
    assert objections == {"metric names should not contain ':'"}, checked.stderr


def test_no_number_on_the_page_is_nan() -> None:
    assert not any(math.isnan(v) for series in parse(render(pod())).values() for v in series.values())
