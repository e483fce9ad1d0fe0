from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core.signals import Signals
from tests.sources.chat import ENGINES
from tests.sources.chat import EXPECTED as ON_VLLM
from tests.stacks.services import ALL_PATHS, FROM_S, NOW_S, check, fill, read, service
from tests.support.distributions import below, quantile
from tests.support.prometheus import Prometheus
from tests.support.series_kit import Gauge, Page
from tests.support.series_mindie import LENGTH_BOUNDS, TOKEN_BOUNDS_S, TTFT_BOUNDS_S, Server, page
from tests.support.vllm_series import Fleet

TTFT_S, TPOT_S = (0.4, 0.6, 0.9), (0.03, 0.04, 0.07)
GROWTH = 0.02
PREFILL = Server(
    pod="p-0",
    requests_per_s=3.0,
    waiting=lambda at_s: 4.0 + GROWTH * (at_s % 7_000),
    running=2.0,
    usage=0.3,
    hit_rate=0.2,
    ttft_s=TTFT_S,
)
DECODE = Server(
    pod="d-0",
    requests_per_s=6.0,
    output_tokens=250.0,
    waiting=5.0,
    running=70.0,
    swapped=1.0,
    usage=0.6,
    preempted_per_s=0.3,
    tpot_s=TPOT_S,
    e2e_s=(7.0, 8.0, 33.0),
)
EXPECTED: dict[str, float | str] = {
    "prefill.queue_depth": 4.0 + GROWTH * (NOW_S % 7_000) + 1.0,
    "prefill.in_flight": 4.0,
    "prefill.offered_tokens_per_s": 6.0 * 1200 + GROWTH * 1200,
    "prefill.uncached_ratio": 0.7,
    "prefill.request_rate": 6.0 + GROWTH,
    "prefill.queue_time_s": "MindIE measures no queueing time",
    "prefill.prefill_time_s": "with the wait in it",
    "prefill.kv_utilization_mean": 0.4,
    "prefill.kv_utilization_max": 0.5,
    "prefill.ready_replicas": 2.0,
    "prefill.reporting_replicas": 2.0,
    "decode.kv_utilization_mean": 0.6,
    "decode.kv_utilization_max": 0.6,
    "decode.running": 70.0,
    "decode.waiting": 6.0,
    "decode.waiting_for_kv": "no gauge of them",
    "decode.preemption_rate": 0.3,
    "decode.offered_tokens_per_s": 6.0 * 1200,
    "decode.uncached_ratio": 1.0,
    "decode.request_rate": 6.0,
    "decode.generation_tokens_per_s": 1500.0,
    "decode.step_time_s": 0.14 / 3,
    "decode.queue_time_s": "MindIE measures no queueing time",
    "decode.first_token_time_s": "counted on prefill",
    "decode.kv_capacity_tokens": "not its size",
    "decode.ready_replicas": 1.0,
    "decode.reporting_replicas": 1.0,
    "service.kv_transfer_time_s": "measures no transfer",
    "service.kv_expired_rate": "no count of it",
    "service.ttft_s": quantile(0.95, TTFT_S, TTFT_BOUNDS_S),
    "service.tpot_s": quantile(0.9, TPOT_S, TOKEN_BOUNDS_S),
    "service.ttft_attainment_ratio": below(0.9, TTFT_S, TTFT_BOUNDS_S),
    "service.tpot_attainment_ratio": below(0.06, TPOT_S, TOKEN_BOUNDS_S),
    "service.request_rate": 6.0,
    "service.input_tokens_mean": 1200.0,
    "service.input_tokens_p50": quantile(0.5, (1200,), LENGTH_BOUNDS),
    "service.input_tokens_p90": quantile(0.9, (1200,), LENGTH_BOUNDS),
    "service.output_tokens_mean": 250.0,
}


@pytest.fixture(scope="module")
def signals(server: Prometheus) -> Signals:
    labels = {"namespace": "mindie"}
    fill(
        server,
        [
            page(PREFILL, "llama", {**labels, "role": "prefill"}),
            page(
                replace(PREFILL, pod="p-1", waiting=1.0, usage=0.5, hit_rate=0.4),
                "llama",
                {**labels, "role": "prefill"},
            ),
            page(DECODE, "llama", {**labels, "role": "decode"}),
            # The coordinator adds all of them up, under the same names and without a role.
            page(
                Server(pod="coordinator", requests_per_s=12.0, waiting=99.0, running=99.0, usage=0.5), "llama", labels
            ),
        ],
    )
    return read(server, service("mindie", selector=labels))


def test_every_signal_has_an_expected_value() -> None:
    assert EXPECTED.keys() == ALL_PATHS


@pytest.mark.parametrize("path", EXPECTED)
def test_servers_are_read_and_the_coordinator_beside_them_is_not(signals: Signals, path: str) -> None:
    check(signals, path, EXPECTED[path])


@pytest.fixture(scope="module")
def pymotor(server: Prometheus) -> Signals:
    """The coordinator's page by instance, with the page of all instances scraped beside it."""
    namespace = {"namespace": "pymotor"}
    by_role = {role: {"role": role, "pod": "coordinator-0"} for role in ("prefill", "decode")}
    engines = [replace(engine, pod=f"{engine.pod}-{engine.engine}") for engine in ENGINES]
    fleet = Fleet(tuple(engines), "llama", namespace, by_role=by_role, pod_label="instance_id")
    for series in fleet.time_series(FROM_S, NOW_S):
        # The engine's index does not survive the coordinator.
        server.write([replace(series, labels={key: text for key, text in series.labels.items() if key != "engine"})])
    workers: list[Gauge] = [
        Gauge("motor:active_prefill_workers", 3.0),
        Gauge("motor:active_decode_workers", 2.0),
        Gauge("vllm:num_requests_waiting", 500.0, {"model_name": "llama"}),
    ]
    fill(server, [Page({**namespace, "pod": "coordinator-0", "model_name": "llama"}, workers)])
    return read(server, service("mindie-pymotor", selector=namespace))


@pytest.mark.parametrize("path", ON_VLLM)
def test_instances_of_pymotor_are_read_with_their_roles(pymotor: Signals, path: str) -> None:
    differing: dict[str, float | str] = {
        "prefill.kv_utilization_mean": (0.2 + 0.4 + 0.6) / 3,  # each engine is an instance of its own here
        "prefill.ready_replicas": 3.0,
        "prefill.reporting_replicas": 3.0,
        "decode.kv_capacity_tokens": "without the label of the instance",
    }
    check(pymotor, path, {**ON_VLLM, **differing}[path])


def test_workers_of_pymotor_are_counted_under_their_older_names_too(server: Prometheus) -> None:
    namespace = {"namespace": "pymotor-older"}
    fill(server, [Page({**namespace, "pod": "coordinator-0"}, [Gauge("motor_active_decode_workers", 4.0)])])

    check(read(server, service("mindie-pymotor", selector=namespace)), "decode.ready_replicas", 4.0)
