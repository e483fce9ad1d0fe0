"""How long the slowest request of a hundred stays on decode, which `doctor` holds against the grace period."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest

from autoscaler.sources.http import Connection
from autoscaler.sources.prometheus import PrometheusSource
from autoscaler.stacks.load import load_stack, stack_names
from autoscaler.stacks.queries import ServiceQueries
from tests.sources.chat import DECODE
from tests.stacks.fixtures import FIXTURES
from tests.stacks.services import NOW_S, fill, service
from tests.stacks.test_mindie import DECODE as ON_MINDIE
from tests.stacks.test_moreh import GATEWAY
from tests.stacks.test_sglang import PODS
from tests.stacks.test_triton import GENERATION
from tests.support import series_mindie, series_moreh, series_sglang, series_triton, series_trtllm
from tests.support.distributions import quantile
from tests.support.prometheus import Prometheus
from tests.support.series_trtllm import REQUEST_BOUNDS_S as TRT_BOUNDS_S
from tests.support.vllm_series import REQUEST_BOUNDS_S


def stream_s(server: Prometheus, of: ServiceQueries) -> float | None:
    """In the dialect in which there is an answer, as seconds."""
    with closing(PrometheusSource(of, Connection(server.url))) as source:
        for dialect in (of, *of.alternatives):
            for candidate in dialect.stream:
                text = candidate.expressions[0].text
                elements = source.ask([text], NOW_S)[text].elements
                if elements:
                    return elements[0].value * candidate.factor
    return None


@pytest.mark.parametrize("stack", stack_names())
def test_every_stack_has_a_way_to_tell(stack: str) -> None:
    assert all(dialect.stream for dialect in load_stack(stack).dialects)


HISTOGRAMS = {
    "vllm": quantile(0.99, DECODE.latencies_s["vllm:e2e_request_latency_seconds"], REQUEST_BOUNDS_S),
    "sglang": quantile(0.99, PODS[-1].latencies_s["e2e_request_latency_seconds"], series_sglang.E2E_BOUNDS_S),
    "trtllm": quantile(0.99, series_trtllm.GENERATION.latencies_s["e2e_request_latency_seconds"], TRT_BOUNDS_S),
    "mindie": quantile(0.99, ON_MINDIE.e2e_s, series_mindie.E2E_BOUNDS_S),
}


@pytest.mark.parametrize("stack", HISTOGRAMS)
def test_an_engine_tells_it_by_the_histogram_of_its_decode_servers(server: Prometheus, stack: str) -> None:
    labels = {"namespace": f"stream-{stack}"}
    FIXTURES[stack](server, labels, "llama")

    found = stream_s(server, service(stack, selector=labels))

    assert found == pytest.approx(HISTOGRAMS[stack])


def test_moreh_tells_it_by_the_gateways_histogram(server: Prometheus) -> None:
    fill(server, series_moreh.pages(GATEWAY, "stream-moreh"))

    found = stream_s(server, service("moreh", selector={"namespace": "stream-moreh", "aigateway": "chat"}))

    assert found == pytest.approx(quantile(0.99, GATEWAY.duration_s, series_moreh.LATENCY_BOUNDS_S))


def test_triton_tells_it_by_the_summary_of_its_slowest_server(server: Prometheus) -> None:
    labels = {"namespace": "stream-triton", "role": "decode"}
    servers = [replace(GENERATION, pod=f"d-{index}", request_us=us) for index, us in enumerate((8e6, 45e6))]
    fill(server, [series_triton.page(one, "tensorrt_llm", labels) for one in servers])
    queries = service("triton", selector={"namespace": "stream-triton"}, model="tensorrt_llm")

    assert stream_s(server, queries) == pytest.approx(45.0)


def test_triton_that_does_not_summarise_says_nothing_and_how_it_would(server: Prometheus) -> None:
    fill(server, [series_triton.page(GENERATION, "tensorrt_llm", {"namespace": "no-summary", "role": "decode"})])
    queries = service("triton", selector={"namespace": "no-summary"}, model="tensorrt_llm")

    assert stream_s(server, queries) is None
    assert "--metrics-config summary_latencies=true" in queries.stream[0].note
