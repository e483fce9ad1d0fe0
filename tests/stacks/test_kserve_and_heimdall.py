"""Stacks that start from llm-d: the same picker, other labels and spellings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core.policy import Role
from autoscaler.core.signals import Signals
from tests.sources.chat import ENGINES
from tests.sources.chat import EXPECTED as AT_THE_ENGINES
from tests.stacks.services import FROM_S, NOW_S, check, fill, pick, read, service
from tests.stacks.test_llm_d import PICKER, SEEN_BY_USERS, WAITING_AT_THE_PICKER
from tests.support.prometheus import Prometheus
from tests.support.series_epp import Names, Picker, page
from tests.support.series_kit import Page
from tests.support.vllm_series import Fleet

ON_KSERVE = AT_THE_ENGINES | WAITING_AT_THE_PICKER | SEEN_BY_USERS


def write_kserve(
    server: Prometheus,
    namespace: str,
    name: str = "chat",
    picker: Picker = PICKER,
    *,
    added: str,
    main: str = "decode",
) -> None:
    """A service as KServe's monitors scrape it; one kind of them puts `kserve_` before every name.

    Args:
        added: What stands before every name.
        main: Role of the main workload.
    """
    by_role = {
        role: {"llm_isvc_role": said, "llm_isvc_name": name}
        for role, said in {"prefill": "prefill", "decode": main}.items()
    }
    engines = [replace(engine, pod=f"{name}-{engine.pod}") for engine in ENGINES]
    fleet = Fleet(tuple(engines), "llama", {"namespace": namespace}, by_role=by_role, prefix=f"{added}vllm:")
    server.write(fleet.time_series(FROM_S, NOW_S))
    found = page(picker, namespace, "llama", Names.BOTH)
    rows = [replace(row, name=f"{added}{row.name}") for row in found.rows]
    fill(server, [Page({**found.target, "pod": f"{name}-epp", "llm_isvc_name": name}, rows)])


@pytest.fixture(scope="module")
def kserve(server: Prometheus) -> Signals:
    write_kserve(server, "kserve", added="kserve_")
    return read(server, service("kserve", selector={"namespace": "kserve"}, targets=("chat", "chat")))


@pytest.mark.parametrize("path", AT_THE_ENGINES)
def test_renamed_engines_and_the_renamed_picker_are_read_together_on_kserve(kserve: Signals, path: str) -> None:
    check(kserve, path, ON_KSERVE[path])


def test_names_that_were_not_renamed_are_read_too(server: Prometheus) -> None:
    write_kserve(server, "kserve-plain", added="")

    signals = read(server, service("kserve", selector={"namespace": "kserve-plain"}))

    for path, expected in ON_KSERVE.items():
        check(signals, path, expected)


@pytest.mark.parametrize("main", ["both", "prefill-decode"])
def test_a_main_workload_is_decode_by_any_of_its_names(server: Prometheus, main: str) -> None:
    write_kserve(server, f"kserve-main-{main}", added="", main=main)

    signals = read(server, service("kserve", selector={"namespace": f"kserve-main-{main}"}))

    check(signals, "decode.running", ON_KSERVE["decode.running"])
    check(signals, "prefill.in_flight", ON_KSERVE["prefill.in_flight"])


def test_names_that_are_there_in_both_forms_count_once(server: Prometheus) -> None:
    for added in ("", "kserve_"):
        write_kserve(server, "kserve-both", added=added)

    signals = read(server, service("kserve", selector={"namespace": "kserve-both"}))

    for path, expected in ON_KSERVE.items():
        check(signals, path, expected)


def test_the_picker_of_another_service_with_the_same_model_is_kept_out_by_its_name(server: Prometheus) -> None:
    write_kserve(server, "kserve-two", "chat", added="kserve_")
    write_kserve(server, "kserve-two", "batch", Picker(held=lambda _: 500.0), added="kserve_")

    of = service("kserve", selector={"namespace": "kserve-two", "llm_isvc_name": "chat"})

    check(read(server, of), "prefill.queue_depth", ON_KSERVE["prefill.queue_depth"])


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
