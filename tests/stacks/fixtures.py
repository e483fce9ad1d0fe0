"""Of every stack a service that runs well, in the stack's own metric format, for tests that need any of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from tests.sources.chat import ENGINES
from tests.stacks.services import FROM_S, NOW_S, fill
from tests.stacks.test_hyperpod import ENGINES as ON_LMCACHE
from tests.stacks.test_mindie import DECODE, PREFILL
from tests.stacks.test_moreh import GATEWAY
from tests.stacks.test_sglang import PODS
from tests.stacks.test_triton import CONTEXT, GENERATION
from tests.stacks.test_trtllm import SERVERS
from tests.support import series_aibrix, series_dynamo, series_epp, series_mindie, series_moreh, series_triton
from tests.support.prometheus import Prometheus
from tests.support.series_sglang import pages as sglang_pages
from tests.support.series_trtllm import page as trtllm_page
from tests.support.vllm_series import Engine, Fleet

Labels = Mapping[str, str]
Write = Callable[[Prometheus, Labels, str], None]
"""Writes a service's series, with the labels of its selector and the name of its model."""

ROLES = ("prefill", "decode")


def _vllm(
    server: Prometheus,
    labels: Labels,
    model: str,
    *,
    by_role: Callable[[str], Labels] = lambda role: {"role": role},
    engines: tuple[Engine, ...] = ENGINES,
    pod_label: str = "pod",
    prefix: str = "vllm:",
) -> None:
    of_role = {role: by_role(role) for role in ROLES}
    fleet = Fleet(engines, model, labels, by_role=of_role, pod_label=pod_label, prefix=prefix)
    server.write(fleet.time_series(FROM_S, NOW_S))


def _sglang(server: Prometheus, labels: Labels, model: str) -> None:
    found = sglang_pages(PODS, labels["namespace"], model, version=(5, 23), prefix="sglang_")
    fill(server, [replace(page, target={**page.target, **labels}) for page in found])


def _trtllm(server: Prometheus, labels: Labels, model: str) -> None:
    for one in SERVERS:
        role = "prefill" if one.pod.startswith("p") else "decode"
        fill(server, [trtllm_page(one, model, {**labels, "role": role})])


def _triton(server: Prometheus, labels: Labels, model: str) -> None:
    for one, role in ((CONTEXT, "prefill"), (GENERATION, "decode")):
        fill(server, [series_triton.page(one, model, {**labels, "role": role})])


def _production_stack(server: Prometheus, labels: Labels, model: str) -> None:
    _vllm(server, labels, model, by_role=lambda role: {"service": f"vllm-llama-{role}-engine-service"})


def _picker(server: Prometheus, labels: Labels, model: str, names: series_epp.Names, added: str = "") -> None:
    page = series_epp.page(series_epp.Picker(held=lambda _: 2.0), labels["namespace"], model, names)
    rows = [replace(row, name=f"{added}{row.name}") for row in page.rows]
    fill(server, [replace(page, target={**page.target, **labels}, rows=rows)])


def _llm_d(server: Prometheus, labels: Labels, model: str) -> None:
    _vllm(server, labels, model, by_role=lambda role: {"job": f"{labels['namespace']}/{role}-podmonitor"})
    _picker(server, labels, model, series_epp.Names.BOTH)


def _kserve(server: Prometheus, labels: Labels, model: str) -> None:
    _vllm(server, labels, model, by_role=lambda role: {"llm_isvc_role": role}, prefix="kserve_vllm:")
    _picker(server, labels, model, series_epp.Names.NEW, "kserve_")


def _moreh_0_4(server: Prometheus, labels: Labels, model: str) -> None:
    _vllm(server, labels, model, pod_label="instance", prefix="llm_")
    _picker(server, labels, model, series_epp.Names.OBJECTIVE)


def _moreh(server: Prometheus, labels: Labels, model: str) -> None:
    fill(server, series_moreh.pages(replace(GATEWAY, model=model), labels["namespace"], labels["aigateway"]))


def _dynamo(server: Prometheus, labels: Labels, model: str) -> None:
    components = {"prefill": "prefill", "decode": "backend"}
    namespace = labels["namespace"]
    _vllm(server, labels, model, by_role=lambda role: series_dynamo.worker_labels(namespace, components[role]))
    fill(server, [series_dynamo.frontend_page(series_dynamo.Frontend(), namespace, model)])


def _hyperpod(server: Prometheus, labels: Labels, model: str) -> None:
    _vllm(server, labels, model, by_role=lambda role: {"container": f"{role}-llama"}, engines=ON_LMCACHE)


def _aibrix(server: Prometheus, labels: Labels, model: str) -> None:
    _vllm(server, labels, model)
    fill(server, [series_aibrix.page(series_aibrix.Gateway(), model, labels["namespace"])])


def _mindie(server: Prometheus, labels: Labels, model: str) -> None:
    for one, role in ((PREFILL, "prefill"), (DECODE, "decode")):
        fill(server, [series_mindie.page(one, model, {**labels, "role": role})])


def _pymotor(server: Prometheus, labels: Labels, model: str) -> None:
    by_instance = {"pod": "coordinator-0"}
    _vllm(server, labels, model, by_role=lambda role: {"role": role, **by_instance}, pod_label="instance_id")


FIXTURES: Mapping[str, Write] = MappingProxyType(
    {
        "aibrix": _aibrix,
        "dynamo": _dynamo,
        "grove": _vllm,
        "hyperpod": _hyperpod,
        "kserve": _kserve,
        "kthena": _sglang,
        "llm-d": _llm_d,
        "mindie": _mindie,
        "mindie-pymotor": _pymotor,
        "moreh": _moreh,
        "moreh-0-4": _moreh_0_4,
        "ome": _sglang,
        "production-stack": _production_stack,
        "rbg": _sglang,
        "sglang": _sglang,
        "triton": _triton,
        "trtllm": _trtllm,
        "vllm": _vllm,
    }
)
