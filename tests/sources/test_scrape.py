from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import pytest

from autoscaler.core.policy import Role
from autoscaler.core.signals import Scope, SignalState
from autoscaler.core.snapshot import PoolState
from autoscaler.sources.endpoints import Endpoint, Endpoints, EndpointsError, fixed_endpoints
from autoscaler.sources.scrape import ScrapeSource
from autoscaler.stacks.errors import StackError
from autoscaler.stacks.queries import ServiceQueries
from tests.sources.chat import DECODE, ENGINES, EXPECTED, FROM_S, NOW_S, PREFILL, fill, pick, queries, read
from tests.support.loopback import Loopback, Reply, Request, running_loopback
from tests.support.prometheus import Prometheus
from tests.support.vllm_series import STEP_S, Engine, Fleet

GAUGE = "vllm:num_requests_running{} 3\n"


class Pods:
    """The pods of a service behind one server, at a time that the test sets."""

    def __init__(self, namespace: str, *engines: Engine) -> None:
        self.fleet = Fleet(engines, "llama", {"namespace": namespace})
        self.at_s = FROM_S
        self.broken: dict[str, Reply] = {}

    def answer(self, request: Request) -> Reply:
        pod = request.path.split("/")[1]
        return self.broken.get(pod) or Reply(body=self.fleet.page(pod, FROM_S, self.at_s).encode())

    def endpoints(self, url: str) -> Endpoints:
        labels = {"namespace": self.fleet.labels["namespace"]}
        pods = {engine.pod: engine.role for engine in self.fleet.engines}
        found = [Endpoint(f"{url}/{pod}/metrics", {**labels, "pod": pod, "role": role}) for pod, role in pods.items()]
        return lambda: [endpoint for endpoint in found if self.at_s <= self._until_s(endpoint.labels["pod"])]

    def _until_s(self, pod: str) -> float:
        return max(engine.until_s for engine in self.fleet.engines if engine.pod == pod)

    def scrape_all(self, source: ScrapeSource, until_s: float = NOW_S) -> None:
        while self.at_s <= until_s:
            source.scrape(self.at_s)
            self.at_s += STEP_S


@contextlib.contextmanager
def scraping(of: ServiceQueries, endpoints: Endpoints, timeout_s: float = 5.0) -> Iterator[ScrapeSource]:
    with contextlib.closing(ScrapeSource(of, endpoints, timeout_s=timeout_s)) as source:
        yield source


@contextlib.contextmanager
def single(answer: Callable[[Request], Reply]) -> Iterator[tuple[Loopback, ScrapeSource]]:
    """A service of one decode pod."""
    with running_loopback(answer) as server:
        labels = {"namespace": "one", "role": "decode", "model_name": "llama"}
        with scraping(queries("one"), fixed_endpoints([(f"{server.url}/metrics", labels)], "pod")) as source:
            yield server, source


@pytest.mark.parametrize(
    ("namespace", "engines"),
    [
        ("scrape-steady", ENGINES),
        ("scrape-restart", [replace(engine, started_s=NOW_S - 60.0) for engine in ENGINES]),
        ("scrape-removed", [*ENGINES, replace(DECODE, pod="d-2", until_s=NOW_S - 60.0)]),
        ("scrape-old", [replace(engine, version=(0, 8)) for engine in ENGINES]),
        ("scrape-idle", [replace(engine, finished=0, waiting=lambda _: 0.0) for engine in ENGINES]),
    ],
)
def test_scraping_gives_what_a_prometheus_gives_on_the_same_samples(
    server: Prometheus, namespace: str, engines: list[Engine]
) -> None:
    fill(server, namespace, *engines)
    pods = Pods(namespace, *engines)

    with running_loopback(pods.answer) as served, scraping(queries(namespace), pods.endpoints(served.url)) as source:
        pods.scrape_all(source)
        scraped = source.read(NOW_S)

    asked = read(server, queries(namespace))
    for scope, signals in asked.items():
        for name, signal in signals.items():
            mine = scraped[scope][name]
            assert (mine.state, mine.detail, mine.age_s) == (signal.state, signal.detail, signal.age_s), name
            assert mine.value == (None if signal.value is None else pytest.approx(signal.value, rel=1e-9)), name


def test_every_signal_that_needs_no_kube_state_metrics_is_what_one_computes_by_hand() -> None:
    pods = Pods("alone", *ENGINES)

    with running_loopback(pods.answer) as served, scraping(queries("alone"), pods.endpoints(served.url)) as source:
        pods.scrape_all(source)
        signals, counts = source.read(NOW_S), source.read_replicas(NOW_S)

    for path, value in EXPECTED.items():
        assert pick(signals, path).usable == pytest.approx(value, rel=1e-7), path
    assert counts.pools == {Role.PREFILL: PoolState(2, 2), Role.DECODE: PoolState(2, 2)}


def test_before_the_first_scrape_nothing_is_known() -> None:
    with scraping(queries("x"), list) as source:
        signals = source.read(NOW_S)

    assert pick(signals, "decode.running").detail == "nothing was scraped yet"


def test_a_service_without_pods_has_no_signals_and_says_why() -> None:
    with scraping(queries("x"), list) as source:
        source.scrape(NOW_S)
        signals = source.read(NOW_S)

    assert pick(signals, "decode.running").detail == "there is no pod to scrape"


def reply(body: str | bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Callable[[Request], Reply]:
    content = body.encode() if isinstance(body, str) else body
    return lambda _: Reply(status, content, headers or {})


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (reply("loading", 503), "answered 503 loading"),
        (reply("", 404), "answered 404"),
        (reply("what is {this"), "line 1 is not in Prometheus text format"),
        (reply(b"\xff\xfe"), "gave no page: 'utf-8' codec can't decode"),
        (reply(b" " * 17 * 1_048_576), "gave no page: the answer is larger than 16 MiB"),
        (lambda _: Reply(body=b"a 1", length=100), "gave no page: IncompleteRead"),
        (reply("", 302, {"Location": "/metrics"}), "gave no page: too many redirects"),
    ],
)
def test_a_page_that_cannot_be_read_is_named_with_the_reason(answer: Callable[[Request], Reply], words: str) -> None:
    with single(answer) as (server, source):
        stats = source.scrape(NOW_S)
        signals = source.read(NOW_S)

    assert words in stats.failures[f"{server.url}/metrics"]
    assert stats.pages == 0
    assert pick(signals, "decode.running").detail.startswith(f"1 of 1 pages failed: {server.url}/metrics: {words}")


def test_a_pod_that_is_gone_is_named_with_the_reason() -> None:
    with single(reply(GAUGE)) as (server, source):
        pass
    with scraping(queries("one"), fixed_endpoints([(f"{server.url}/metrics", {})], "pod")) as source:
        stats = source.scrape(NOW_S)

    assert "cannot be reached" in stats.trouble
    assert "Connection refused" in stats.trouble


def test_a_pod_that_hangs_costs_no_more_than_the_timeout_and_not_the_others() -> None:
    over = threading.Event()

    def hang_or_answer(request: Request) -> Reply:
        if request.path == "/slow":
            over.wait(10.0)
        return Reply(body=GAUGE.encode())

    with running_loopback(hang_or_answer) as server:
        labels = {"namespace": "one", "role": "decode", "model_name": "llama"}
        pages = [(f"{server.url}/slow", {**labels, "pod": "a"}), (f"{server.url}/fast", {**labels, "pod": "b"})]
        with scraping(queries("one"), fixed_endpoints(pages, "pod"), timeout_s=0.2) as source:
            started_s = time.monotonic()
            stats = source.scrape(NOW_S)
            took_s = time.monotonic() - started_s
            signals = source.read(NOW_S)
            over.set()

    assert took_s < 2.0
    assert stats.failures == {f"{server.url}/slow": "no answer within 0.2 s"}
    assert pick(signals, "decode.running").usable == 3.0


def test_a_redirect_is_followed() -> None:
    def moved(request: Request) -> Reply:
        if request.path == "/metrics":
            return Reply(307, headers={"Location": "/metrics/"})
        return Reply(body=GAUGE.encode())

    with single(moved) as (_, source):
        source.scrape(NOW_S)

        assert pick(source.read(NOW_S), "decode.running").usable == 3.0


def test_a_pod_that_fails_leaves_the_sums_at_once_and_comes_back() -> None:
    pods = Pods("flaky", *ENGINES)
    with running_loopback(pods.answer) as served, scraping(queries("flaky"), pods.endpoints(served.url)) as source:
        pods.scrape_all(source, NOW_S - STEP_S)
        pods.broken["d-1"] = Reply(500)
        source.scrape(NOW_S)
        without = source.read(NOW_S)
        del pods.broken["d-1"]
        pods.at_s = NOW_S + STEP_S
        source.scrape(NOW_S + STEP_S)
        again = source.read(NOW_S + STEP_S)

    assert pick(without, "decode.running").usable == 50.0
    assert pick(again, "decode.running").usable == 100.0


def test_pages_of_the_last_time_are_read_when_the_pods_cannot_be_listed() -> None:
    def unlisted() -> list[Endpoint]:
        if not listed:
            raise EndpointsError("pods cannot be listed: 403")
        return list(listed)

    listed: list[Endpoint] = []
    with running_loopback(reply(GAUGE)) as server, scraping(queries("one"), unlisted) as source:
        source.scrape(NOW_S - 20.0)
        never = source.read(NOW_S - 20.0)
        labels = {"namespace": "one", "role": "decode", "model_name": "llama", "pod": "d-0"}
        listed.append(Endpoint(f"{server.url}/metrics", labels))
        source.scrape(NOW_S - 10.0)
        listed.clear()
        stats = source.scrape(NOW_S)
        signals = source.read(NOW_S)

    assert pick(never, "decode.running").detail == "pods cannot be listed: 403"
    assert (stats.pages, stats.trouble) == (1, "pods cannot be listed: 403")
    assert pick(signals, "decode.running").age_s == 0.0


def test_two_pages_with_the_same_labels_do_not_mix() -> None:
    with running_loopback(reply(GAUGE)) as server:
        labels = {"namespace": "one", "role": "decode", "model_name": "llama", "pod": "d-0"}
        pages = [(f"{server.url}/a", labels), (f"{server.url}/b", labels)]
        with scraping(queries("one"), fixed_endpoints(pages, "pod")) as source:
            stats = source.scrape(NOW_S)
            signals = source.read(NOW_S)

    assert stats.failures == {f"{server.url}/b": f"has the same labels as {server.url}/a"}
    assert pick(signals, "decode.running").usable == 3.0


def test_a_label_of_the_page_does_not_hide_the_role_of_the_pod() -> None:
    page = 'vllm:num_requests_running{role="worker"} 3\n'
    with single(reply(page)) as (_, source):
        source.scrape(NOW_S)

        assert pick(source.read(NOW_S), "decode.running").usable == 3.0


def test_a_clock_that_goes_back_does_no_harm() -> None:
    with single(reply(GAUGE)) as (_, source):
        source.scrape(NOW_S)
        source.scrape(NOW_S - 100.0)

        assert pick(source.read(NOW_S), "decode.running").usable == 3.0


def test_an_expression_that_only_a_server_can_evaluate_is_refused_at_once() -> None:
    overrides = {Scope.SERVICE: {"ttft_s": "label_join(gateway_ttft, 'a', 'b', 'c')"}}

    with pytest.raises(StackError, match=r"without a Prometheus server this cannot be evaluated: .*label_join"):
        ScrapeSource(queries("x", overrides=overrides), list)


def test_an_ambiguous_expression_costs_only_its_own_signal() -> None:
    pods = Pods("ambiguous", *ENGINES)
    overrides = {Scope.SERVICE: {"tpot_s": "vllm:num_requests_running + on() vllm:num_requests_waiting"}}
    of = queries("ambiguous", overrides=overrides)

    with running_loopback(pods.answer) as served, scraping(of, pods.endpoints(served.url)) as source:
        source.scrape(FROM_S)
        signals = source.read(FROM_S)

    assert pick(signals, "service.tpot_s").state is SignalState.ABSENT
    assert "vllm:num_requests_running" in pick(signals, "service.tpot_s").detail
    assert pick(signals, "decode.running").usable == 100.0


def test_windows_as_long_as_the_expressions_need_are_kept() -> None:
    pods = Pods("long", PREFILL, DECODE)
    overrides = {Scope.SERVICE: {"request_rate": "sum(rate(vllm:request_success_total{$decode}[4m] offset 5m))"}}
    of = queries("long", overrides=overrides)

    with running_loopback(pods.answer) as served, scraping(of, pods.endpoints(served.url)) as source:
        pods.scrape_all(source)

        assert pick(source.read(NOW_S), "service.request_rate").usable == pytest.approx(3.0)
