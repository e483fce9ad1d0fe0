from __future__ import annotations

from collections.abc import Sequence

import pytest

from autoscaler.core.signals import Signals
from tests.sources.chat import DECODE as VLLM_DECODE
from tests.sources.chat import ENGINES
from tests.sources.chat import EXPECTED as AT_THE_ENGINES
from tests.stacks.services import FROM_S, NOW_S, check, fill, pick, read, service
from tests.stacks.test_sglang import EXPECTED as ON_SGLANG
from tests.stacks.test_sglang import PODS as SGLANG_PODS
from tests.support.distributions import below, quantile
from tests.support.prometheus import Prometheus
from tests.support.series_epp import TPOT_BOUNDS_S, TTFT_BOUNDS_S, Names, Picker, page
from tests.support.series_sglang import pages as sglang_pages
from tests.support.vllm_series import Engine, Fleet

GROWTH = 0.1
PICKER = Picker(held=lambda at_s: 40.0 + GROWTH * (at_s - NOW_S))
WAITING_AT_THE_PICKER: dict[str, float] = {
    "prefill.queue_depth": AT_THE_ENGINES["prefill.queue_depth"] + 40.0,
    "prefill.offered_tokens_per_s": AT_THE_ENGINES["prefill.offered_tokens_per_s"] + GROWTH * 1100,
    "prefill.request_rate": AT_THE_ENGINES["prefill.request_rate"] + GROWTH,
    "prefill.queue_time_s": AT_THE_ENGINES["prefill.queue_time_s"] + 0.2,
    "decode.offered_tokens_per_s": AT_THE_ENGINES["decode.offered_tokens_per_s"] + GROWTH * 1100,
    "decode.request_rate": AT_THE_ENGINES["decode.request_rate"] + GROWTH,
}
SEEN_BY_USERS: dict[str, float] = {
    "service.ttft_s": quantile(0.95, PICKER.ttft_s, TTFT_BOUNDS_S),
    "service.ttft_attainment_ratio": below(0.9, PICKER.ttft_s, TTFT_BOUNDS_S),
}


def write_engines(server: Prometheus, namespace: str, engines: Sequence[Engine] = ENGINES) -> None:
    """Engines as the PodMonitors of the guides scrape them: the monitor's name tells the role."""
    by_role = {role: {"job": f"{namespace}/{role}-podmonitor"} for role in ("prefill", "decode")}
    server.write(Fleet(tuple(engines), "llama", {"namespace": namespace}, by_role=by_role).time_series(FROM_S, NOW_S))


def signals_of(server: Prometheus, namespace: str, names: Names, picker: Picker = PICKER) -> Signals:
    write_engines(server, namespace)
    fill(server, [page(picker, namespace, "llama", names)])
    return read(server, service("llm-d", selector={"namespace": namespace}))


@pytest.fixture(scope="module")
def signals(server: Prometheus) -> Signals:
    return signals_of(server, "llm-d", Names.BOTH)


@pytest.mark.parametrize("path", AT_THE_ENGINES)
def test_a_signal_is_that_of_the_engines_and_what_waits_and_is_seen_at_the_picker(signals: Signals, path: str) -> None:
    check(signals, path, (AT_THE_ENGINES | WAITING_AT_THE_PICKER | SEEN_BY_USERS)[path])


def test_the_users_time_to_first_token_says_where_it_was_measured(signals: Signals) -> None:
    assert pick(signals, "service.ttft_s").detail == "streaming requests, counted when their stream ends"


@pytest.mark.parametrize("names", [Names.NEW, Names.OBJECTIVE, Names.FIRST_FLOW_CONTROL, Names.MODEL])
def test_every_generation_of_names_is_read(server: Prometheus, names: Names) -> None:
    signals = signals_of(server, f"llm-d-{names.name.lower().replace('_', '-')}", names)

    differing = SEEN_BY_USERS if names is Names.NEW else {}
    # The oldest names of prompt lengths are not read, so growth at the picker counts in requests only.
    offered = ("prefill.offered_tokens_per_s", "decode.offered_tokens_per_s")
    untold = {path: AT_THE_ENGINES[path] for path in offered} if names is Names.MODEL else {}
    for path, expected in {**AT_THE_ENGINES, **WAITING_AT_THE_PICKER, **differing, **untold}.items():
        check(signals, path, expected)


def test_without_flow_control_nothing_waits_at_the_picker(server: Prometheus) -> None:
    signals = signals_of(server, "llm-d-no-flow-control", Names.NEW, Picker())

    for path in WAITING_AT_THE_PICKER:
        check(signals, path, AT_THE_ENGINES[path])


def test_without_the_pickers_metrics_the_engines_tell_and_the_detail_says_so(server: Prometheus) -> None:
    write_engines(server, "llm-d-no-epp")

    signals = read(server, service("llm-d", selector={"namespace": "llm-d-no-epp"}))

    for path, expected in AT_THE_ENGINES.items():
        check(signals, path, expected)
    assert "at the engines, without the wait at the picker" in pick(signals, "service.ttft_s").detail


def test_without_decodes_metrics_the_picker_tells_what_it_can(server: Prometheus) -> None:
    write_engines(server, "llm-d-no-decode", [engine for engine in ENGINES if engine.role != VLLM_DECODE.role])
    fill(server, [page(PICKER, "llm-d-no-decode", "llama", Names.BOTH)])

    signals = read(server, service("llm-d", selector={"namespace": "llm-d-no-decode"}))

    expected: dict[str, float | str] = {
        "service.request_rate": 6.0,
        "service.tpot_s": quantile(0.9, PICKER.tpot_s, TPOT_BOUNDS_S),
        "service.tpot_attainment_ratio": below(0.06, PICKER.tpot_s, TPOT_BOUNDS_S),
        "service.input_tokens_mean": 1100.0,
        "service.output_tokens_mean": 200.0,
        "decode.running": '{namespace="llm-d-no-decode",job=~"(.*/)?[^/]*decode[^/]*"',
    }
    for path, value in expected.items():
        check(signals, path, value)


def test_without_a_prefill_engine_what_the_picker_holds_waits_for_decode(server: Prometheus) -> None:
    namespace = "llm-d-no-prefill"
    write_engines(server, namespace, [engine for engine in ENGINES if engine.role == VLLM_DECODE.role])
    fill(server, [page(PICKER, namespace, "llama", Names.BOTH)])

    signals = read(server, service("llm-d", selector={"namespace": namespace}))

    held = WAITING_AT_THE_PICKER["prefill.queue_depth"] - AT_THE_ENGINES["prefill.queue_depth"]
    check(signals, "decode.waiting", AT_THE_ENGINES["decode.waiting"] + held)
    check(signals, "decode.request_rate", WAITING_AT_THE_PICKER["decode.request_rate"])


def test_a_picker_whose_scrape_died_makes_what_waits_there_stale(server: Prometheus) -> None:
    namespace = "llm-d-epp-died"
    write_engines(server, namespace)
    died = page(PICKER, namespace, "llama", Names.NEW)
    fill(server, [type(died)(died.target, died.rows, until_s=NOW_S - 120.0, lingers=True)])

    signals = read(server, service("llm-d", selector={"namespace": namespace}))

    depth = pick(signals, "prefill.queue_depth")
    assert (depth.usable, depth.age_s) == (None, 120.0)
    assert pick(signals, "decode.running").usable == AT_THE_ENGINES["decode.running"]


def test_sglang_behind_the_picker_is_found_by_itself(server: Prometheus) -> None:
    namespace = "llm-d-sglang"
    for found in sglang_pages(SGLANG_PODS, namespace, "llama", version=(5, 23)):
        role = "prefill" if str(found.target["pod"]).startswith("p-") else "decode"
        fill(server, [type(found)({**found.target, "job": f"{namespace}/{role}-podmonitor"}, found.rows)])
    fill(server, [page(PICKER, namespace, "llama", Names.NEW)])

    signals = read(server, service("llm-d", selector={"namespace": namespace}))

    waiting = ON_SGLANG["prefill.queue_depth"]
    assert isinstance(waiting, float)
    check(signals, "prefill.queue_depth", waiting + 40.0)
    for path in ("decode.waiting", "decode.kv_capacity_tokens", "service.kv_transfer_time_s"):
        check(signals, path, ON_SGLANG[path])
    check(signals, "service.ttft_s", SEEN_BY_USERS["service.ttft_s"])
