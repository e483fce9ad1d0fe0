from __future__ import annotations

import gzip
import http.client
import socket
from collections.abc import Iterator

import pytest

from autoscaler.daemon.health import Document, HealthServer, stuck
from autoscaler.daemon.ledger import Ledger
from autoscaler.daemon.metrics.page import MetricsPage
from autoscaler.daemon.tick import Tick
from tests.daemon.builders import START_S, HandClock, capturing, policy


class Stand:
    def __init__(self) -> None:
        self.ledger = Ledger()
        self.clock = HandClock()
        self.ledger.open(policy(), START_S)

    def tick_at(self, now_s: float) -> None:
        self.ledger.book(Tick("chat", now_s, None), now_s, now_s)


@pytest.fixture
def stand() -> Stand:
    return Stand()


@pytest.fixture
def server(stand: Stand) -> Iterator[HealthServer]:
    with HealthServer("127.0.0.1", 0, stand.ledger, MetricsPage(stand.ledger), stand.clock) as running:
        yield running


def get(server: HealthServer, path: str, **headers: str) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection(server.address, timeout=5)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.headers["Content-Type"], response.read().decode()
    finally:
        connection.close()


def test_alive_while_ticks_finish(server: HealthServer, stand: Stand) -> None:
    stand.tick_at(START_S)
    stand.clock.at_s = START_S + 75.0

    assert get(server, "/healthz") == (200, "text/plain; charset=utf-8", "ok\n")


def test_dead_when_no_tick_finishes_and_it_says_whose(server: HealthServer, stand: Stand) -> None:
    stand.tick_at(START_S)
    stand.clock.at_s = START_S + 121.0

    status, _, body = get(server, "/healthz")

    assert status == 503
    assert body == "chat: no tick finished for 121 s, allowed are 120 s\n"


def test_a_first_tick_that_never_ends_is_noticed_too(stand: Stand) -> None:
    assert stuck(stand.ledger.accounts(), START_S + 119.0) == []
    assert stuck(stand.ledger.accounts(), START_S + 121.0) != []


def test_long_intervals_get_the_time_they_need(stand: Stand) -> None:
    stand.ledger.open(policy(interval_s=60.0), START_S)

    assert stuck(stand.ledger.accounts(), START_S + 299.0) == []
    assert stuck(stand.ledger.accounts(), START_S + 301.0) != []


def test_not_ready_before_the_first_tick(server: HealthServer, stand: Stand) -> None:
    assert get(server, "/readyz")[0] == 503
    stand.tick_at(START_S)
    assert get(server, "/readyz")[0] == 200


def test_not_ready_while_something_else_is_missing(stand: Stand) -> None:
    stand.tick_at(START_S)
    missing = ["no policy is loaded"]
    with HealthServer("127.0.0.1", 0, stand.ledger, MetricsPage(stand.ledger), stand.clock, lambda: missing) as server:
        assert get(server, "/readyz")[2] == "no policy is loaded\n"
        missing.clear()
        assert get(server, "/readyz")[2] == "ok\n"


def test_metrics_are_served_in_the_format_asked_for(server: HealthServer) -> None:
    status, content_type, body = get(server, "/metrics?name=x")
    assert status == 200
    assert content_type.startswith("text/plain")
    assert "pd_autoscaler_info{" in body

    _, content_type, body = get(server, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith("# EOF\n")


def test_an_unknown_path_names_those_that_exist(server: HealthServer) -> None:
    assert get(server, "/")[::2] == (404, "/healthz /readyz /metrics\n")


def test_an_address_in_use_is_an_error(server: HealthServer, stand: Stand) -> None:
    port = int(server.address.rpartition(":")[2])

    with pytest.raises(OSError, match="in use"):
        HealthServer("127.0.0.1", port, stand.ledger, MetricsPage(stand.ledger), stand.clock)


def test_metrics_are_compressed_for_who_takes_that(server: HealthServer, stand: Stand) -> None:
    stand.tick_at(START_S)
    connection = http.client.HTTPConnection(server.address, timeout=5)
    connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
    response = connection.getresponse()
    body = response.read()
    connection.close()

    assert response.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body).decode() == get(server, "/metrics")[2]


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/"])
@pytest.mark.parametrize(
    ("host", "meant"),
    [
        ("127.0.0.1:9464", True),
        ("localhost", True),
        ("LOCALHOST:9464", True),
        ("[::1]:9464", True),
        ("evil.example:9464", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("10.0.0.1", False),
        ("[::1", False),
    ],
)
def test_on_loopback_a_page_whose_name_was_rebound_reads_nothing(
    server: HealthServer, path: str, host: str, *, meant: bool
) -> None:
    status, _, body = get(server, path, Host=host)

    assert (status != 421) == meant
    assert ("this is for this machine alone" in body) != meant


def test_beyond_loopback_any_name_will_do(stand: Stand) -> None:
    with HealthServer("0.0.0.0", 0, stand.ledger, MetricsPage(stand.ledger), stand.clock) as running:
        assert get(running, "/metrics", Host="pd-autoscaler.serving.svc:9464")[0] == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_without_a_host_it_is_reached_by_both_kinds_of_address(stand: Stand, host: str) -> None:
    if host == "::1" and not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    with HealthServer("", 0, stand.ledger, MetricsPage(stand.ledger), stand.clock) as running:
        connection = http.client.HTTPConnection(host, int(running.address.rpartition(":")[2]), timeout=5)
        connection.request("GET", "/healthz")

        assert connection.getresponse().status == 200
        connection.close()


def test_a_page_that_cannot_be_made_is_answered_and_said_once_until_it_can(stand: Stand) -> None:
    pages = [Document("text/html", b"fine")]
    log, lines = capturing()
    with HealthServer(
        "127.0.0.1",
        0,
        stand.ledger,
        MetricsPage(stand.ledger),
        stand.clock,
        documents={"/": lambda _query: pages[0]},
        log=log,
    ) as server:
        fine = pages.pop()
        answers = [get(server, "/") for _ in range(3)]
        pages.append(fine)
        assert get(server, "/")[0] == 200

    assert {(status, body) for status, _, body in answers} == {(500, "cannot be made; the log says why\n")}
    assert [line["event"] for line in lines] == ["trouble", "recovered"]
    assert "the page / cannot be made: IndexError" in str(lines[0]["message"])
    assert isinstance(lines[0]["exc_info"], IndexError)
