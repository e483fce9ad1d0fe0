"""Pages that a real Prometheus scrapes, and the same pages in a store."""

from __future__ import annotations

import itertools
import time
from bisect import bisect
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from autoscaler.sources.promql import ExpositionError, ExpositionParser, SampleStore
from tests.sources.promql.comparison import answer_of_prometheus, answer_of_store, is_same
from tests.support.prometheus import Prometheus, running_prometheus, wait_until

SERVER_ERROR = None
BOTH = 'vllm:kv_cache_usage_perc{pod="mine",engine="0"} 0.5\nvllm:kv_cache_usage_perc{engine="1"} 0.25\n'
ONE = 'vllm:kv_cache_usage_perc{pod="mine",engine="0"} 0.75\n'
TYPED = (
    "# HELP requests A counter without _total.\n# TYPE requests counter\n"
    'requests{le="1",path="a\\\\b\\"c\\nd}"} 3\nrequests{exported_pod="x",pod="y"} +Inf\n'
    'vllm:kv_cache_usage_perc{engine="1",empty=""} NaN 1600000000000\n'
)
BROKEN = 'vllm:kv_cache_usage_perc{engine="0"} 0.1\nrequests{le="1\n'
PAGES = (BOTH, BOTH, ONE, ONE, SERVER_ERROR, BOTH, TYPED, BROKEN, BOTH, ONE, TYPED, ONE)

CONFIG = """
scrape_configs:
- job_name: engines
  scrape_interval: 200ms
  scrape_timeout: 200ms
  static_configs:
  - targets: ["127.0.0.1:{port}"]
    labels: {{pod: decode-0, role: decode}}
"""
TARGET = {"job": "engines", "pod": "decode-0", "role": "decode"}
QUERIES = (
    "up",
    '{pod="decode-0",__name__!~"scrape_.*"}',
    "count_over_time(vllm:kv_cache_usage_perc[5m])",
    "absent(requests)",
    "timestamp(vllm:kv_cache_usage_perc)",
)


@contextmanager
def served(pages: tuple[str | None, ...], requests: list[str | None]) -> Iterator[int]:
    """Serve one page a request, the last one for ever, note them, and give the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = pages[min(len(requests), len(pages) - 1)]
            requests.append(page)
            body = b"" if page is None else page.encode()
            self.send_response(500 if page is None else 200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_series_end_fail_clash_and_come_back_as_in_prometheus() -> None:
    requests: list[str | None] = []
    with served(PAGES, requests) as port, running_prometheus(CONFIG.format(port=port)) as prometheus:
        wait_until(lambda: len(scrape_times_s(prometheus)) >= len(PAGES), "the last page to be scraped")
        times_s = scrape_times_s(prometheus)[: len(PAGES)]
        store = store_after(times_s, {**TARGET, "instance": f"127.0.0.1:{port}"})

        instants_s = [*times_s, *(time_s - 0.05 for time_s in times_s)]
        for query, at_s in itertools.product(QUERIES, instants_s):
            ours, theirs = answer_of_store(query, store, at_s), answer_of_prometheus(query, prometheus, at_s)
            assert is_same(ours, theirs), (
                f"{query} after scrape {bisect(times_s, at_s)}: ours {ours}, Prometheus {theirs}"
            )


def scrape_times_s(prometheus: Prometheus) -> list[float]:
    series = prometheus.samples("up[5m]", time.time())
    return [time_s for _, samples in series for time_s, _ in samples]


def store_after(times_s: list[float], target: dict[str, str]) -> SampleStore:
    """A store that has taken in the pages at these times."""
    store, parser = SampleStore(600), ExpositionParser()
    for time_s, page in zip(times_s, PAGES, strict=True):
        try:
            if page is SERVER_ERROR:
                store.append_failure(time_s, target)
            else:
                store.append(time_s, target, parser.parse(page))
        except ExpositionError:
            store.append_failure(time_s, target)
    return store
