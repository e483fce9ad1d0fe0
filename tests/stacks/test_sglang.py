from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core.signals import Signals
from tests.stacks.services import ALL_PATHS, NOW_S, check, fill, pick, read, service
from tests.support.distributions import below, quantile
from tests.support.prometheus import Prometheus, TimeSeries
from tests.support.series_kit import Page
from tests.support.series_sglang import DECODE, ITL_BOUNDS_S, PREFILL, PROMPT_BOUNDS, TTFT_BOUNDS_S, Version, pages

PODS = (
    PREFILL,
    replace(PREFILL, name="p-1", ranks=PREFILL.ranks[1:], requests_per_s=2.0),
    DECODE,
    replace(DECODE, name="d-1", requests_per_s=2.0, ranks=(replace(DECODE.ranks[0], usage=0.85, output_per_s=500.0),)),
)
"""Two prefill pods with three ranks, two decode pods; 6 requests/s on either side."""

GROWTH = 0.02
BOOTSTRAP_GROWTH = 0.01
HELD_UP_S = 0.3 + 0.04 + 0.02
EXPECTED: dict[str, float | str] = {
    "prefill.queue_depth": 5.0 + GROWTH * (NOW_S % 7_000) + 1.0 + 1.0,
    "prefill.in_flight": 6.0,
    "prefill.offered_tokens_per_s": 3 * 2400.0 + (GROWTH + BOOTSTRAP_GROWTH) * 1200,
    "prefill.uncached_ratio": 0.7,
    "prefill.request_rate": 6.0 + GROWTH,
    "prefill.queue_time_s": 0.3,
    "prefill.prefill_time_s": 0.3,
    "prefill.kv_utilization_mean": (0.3 + 0.4) / 2,
    "prefill.kv_utilization_max": 0.4,
    "prefill.ready_replicas": 2.0,
    "prefill.reporting_replicas": 2.0,
    "decode.kv_utilization_mean": 0.7,
    "decode.kv_utilization_max": 0.85,
    "decode.running": 120.0,
    "decode.waiting": 2 * (2.0 + 7.0) + 5.0,
    "decode.waiting_for_kv": 2 * 7.0 + 5.0,
    "decode.preemption_rate": 0.4,
    "decode.offered_tokens_per_s": 6.0 * 1200,
    "decode.uncached_ratio": 1.0,
    "decode.request_rate": 6.0,
    "decode.generation_tokens_per_s": 1500.0,
    "decode.step_time_s": 0.121 / 3,
    "decode.queue_time_s": HELD_UP_S,
    "decode.first_token_time_s": HELD_UP_S,
    "decode.kv_capacity_tokens": 400_000.0,
    "decode.ready_replicas": 2.0,
    "decode.reporting_replicas": 2.0,
    "service.kv_transfer_time_s": 0.04,
    "service.kv_expired_rate": "SGLang reserves room on decode before it prefills",
    "service.ttft_s": quantile(0.95, (0.5, 0.7, 1.6), TTFT_BOUNDS_S),
    "service.tpot_s": quantile(0.9, (0.03, 0.05, 0.075), ITL_BOUNDS_S),
    "service.ttft_attainment_ratio": below(0.9, (0.5, 0.7, 1.6), TTFT_BOUNDS_S),
    "service.tpot_attainment_ratio": below(0.06, (0.03, 0.05, 0.075), ITL_BOUNDS_S),
    "service.request_rate": 6.0,
    "service.input_tokens_mean": 1200.0,
    "service.input_tokens_p50": quantile(0.5, (600.0, 1200.0, 1800.0), PROMPT_BOUNDS),
    "service.input_tokens_p90": quantile(0.9, (600.0, 1200.0, 1800.0), PROMPT_BOUNDS),
    "service.output_tokens_mean": 250.0,
}
GAPS_S = (0.018, 0.033, 0.07)


def signals_of(server: Prometheus, namespace: str, version: Version, prefix: str = "sglang:") -> Signals:
    fill(server, pages(PODS, namespace, "llama", version=version, prefix=prefix))
    return read(server, service("sglang", selector={"namespace": namespace}))


@pytest.fixture(scope="module")
def signals(server: Prometheus) -> Signals:
    return signals_of(server, "sglang", (5, 23))


def test_every_signal_has_an_expected_value() -> None:
    assert EXPECTED.keys() == ALL_PATHS


@pytest.mark.parametrize("path", EXPECTED)
def test_a_signal_is_what_one_computes_by_hand(signals: Signals, path: str) -> None:
    check(signals, path, EXPECTED[path])


def test_where_nothing_streams_the_first_token_is_that_of_all_and_the_detail_says_what_it_is(
    server: Prometheus,
) -> None:
    found = pages(PODS, "sglang-whole", "llama", version=(5, 23))
    for one in found:
        fill(server, [Page(one.target, [row for row in one.rows if row.labels.get("is_streaming") != "True"])])

    signals = read(server, service("sglang", selector={"namespace": "sglang-whole"}))

    check(signals, "service.ttft_s", quantile(0.95, (5.0, 7.0, 16.0), TTFT_BOUNDS_S))
    assert "do not stream" in pick(signals, "service.ttft_s").detail
    assert "do not stream" in pick(signals, "service.ttft_attainment_ratio").detail


def test_lengths_of_prompts_that_are_not_collected_are_absent_and_the_mean_stays(server: Prometheus) -> None:
    latencies_s = {name: cycle for name, cycle in DECODE.latencies_s.items() if name != "prompt_tokens_histogram"}
    fill(server, pages([replace(DECODE, latencies_s=latencies_s)], "sglang-lengths", "llama", version=(5, 12)))

    signals = read(server, service("sglang", selector={"namespace": "sglang-lengths"}))

    check(signals, "service.input_tokens_p50", "no series match sglang:prompt_tokens_histogram_bucket")
    check(signals, "service.input_tokens_mean", 1200.0)


def test_names_with_underscores_are_read_alike(server: Prometheus) -> None:
    signals = signals_of(server, "sglang-legacy", (5, 23), "sglang_")

    for path, expected in EXPECTED.items():
        check(signals, path, expected)


@pytest.mark.parametrize(
    ("version", "differing"),
    [
        (
            (5, 12),
            {
                "service.tpot_s": quantile(0.9, GAPS_S, ITL_BOUNDS_S),
                "service.tpot_attainment_ratio": below(0.06, GAPS_S, ITL_BOUNDS_S),
            },
        ),
        (
            (5, 9),
            {
                "service.tpot_s": quantile(0.9, GAPS_S, ITL_BOUNDS_S),
                "service.tpot_attainment_ratio": below(0.06, GAPS_S, ITL_BOUNDS_S),
                "service.kv_transfer_time_s": 0.04,
            },
        ),
        (
            (5, 3),
            {
                "service.tpot_s": quantile(0.9, GAPS_S, ITL_BOUNDS_S),
                "service.tpot_attainment_ratio": below(0.06, GAPS_S, ITL_BOUNDS_S),
                "decode.preemption_rate": "no series match sglang:num_retracted_requests_total",
                "decode.kv_capacity_tokens": "no series match sglang:max_total_num_tokens",
            },
        ),
        (
            (5, 2),
            {
                "service.tpot_s": quantile(0.9, GAPS_S, ITL_BOUNDS_S),
                "service.tpot_attainment_ratio": below(0.06, GAPS_S, ITL_BOUNDS_S),
                "service.kv_transfer_time_s": 0.06,
                "decode.preemption_rate": "no series match",
                "decode.kv_capacity_tokens": "no series match",
                "decode.queue_time_s": "no series match",
                "decode.first_token_time_s": "no series match",
                "prefill.queue_time_s": "no series match",
                "prefill.prefill_time_s": "no series match",
            },
        ),
    ],
)
def test_older_versions_are_read_under_their_own_names(
    server: Prometheus, version: Version, differing: dict[str, float | str]
) -> None:
    signals = signals_of(server, f"sglang-{version[1]}", version)

    # What is counted at the end of requests differs from what is counted as it happens, here in the pods' shares.
    tokens = {"prefill.offered_tokens_per_s": 6 * 1200 + (GROWTH + BOOTSTRAP_GROWTH) * 1200} if version < (5, 7) else {}
    for path, expected in {**EXPECTED, **tokens, **differing}.items():
        check(signals, path, expected)


def test_an_old_gauge_of_the_transfer_is_the_last_one_and_says_so(server: Prometheus) -> None:
    signals = signals_of(server, "sglang-gauge", (5, 2))

    assert "the last transfer of each engine" in pick(signals, "service.kv_transfer_time_s").detail


def test_a_restarted_engine_is_no_negative_rate(server: Prometheus) -> None:
    restarted = [replace(pod, started_s=NOW_S - 60.0) for pod in PODS]
    fill(server, pages(restarted, "sglang-restart", "llama", version=(5, 23)))

    signals = read(server, service("sglang", selector={"namespace": "sglang-restart"}))

    for path in ("service.request_rate", "prefill.offered_tokens_per_s", "service.ttft_attainment_ratio"):
        check(signals, path, EXPECTED[path])


@pytest.mark.parametrize(("stack", "workload"), [("rbg", "chat-decode"), ("ome", "chat-decoder")])
def test_frameworks_around_sglang_read_it_and_name_their_workloads(
    server: Prometheus, stack: str, workload: str
) -> None:
    fill(server, pages(PODS, f"sglang-{stack}", "llama", version=(5, 23), prefix="sglang_"))
    labels = {"namespace": f"sglang-{stack}"}
    server.write(
        [
            TimeSeries(
                {"__name__": "kube_deployment_status_replicas_ready", "deployment": workload, **labels}, [(NOW_S, 7.0)]
            )
        ]
    )

    signals = read(server, service(stack, selector=labels, targets=("chat", "chat")))

    for path, expected in {**EXPECTED, "decode.ready_replicas": 7.0}.items():
        check(signals, path, expected)
