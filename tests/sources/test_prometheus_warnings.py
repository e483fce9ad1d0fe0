"""Answers with warnings: what they cost, and what they do not."""

from __future__ import annotations

from typing import Any

from autoscaler.core.signals import SignalState
from autoscaler.sources.query_client import FailureKind
from tests.sources.chat import NOW_S, pick
from tests.sources.prometheus_server import elements, healthy, reading
from tests.support.loopback import Reply, Request, json_reply, running_loopback


def test_a_partial_answer_is_shown_and_may_not_be_used() -> None:
    def partial(request: Request) -> Reply:
        return healthy(request, warnings=["No StoreAPIs matched for this query"])

    with running_loopback(partial) as server, reading(server) as source:
        signals = source.read(NOW_S)

    signal = pick(signals, "decode.running")
    assert (signal.state, signal.value, signal.usable) == (SignalState.STALE, 7.0, None)
    assert signal.detail == "the answer may be incomplete: No StoreAPIs matched for this query"
    assert source.last_read.errors == {FailureKind.WARNING: source.last_read.requests}


def test_a_leg_that_a_partial_answer_lacks_is_not_taken_as_no_leg() -> None:
    def without_prefill(request: Request) -> Reply:
        arms = [arm for arm in elements(request.form["query"]) if not is_sum_of_legs(request.form["query"], arm)]
        result = {"resultType": "vector", "result": arms}
        return json_reply({"status": "success", "data": result, "warnings": ["a store is away"]})

    def is_sum_of_legs(query: str, element: dict[str, Any]) -> bool:
        position = query.find(f'"pd_signal", "{element["metric"]["pd_signal"]}"')
        return "e2e_request_latency" in query[query.rfind("label_replace(", 0, position) : position]

    with running_loopback(without_prefill) as server, reading(server) as source:
        ttft = pick(source.read(NOW_S), "service.ttft_s")

    assert ttft.state is SignalState.ABSENT
    assert ttft.detail == "the answer is empty and may be incomplete: a store is away"


def test_remarks_on_style_change_nothing() -> None:
    def remark(request: Request) -> Reply:
        return healthy(request, warnings=["PromQL info: metric might not be a counter"], infos=["PromQL info: x"])

    with running_loopback(remark) as server, reading(server) as source:
        assert pick(source.read(NOW_S), "decode.running").usable == 7.0


def test_a_warning_about_one_expression_costs_only_its_own_signal() -> None:
    def warn(request: Request) -> Reply:
        if "num_preemptions" in request.form["query"]:
            return healthy(request, warnings=["PromQL warning: bucket label is missing"])
        return healthy(request)

    with running_loopback(warn) as server, reading(server) as source:
        signals = source.read(NOW_S)

    assert pick(signals, "decode.preemption_rate").state is SignalState.STALE
    assert pick(signals, "decode.running").usable == 7.0
