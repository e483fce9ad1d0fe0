from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core.signals import Signals
from autoscaler.stacks.queries import ServiceQueries
from tests.sources.chat import ENGINES
from tests.sources.chat import EXPECTED as AT_THE_ENGINES
from tests.stacks.services import FROM_S, NOW_S, check, fill, pick, read, service
from tests.stacks.test_sglang import EXPECTED as ON_SGLANG
from tests.stacks.test_sglang import PODS as SGLANG_PODS
from tests.stacks.test_trtllm import EXPECTED as ON_TRTLLM
from tests.stacks.test_trtllm import SERVERS
from tests.support.distributions import below, quantile
from tests.support.prometheus import Prometheus
from tests.support.series_dynamo import (
    INPUT_BOUNDS,
    ITL_BOUNDS_S,
    TTFT_BOUNDS_S,
    Frontend,
    frontend_page,
    worker_labels,
    worker_page,
)
from tests.support.series_sglang import pages as sglang_pages
from tests.support.series_trtllm import page as trtllm_page
from tests.support.vllm_series import Fleet

MODEL = "Org/Llama"
FRONTEND = Frontend()
AT_THE_FRONTEND: dict[str, float] = {
    "prefill.offered_tokens_per_s": 7.0 * 1150,
    "prefill.request_rate": 7.0,
    "decode.offered_tokens_per_s": 7.0 * 1150,
    "decode.request_rate": 7.0,
    "service.ttft_s": quantile(0.95, FRONTEND.ttft_s, TTFT_BOUNDS_S),
    "service.ttft_attainment_ratio": below(0.9, FRONTEND.ttft_s, TTFT_BOUNDS_S),
    "service.request_rate": 6.0,
    "service.input_tokens_mean": 1150.0,
    "service.input_tokens_p50": quantile(0.5, FRONTEND.input_tokens, INPUT_BOUNDS),
    "service.input_tokens_p90": quantile(0.9, FRONTEND.input_tokens, INPUT_BOUNDS),
    "service.output_tokens_mean": 250.0,
}
HELD: dict[str, float] = {
    "prefill.queue_depth": AT_THE_ENGINES["prefill.queue_depth"] + 9.0,
    "decode.waiting": AT_THE_ENGINES["decode.waiting"] + 2.0,
}


def queries(namespace: str) -> ServiceQueries:
    return service("dynamo", selector={"namespace": namespace}, model=MODEL)


def write_vllm(server: Prometheus, namespace: str) -> None:
    by_role = {"prefill": worker_labels(namespace, "prefill"), "decode": worker_labels(namespace, "backend")}
    server.write(Fleet(ENGINES, MODEL, {"namespace": namespace}, by_role=by_role).time_series(FROM_S, NOW_S))


@pytest.fixture(scope="module")
def signals(server: Prometheus) -> Signals:
    write_vllm(server, "dynamo")
    fill(server, [frontend_page(FRONTEND, "dynamo", MODEL)])
    return read(server, queries("dynamo"))


@pytest.mark.parametrize("path", AT_THE_ENGINES)
def test_a_signal_is_that_of_frontend_router_and_engines_together(signals: Signals, path: str) -> None:
    check(signals, path, (AT_THE_ENGINES | AT_THE_FRONTEND | HELD)[path])


def test_releases_that_write_the_model_in_lower_case_are_read_too(server: Prometheus) -> None:
    write_vllm(server, "dynamo-lower")
    fill(server, [frontend_page(replace(FRONTEND, keeps_case=False), "dynamo-lower", MODEL)])

    signals = read(server, queries("dynamo-lower"))

    for path, expected in (AT_THE_FRONTEND | HELD).items():
        check(signals, path, expected)


def test_releases_that_do_not_count_what_comes_in_are_read_at_the_engines(server: Prometheus) -> None:
    write_vllm(server, "dynamo-old")
    fill(server, [frontend_page(replace(FRONTEND, started_per_s=None), "dynamo-old", MODEL)])

    signals = read(server, queries("dynamo-old"))

    told = ("offered_tokens_per_s", "request_rate")
    for path in (f"{role}.{name}" for role in ("prefill", "decode") for name in told):
        check(signals, path, AT_THE_ENGINES[path])


def test_router_queues_that_do_not_name_the_model_count(server: Prometheus) -> None:
    write_vllm(server, "dynamo-nameless")
    fill(server, [frontend_page(replace(FRONTEND, queue_has_model=False), "dynamo-nameless", MODEL)])

    signals = read(server, queries("dynamo-nameless"))

    for path, expected in HELD.items():
        check(signals, path, expected)


def test_without_a_queueing_router_the_engines_queues_are_all(server: Prometheus) -> None:
    write_vllm(server, "dynamo-plain")
    plain = replace(FRONTEND, held_for_prefill=None, held_for_decode=None)
    fill(server, [frontend_page(plain, "dynamo-plain", MODEL)])

    signals = read(server, queries("dynamo-plain"))

    for path in HELD:
        check(signals, path, AT_THE_ENGINES[path])


@pytest.mark.parametrize(("family", "cached"), [("", "cached_tokens"), ("kvstats_", "cached_sequence_length")])
def test_where_engine_metrics_are_not_passed_through_workers_and_frontend_tell_what_they_can(
    server: Prometheus, family: str, cached: str
) -> None:
    namespace = f"dynamo-bare-{family.strip('_')}"
    fill(
        server,
        [
            frontend_page(replace(FRONTEND, cached_name=cached), namespace, MODEL),
            worker_page("p-0", "prefill", namespace, 0.2, 1000.0, family),
            worker_page("d-0", "backend", namespace, 0.5, 2000.0, family),
            worker_page("d-1", "backend", namespace, 0.9, 3000.0, family),
        ],
    )

    signals = read(server, queries(namespace))

    expected: dict[str, float | str] = {
        **AT_THE_FRONTEND,
        "prefill.uncached_ratio": 0.8,
        "prefill.kv_utilization_mean": 0.2,
        "decode.kv_utilization_mean": 0.7,
        "decode.kv_utilization_max": 0.9,
        "decode.kv_capacity_tokens": 2500.0 * 16,
        "decode.generation_tokens_per_s": 1500.0,
        "decode.step_time_s": 0.04,
        "service.kv_transfer_time_s": 0.08,
        "service.tpot_s": quantile(0.9, FRONTEND.itl_s, ITL_BOUNDS_S),
        "service.tpot_attainment_ratio": below(0.06, FRONTEND.itl_s, ITL_BOUNDS_S),
        "prefill.queue_depth": 4.0 - 1.0 + 9.0,
        "prefill.in_flight": 1.0,
        "decode.running": "no series match vllm:num_requests_running",
    }
    for path, value in expected.items():
        check(signals, path, value)
    assert "as the worker tells its router" in pick(signals, "decode.kv_utilization_max").detail


def test_sglang_workers_are_found_by_themselves(server: Prometheus) -> None:
    namespace = "dynamo-sglang"
    for found in sglang_pages(SGLANG_PODS, namespace, MODEL, version=(5, 23)):
        component = "prefill" if found.target["pod"].startswith("p") else "backend"
        fill(server, [replace(found, target={**found.target, **worker_labels(namespace, component)})])
    fill(server, [frontend_page(FRONTEND, namespace, MODEL)])

    signals = read(server, queries(namespace))

    for path in ("decode.kv_capacity_tokens", "prefill.prefill_time_s", "service.kv_transfer_time_s"):
        check(signals, path, ON_SGLANG[path])
    check(signals, "service.ttft_s", AT_THE_FRONTEND["service.ttft_s"])


def test_tensorrt_llm_workers_are_found_by_themselves(server: Prometheus) -> None:
    namespace = "dynamo-trtllm"
    for one in SERVERS:
        component = "prefill" if one.pod.startswith("p") else "tensorrt_llm"
        fill(server, [trtllm_page(one, MODEL, {"namespace": namespace, **worker_labels(namespace, component)})])
    fill(server, [frontend_page(FRONTEND, namespace, MODEL)])

    signals = read(server, queries(namespace))

    for path in ("decode.kv_capacity_tokens", "prefill.prefill_time_s", "service.kv_transfer_time_s", "service.tpot_s"):
        check(signals, path, ON_TRTLLM[path])
    check(signals, "service.ttft_s", AT_THE_FRONTEND["service.ttft_s"])
