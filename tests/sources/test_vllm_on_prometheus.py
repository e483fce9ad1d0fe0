from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core.signals import Signals, SignalState
from autoscaler.stacks.dialects import assemble
from autoscaler.stacks.load import parse_stack
from autoscaler.stacks.placeholders import Matcher
from autoscaler.stacks.resolve import ServiceLabels, resolve
from tests.sources.chat import (
    DECODE,
    E2E_S,
    ENGINES,
    EXPECTED,
    FROM_S,
    NOW_S,
    OBJECTIVES,
    PREFILL,
    TPOT_S,
    TTFT_S,
    fill,
    pick,
    queries,
    read,
)
from tests.support.distributions import quantile, sum_below
from tests.support.prometheus import Prometheus, running_prometheus
from tests.support.vllm_series import REQUEST_BOUNDS_S, TOKEN_BOUNDS_S, TTFT_BOUNDS_S, Engine, Fleet


def test_every_signal_of_the_stack_has_an_expected_value(chat: Signals) -> None:
    assert {f"{scope}.{name}" for scope, signals in chat.items() for name in signals} == set(EXPECTED)


@pytest.mark.parametrize("path", EXPECTED)
def test_a_signal_is_what_one_computes_by_hand(chat: Signals, path: str) -> None:
    signal = pick(chat, path)

    assert signal.state is SignalState.VALUE, signal.detail
    assert signal.value == pytest.approx(EXPECTED[path], rel=1e-7 if "attainment" in path else 1e-9)
    assert signal.age_s == 0.0


def test_an_attainment_between_two_bounds_is_interpolated_and_says_between_which(chat: Signals) -> None:
    assert pick(chat, "service.tpot_attainment_ratio").detail == (
        "interpolated at 0.06 s; the buckets allow 66.7% to 100.0%"
    )


def test_the_attainment_of_a_sum_of_two_legs_says_that_it_takes_them_as_independent(chat: Signals) -> None:
    assert pick(chat, "service.ttft_attainment_ratio").detail == (
        "interpolated at 0.9 s; the buckets allow 33.3% to 77.8%; two legs added as if independent"
    )


def test_a_sum_of_two_legs_that_is_exact_says_only_that_it_takes_them_as_independent(server: Prometheus) -> None:
    fast = ("vllm:e2e_request_latency_seconds", "vllm:time_to_first_token_seconds")
    engines = [replace(one, latencies_s={**one.latencies_s, **dict.fromkeys(fast, (0.2,))}) for one in ENGINES]
    fill(server, "all-inside", *engines)

    attained = pick(read(server, queries("all-inside")), "service.ttft_attainment_ratio")

    assert attained.value == 1.0
    assert attained.detail == "two legs added as if independent"


def test_pods_that_report_stand_in_for_kube_state_metrics_and_the_detail_says_so(chat: Signals) -> None:
    assert "pods that report metrics" in pick(chat, "decode.ready_replicas").detail


def test_replicas_of_different_size_are_averaged_and_the_detail_says_so(chat: Signals) -> None:
    assert pick(chat, "decode.kv_capacity_tokens").detail == "replicas differ: 16000 to 48000"


def test_concurrent_dispatch_takes_the_time_to_first_token_from_decode_alone(server: Prometheus, chat: Signals) -> None:
    signals = read(server, queries("chat", dispatch="concurrent"))

    assert pick(signals, "service.ttft_s").value == pytest.approx(quantile(0.95, TTFT_S, TTFT_BOUNDS_S))
    assert pick(signals, "service.ttft_s").detail == ""
    assert pick(signals, "service.ttft_attainment_ratio").value == 1.0
    assert pick(chat, "service.ttft_s").value > pick(signals, "service.ttft_s").value  # type: ignore[operator]


def test_concurrent_dispatch_does_not_count_what_prefill_has_as_waiting_for_decode(server: Prometheus) -> None:
    signals = read(server, queries("chat", dispatch="concurrent"))

    assert pick(signals, "decode.waiting").value == 2 * (6.0 - 4.0)
    assert "without those whose KV is still to come" in pick(signals, "decode.waiting").detail


def test_before_the_split_of_the_queue_what_prefill_has_is_subtracted(server: Prometheus) -> None:
    idle = replace(PREFILL, version=(0, 19), waiting=lambda _: 1.0, running=2.0)
    fill(server, "concurrent-old", idle, replace(DECODE, version=(0, 19)))

    waiting = pick(read(server, queries("concurrent-old", dispatch="concurrent")), "decode.waiting")

    assert waiting.value == 6.0 - 3.0


def test_with_concurrent_dispatch_and_no_prefill_the_whole_queue_waits_for_decode(server: Prometheus) -> None:
    fill(server, "concurrent-off", replace(DECODE, version=(0, 19)))

    signals = read(server, queries("concurrent-off", dispatch="concurrent"))

    assert pick(signals, "decode.waiting").value == 6.0
    assert "wrong if prefill serves but is not scraped" in pick(signals, "decode.waiting").detail
    assert pick(signals, "decode.first_token_time_s").value == pytest.approx(0.58 / 3)


def test_decode_that_prefills_itself_reads_its_share_of_computed_tokens(server: Prometheus) -> None:
    alone = {"local_compute": 0.8, "local_cache_hit": 0.2, "external_kv_transfer": 0.0}
    fill(server, "off", replace(DECODE, sources=alone, waiting=lambda at_s: 6.0 + 0.05 * (at_s - FROM_S)))

    signals = read(server, queries("off"))

    assert pick(signals, "decode.uncached_ratio").value == pytest.approx(0.8)
    assert pick(signals, "decode.offered_tokens_per_s").value == pytest.approx((3.0 + 0.05) * 1200)
    assert pick(signals, "decode.request_rate").value == pytest.approx(3.0 + 0.05)


def test_the_first_token_of_concurrent_dispatch_is_what_decode_adds_to_prefill(server: Prometheus) -> None:
    fast = {"vllm:e2e_request_latency_seconds": (0.05,)}
    fill(server, "concurrent-first", replace(PREFILL, latencies_s=fast), DECODE)

    first = pick(read(server, queries("concurrent-first", dispatch="concurrent")), "decode.first_token_time_s")

    assert first.value == pytest.approx(0.58 / 3 - 0.05)


def test_without_prefill_the_time_to_first_token_is_that_of_decode_and_says_so(server: Prometheus) -> None:
    fill(server, "no-prefill", DECODE)

    signals = read(server, queries("no-prefill"))

    assert pick(signals, "service.ttft_s").value == pytest.approx(quantile(0.95, TTFT_S, TTFT_BOUNDS_S))
    assert "decode alone, because no request finished on prefill" in pick(signals, "service.ttft_s").detail
    assert pick(signals, "service.ttft_attainment_ratio").value == 1.0
    assert "decode alone" in pick(signals, "service.ttft_attainment_ratio").detail


def test_requests_that_bypass_prefill_count_with_decodes_time_alone(server: Prometheus) -> None:
    fill(server, "bypass", replace(PREFILL, finished=15), replace(DECODE, finished=60))

    attainment = pick(read(server, queries("bypass")), "service.ttft_attainment_ratio")

    assert attainment.value == pytest.approx(
        0.25 * sum_below(0.9, E2E_S, TTFT_S, REQUEST_BOUNDS_S, TTFT_BOUNDS_S) + 0.75 * 1.0
    )
    assert "25% of the requests passed both legs" in attainment.detail


def test_a_restarted_engine_is_no_negative_rate(server: Prometheus) -> None:
    fill(server, "restart", *(replace(engine, started_s=NOW_S - 60.0) for engine in ENGINES))

    signals = read(server, queries("restart"))

    for path in ("service.request_rate", "prefill.offered_tokens_per_s", "service.ttft_attainment_ratio"):
        assert pick(signals, path).value == pytest.approx(EXPECTED[path])


def test_a_removed_pod_leaves_the_queue_at_once_and_its_share_of_the_rates_later(server: Prometheus) -> None:
    gone = replace(DECODE, pod="d-2", until_s=NOW_S - 60.0)
    fill(server, "removed", *ENGINES, gone)

    signals = read(server, queries("removed"))

    assert pick(signals, "decode.running").value == EXPECTED["decode.running"]
    assert pick(signals, "decode.ready_replicas").value == 2.0
    rate = pick(signals, "service.request_rate")
    assert rate.usable is not None
    assert 6.0 < rate.usable < 9.0


@pytest.mark.parametrize("version", [(0, 8), (0, 9), (0, 10), (0, 11), (0, 16), (0, 19), (0, 20), (0, 32), (0, 33)])
def test_older_versions_are_read_under_their_own_names(server: Prometheus, version: tuple[int, int]) -> None:
    namespace = f"version-{version[1]}"
    fill(server, namespace, *(replace(engine, version=version) for engine in ENGINES))

    signals = read(server, queries(namespace))

    same = EXPECTED.keys() - {"decode.waiting_for_kv", "service.tpot_s", "service.tpot_attainment_ratio"}
    absent_paths = {"service.kv_transfer_time_s"} if version < (0, 11) else set()
    # Before 0.16 KV that prefill sent is not told from KV that decode computed.
    computed = {"decode.uncached_ratio": 0.7} if version < (0, 16) else {}
    for path, expected in {**{path: EXPECTED[path] for path in same - absent_paths}, **computed}.items():
        assert pick(signals, path).value == pytest.approx(expected, rel=1e-6), path
    for path in absent_paths:
        assert pick(signals, path).state is SignalState.ABSENT
    assert (pick(signals, "decode.waiting_for_kv").value is None) == (version < (0, 20))
    tpot = pick(signals, "service.tpot_s")
    cycle_s = TPOT_S if version >= (0, 11) else (0.02, 0.03, 0.07)
    assert tpot.value == pytest.approx(quantile(0.9, cycle_s, TOKEN_BOUNDS_S))
    assert ("gaps between tokens" in tpot.detail) == (version < (0, 11))


@pytest.mark.parametrize(
    ("histogram", "engine", "words"),
    [
        ("vllm:mooncake_xfer_time_seconds", PREFILL, "Mooncake"),
        ("lmcache:store_put_time", PREFILL, "LMCache put on prefill"),
        ("lmcache:time_to_retrieve", DECODE, "LMCache load on decode"),
    ],
)
def test_the_kv_transfer_time_comes_from_the_connector_in_use(
    server: Prometheus, histogram: str, engine: Engine, words: str
) -> None:
    namespace = histogram.replace(":", "-")
    fill(server, namespace, replace(engine, latencies_s={histogram: (0.02, 0.03, 0.1)}))

    transfer = pick(read(server, queries(namespace)), "service.kv_transfer_time_s")

    assert transfer.value == pytest.approx(0.05)
    assert words in transfer.detail


@pytest.mark.parametrize("prefix", ["kserve_vllm:", "vllm_"])
def test_names_of_lmcache_change_along_with_those_of_the_engine(server: Prometheus, prefix: str) -> None:
    labels = {"namespace": f"lmcache-{prefix.strip(':_').replace('_', '-')}"}
    engine = replace(PREFILL, latencies_s={"lmcache:store_put_time": (0.02, 0.03, 0.1)})
    server.write(Fleet((engine,), "llama", labels, prefix=prefix).time_series(FROM_S, NOW_S))

    assert pick(read(server, queries(labels["namespace"])), "service.kv_transfer_time_s").value == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("name", "of"), [("lmcache:store_put_time", PREFILL), ("lmcache:time_to_retrieve", DECODE)], ids=["put", "load"]
)
def test_lmcache_is_told_by_its_pod_because_it_has_another_model_name_and_role(
    server: Prometheus, name: str, of: Engine
) -> None:
    namespace = name.replace(":", "-").replace("_", "-")
    plain = replace(of, latencies_s={})
    fill(server, namespace, plain)
    fill(server, namespace, replace(plain, pod="other-0"), model="other")
    for pod, cycle_s in ((of.pod, (0.02, 0.03, 0.1)), ("other-0", (7.0,))):
        served = {"namespace": namespace, "served_model_name": "llama"}
        with_cache = replace(plain, pod=pod, role="worker", latencies_s={name: cycle_s})
        series = Fleet((with_cache,), "/models/llama", served).time_series(FROM_S, NOW_S)
        server.write(one for one in series if one.labels["__name__"].startswith("lmcache:"))

    assert pick(read(server, queries(namespace)), "service.kv_transfer_time_s").value == pytest.approx(0.05)


def test_where_a_replica_is_a_group_of_pods_its_kv_is_that_of_all_of_them(server: Prometheus) -> None:
    own = b"name: groups\ntitle: vLLM in groups\nlike: vllm\nlabels: {pod: group, model: model_name, role: %s}"
    role = b"{name: role, values: {prefill: prefill, decode: decode}}"
    stack = assemble(parse_stack(own % role, "groups"), {})
    for group, pods in (("d-0", ("d-0", "d-0-1")), ("d-1", ("d-1", "d-1-1"))):
        ranks = [replace(DECODE, pod=pod, engine=str(rank)) for rank, pod in enumerate(pods)]
        labels = {"namespace": "groups", "group": group}
        server.write(Fleet(tuple(ranks), "llama", labels).time_series(FROM_S, NOW_S))
    selector = (Matcher("namespace", "groups"),)

    signals = read(server, resolve(stack, "chat", ServiceLabels(model="llama", selector=selector), OBJECTIVES))

    assert pick(signals, "decode.kv_capacity_tokens").value == 2 * 1000 * 16
    assert pick(signals, "decode.ready_replicas").value == 2.0


@pytest.mark.parametrize("ports", [(8000, 8000), (8000, 8001)], ids=["one front end", "a front end for each"])
def test_the_kv_of_data_parallel_engines_counts_once(server: Prometheus, ports: tuple[int, int]) -> None:
    namespace = f"ranks-{ports[1]}"
    fill(server, namespace, *(replace(DECODE, engine=str(rank), port=port) for rank, port in enumerate(ports)))

    assert pick(read(server, queries(namespace)), "decode.kv_capacity_tokens").value == 2 * 1000 * 16


def test_a_backfilled_history_reads_as_a_live_one(chat: Signals) -> None:
    history = Fleet(ENGINES, "llama", {"namespace": "chat"}).openmetrics(FROM_S, NOW_S)

    with running_prometheus(openmetrics=history) as backfilled:
        signals = read(backfilled, queries("chat"))

    assert signals == chat
