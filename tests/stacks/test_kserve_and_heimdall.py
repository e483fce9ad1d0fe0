"""Stacks that start from llm-d: the same picker, other labels and spellings."""

from __future__ import annotations

import pytest

from autoscaler.core.policy import Role
from autoscaler.core.signals import Signals
from tests.sources.chat import ENGINES
from tests.sources.chat import EXPECTED as AT_THE_ENGINES
from tests.stacks.services import FROM_S, NOW_S, check, fill, pick, read, service
from tests.stacks.test_llm_d import PICKER, SEEN_BY_USERS, WAITING_AT_THE_PICKER
from tests.support.prometheus import Prometheus
from tests.support.series_epp import Names, page
from tests.support.series_kit import Page
from tests.support.vllm_series import Fleet

KSERVE = {
    role: {"llm_isvc_role": role, "llm_isvc_name": "chat", "llm_isvc_component": "workload"}
    for role in ("prefill", "decode")
}


@pytest.fixture(scope="module")
def kserve(server: Prometheus) -> Signals:
    fleet = Fleet(ENGINES, "llama", {"namespace": "kserve"}, by_role=KSERVE, prefix="kserve_vllm:")
    server.write(fleet.time_series(FROM_S, NOW_S))
    fill(server, [page(PICKER, "kserve", "llama", Names.BOTH)])
    return read(server, service("kserve", selector={"namespace": "kserve"}, targets=("chat", "chat")))


@pytest.mark.parametrize("path", AT_THE_ENGINES)
def test_renamed_engines_and_the_picker_are_read_together_on_kserve(kserve: Signals, path: str) -> None:
    check(kserve, path, (AT_THE_ENGINES | WAITING_AT_THE_PICKER | SEEN_BY_USERS)[path])


def test_names_that_were_not_renamed_are_read_too(server: Prometheus) -> None:
    fleet = Fleet(ENGINES, "llama", {"namespace": "kserve-plain"}, by_role=KSERVE)
    server.write(fleet.time_series(FROM_S, NOW_S))

    signals = read(server, service("kserve", selector={"namespace": "kserve-plain"}))

    for path, expected in AT_THE_ENGINES.items():
        check(signals, path, expected)


def test_kserves_workloads_are_named_after_the_service() -> None:
    of = service("kserve", selector={}, targets=("chat", "chat"))

    asked_for = {role: query.asked_for[0].expressions[0].text for role, query in of.replicas.items()}
    assert asked_for == {
        Role.PREFILL: 'max(kube_deployment_spec_replicas{deployment="chat-kserve-prefill",})',
        Role.DECODE: 'max(kube_deployment_spec_replicas{deployment="chat-kserve",})',
    }


@pytest.fixture(scope="module")
def heimdall(server: Prometheus) -> Signals:
    labels = {"namespace": "mif-0-4", "pool": "chat", "inference_service": "chat"}
    fleet = Fleet(ENGINES, "llama", labels, pod_label="instance", prefix="llm_")
    server.write(fleet.time_series(FROM_S, NOW_S))
    picker = page(PICKER, "mif-0-4", "llama", Names.OBJECTIVE)
    fill(server, [Page({**picker.target, "pool": "chat"}, picker.rows)])
    return read(server, service("moreh-0-4", selector={"namespace": "mif-0-4", "pool": "chat"}))


@pytest.mark.parametrize("path", AT_THE_ENGINES)
def test_engines_whose_prefix_was_rewritten_are_read_on_mif_0_4(heimdall: Signals, path: str) -> None:
    check(heimdall, path, (AT_THE_ENGINES | WAITING_AT_THE_PICKER)[path])


def test_mif_0_4_says_that_the_time_to_first_token_is_that_of_the_engines(heimdall: Signals) -> None:
    assert "at the engines" in pick(heimdall, "service.ttft_s").detail
