"""Stacks whose signals are those of the engine, whichever it is."""

from __future__ import annotations

import pytest

from tests.sources.chat import ENGINES
from tests.sources.chat import EXPECTED as ON_VLLM
from tests.stacks.services import FROM_S, NOW_S, check, fill, read, service
from tests.stacks.test_sglang import EXPECTED as ON_SGLANG
from tests.stacks.test_sglang import PODS
from tests.stacks.test_trtllm import EXPECTED as ON_TRTLLM
from tests.stacks.test_trtllm import SERVERS
from tests.stacks.test_trtllm import write as write_trtllm
from tests.support.prometheus import Prometheus
from tests.support.series_sglang import pages as sglang_pages
from tests.support.vllm_series import Fleet


@pytest.mark.parametrize("stack", ["kthena", "grove", "rbg", "ome"])
def test_vllm_is_found_in_a_framework(server: Prometheus, stack: str) -> None:
    namespace = f"{stack}-vllm"
    server.write(Fleet(ENGINES, "llama", {"namespace": namespace}).time_series(FROM_S, NOW_S))

    signals = read(server, service(stack, selector={"namespace": namespace}))

    for path, expected in ON_VLLM.items():
        check(signals, path, expected)


@pytest.mark.parametrize("stack", ["kthena", "grove"])
def test_sglang_is_found_in_a_framework(server: Prometheus, stack: str) -> None:
    namespace = f"{stack}-sglang"
    fill(server, sglang_pages(PODS, namespace, "llama", version=(5, 23), prefix="sglang_"))

    signals = read(server, service(stack, selector={"namespace": namespace}))

    for path, expected in ON_SGLANG.items():
        check(signals, path, expected)


def test_tensorrt_llm_is_found_under_grove(server: Prometheus) -> None:
    write_trtllm(server, "grove-trtllm", SERVERS)

    signals = read(server, service("grove", selector={"namespace": "grove-trtllm"}))

    for path, expected in ON_TRTLLM.items():
        check(signals, path, expected)
