from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from autoscaler.daemon.clock import SteadyClock
from autoscaler.daemon.scraper import Scraper
from autoscaler.sources.endpoints import fixed_endpoints
from autoscaler.sources.scrape import ScrapeSource
from autoscaler.stacks.queries import ServiceQueries
from tests.support.loopback import Loopback, Reply, running_loopback

WAIT_S = 10.0
NO_QUERIES = ServiceQueries("chat", "vllm", (), {}, 60.0)


@pytest.fixture
def page() -> Iterator[Loopback]:
    with running_loopback(lambda _: Reply(body=b"up 1\n")) as server:
        yield server


def scraper_of(page: Loopback, interval_s: float, closed: list[str]) -> Scraper:
    source = ScrapeSource(NO_QUERIES, fixed_endpoints([(page.url, {})], "pod"))
    return Scraper(source, interval_s, SteadyClock(), after=lambda: closed.append("client"))


def test_pages_are_read_again_and_again(page: Loopback) -> None:
    scraper = scraper_of(page, 0.01, [])

    scraper.wait_for(3, WAIT_S)
    scraper.close()

    assert len(page.requests) >= 3


def test_waiting_ends_when_the_time_is_up(page: Loopback) -> None:
    scraper = scraper_of(page, 3600.0, [])

    scraper.wait_for(2, timeout_s=0.01)
    scraper.close()

    assert len(page.requests) <= 1


def test_closing_ends_the_thread_before_it_lets_go_of_the_rest(page: Loopback) -> None:
    closed: list[str] = []
    scraper = scraper_of(page, 3600.0, closed)
    scraper.wait_for(1, WAIT_S)

    scraper.close()

    assert closed == ["client"]
    assert "scraper" not in [thread.name for thread in threading.enumerate()]
