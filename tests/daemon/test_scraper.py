from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import Event

import pytest

from autoscaler.core.signals import Scope
from autoscaler.daemon.clock import SteadyClock
from autoscaler.daemon.scraper import Scraper
from autoscaler.sources.endpoints import Endpoint, fixed_endpoints
from autoscaler.sources.scrape import ScrapeSource
from autoscaler.stacks.queries import ServiceQueries
from tests.sources.chat import NOW_S, queries
from tests.support.loopback import Loopback, Reply, Request, running_loopback

WAIT_S = 10.0
NO_QUERIES = ServiceQueries("chat", "vllm", (), {}, 60.0)


@pytest.fixture
def page() -> Iterator[Loopback]:
    with running_loopback(lambda _: Reply(body=b"up 1\n")) as server:
        yield server


class Client:
    """A connection that tells when it was closed."""

    def __init__(self) -> None:
        self.closed = Event()

    def close(self) -> None:
        self.closed.set()


def scraper_of(page: Loopback, interval_s: float, *owned: Client) -> Scraper:
    source = ScrapeSource(NO_QUERIES, fixed_endpoints([(page.url, {})], "pod"))
    return Scraper(source, interval_s, SteadyClock(), owned)


def test_pages_are_read_again_and_again(page: Loopback) -> None:
    scraper = scraper_of(page, 0.01)

    scraper.wait_for(3, WAIT_S)
    scraper.close()

    assert len(page.requests) >= 3


def test_waiting_ends_when_the_time_is_up(page: Loopback) -> None:
    scraper = scraper_of(page, 3600.0)

    scraper.wait_for(2, timeout_s=0.01)
    scraper.close()

    assert len(page.requests) <= 1


def test_closing_lets_go_of_everything(page: Loopback) -> None:
    client = Client()
    scraper = scraper_of(page, 3600.0, client)
    scraper.wait_for(1, WAIT_S)

    scraper.close()

    assert client.closed.wait(WAIT_S)


def test_closing_does_not_wait_for_a_sick_pod(page: Loopback) -> None:
    client, asked, answer = Client(), Event(), Event()

    def hang(_: Request) -> Reply:
        asked.set()
        answer.wait(WAIT_S)
        return Reply()

    page.answer = hang
    scraper = scraper_of(page, 3600.0, client)
    assert asked.wait(WAIT_S)

    scraper.close()
    assert not client.closed.is_set()

    answer.set()
    assert client.closed.wait(WAIT_S)


def test_a_round_that_fails_as_nobody_foresaw_is_said_and_is_not_the_last(page: Loopback) -> None:
    faults, asked = [KeyError("status")], Event()

    def pages() -> Sequence[Endpoint]:
        if faults:
            raise faults[0]
        return fixed_endpoints([(page.url, {})], "pod")()

    def answer(_: Request) -> Reply:
        asked.set()
        return Reply(body=b"up 1\n")

    page.answer = answer
    scraper = Scraper(ScrapeSource(queries("chat"), pages), 0.01, SteadyClock())
    scraper.wait_for(2, WAIT_S)
    assert {signal.detail for signal in scraper.read(NOW_S)[Scope.SERVICE].values()} == {
        "scraping failed: KeyError('status'); this is a defect, please report it"
    }

    faults.clear()

    assert asked.wait(WAIT_S)
    scraper.close()
