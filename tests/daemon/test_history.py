"""A season read back from a real Prometheus: two days of a service with twice its mean load at noon."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from autoscaler.config import ScalingPolicy
from autoscaler.core.policy import Role
from autoscaler.core.state import State
from autoscaler.daemon.assembly import past
from autoscaler.daemon.history import HistoryReader, Past
from autoscaler.daemon.queries import service_queries
from autoscaler.daemon.service import ServiceRunner
from autoscaler.daemon.state_store import MemoryStateStore
from autoscaler.daemon.surroundings import Surroundings
from autoscaler.sources.http import Connection
from tests.config.builders import REMOVED, policy
from tests.daemon.builders import HandClock, ScriptedSource, ScriptedTarget, capturing
from tests.support.prometheus import Prometheus, running_prometheus

MIDNIGHT_S = 1_699_920_000.0  # of UTC
DAY_S, SCRAPE_S = 86_400.0, 60.0
PROMPT, ANSWER = 2000.0, 300.0


def requests_until(at_s: float) -> float:
    """Requests since the first midnight, at a rate of 10 per second less 9 times the cosine of the time of day."""
    turns = 2 * math.pi * (at_s - MIDNIGHT_S) / DAY_S
    return 10.0 * (at_s - MIDNIGHT_S) - 9.0 * DAY_S / (2 * math.pi) * math.sin(turns)


def samples(days: float) -> Iterator[str]:
    per_request: dict[str, float] = {}
    for role in ("prefill", "decode"):
        labels = f'{{model_name="llama-3.1-70b",namespace="serving",pod="{role}-0",role="{role}"}}'
        for name, each in {
            "vllm:prompt_tokens_total": PROMPT,
            "vllm:generation_tokens_total": 1.0 if role == "prefill" else ANSWER,
            "vllm:request_success_total": 1.0,
            "vllm:request_prompt_tokens_sum": PROMPT,
            "vllm:request_prompt_tokens_count": 1.0,
            "vllm:request_generation_tokens_sum": ANSWER,
            "vllm:request_generation_tokens_count": 1.0,
            "vllm:num_requests_waiting": 0.0,
        }.items():
            per_request[name + labels] = each
    for series, each in per_request.items():
        for scrape in range(int(days * DAY_S / SCRAPE_S) + 1):
            at_s = MIDNIGHT_S + scrape * SCRAPE_S
            yield f"{series} {each * requests_until(at_s):.3f} {at_s:.0f}"
    yield "# EOF\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Prometheus]:
    with running_prometheus(openmetrics="\n".join(samples(2.0))) as started:
        yield started


NOW_S = MIDNIGHT_S + 2 * DAY_S


def document(url: str) -> ScalingPolicy:
    engine = {"gpu": "h100", "tensorParallel": 4}
    changes = {"spec.model": "llama-3.1-70b", "spec.engine": engine, "spec.prometheus.url": url}
    return policy(changes | {"spec.interval": "60s"})


def run(url: str, ticks: int) -> tuple[State, list[str]]:
    """A daemon that starts without any memory: what it remembers after some ticks, and what it said."""
    log, lines = capturing()
    found, store = document(url), MemoryStateStore()
    core = found.core()
    before = past(found, Surroundings(), HandClock(), log)
    runner = ServiceRunner(core, ScriptedSource(), ScriptedTarget(), store, log, past=before)
    for tick in range(ticks):
        runner.tick(NOW_S + 60.0 * tick)
    runner.close()
    said = [f"{line['event']}: {line.get('message')}" for line in lines if line["event"] == "demand history read"]
    return store.load(core.service, NOW_S), said


def test_a_restart_without_memory_does_not_forget_the_season(server: Prometheus) -> None:
    state, said = run(server.url, ticks=5)

    for role in (Role.PREFILL, Role.DECODE):
        forecast = state.roles[role].forecast
        two_days = [value for value in forecast.season if value >= 0]
        assert forecast.since_s == pytest.approx(MIDNIGHT_S, abs=600.0)
        assert 2 * 96 - 1 <= len(two_days) <= 2 * 96 + 2
        six, noon = (forecast.season[int((MIDNIGHT_S + hour * 3600) % (7 * DAY_S) / 900)] for hour in (6, 12))
        assert noon / six == pytest.approx(1.9, rel=0.03)
    assert said == ["demand history read: the season of the forecasts starts from it"]


def test_one_tick_reads_one_day(server: Prometheus) -> None:
    log, _ = capturing()
    reader = HistoryReader(service_queries(document(server.url)), Connection(server.url), log, patience_s=10.0)

    reader.read_day(NOW_S)
    first_s = min(moment.at_s for moment in reader.moments)
    reader.read_day(NOW_S)
    reader.close()

    assert first_s == pytest.approx(NOW_S - DAY_S, abs=600.0)
    assert min(moment.at_s for moment in reader.moments) == pytest.approx(NOW_S - 2 * DAY_S, abs=600.0)


def test_a_server_without_any_history_ends_the_reading(server: Prometheus) -> None:
    log, lines = capturing()
    reader = HistoryReader(service_queries(document(server.url)), Connection(server.url), log, patience_s=10.0)

    for _ in range(2):
        reader.read_day(MIDNIGHT_S - DAY_S)
    reader.close()

    assert reader.done
    assert reader.moments == []
    assert lines[-1]["message"] == "Prometheus has none"


class Wall:
    """A wall clock, as it is ahead of the one that the daemon counts on."""

    ahead_s = 0.0

    def __call__(self, at_s: float) -> float:
        return at_s + self.ahead_s


def reader_by(wall: Wall, url: str) -> HistoryReader:
    log, _ = capturing()
    return HistoryReader(service_queries(document(url)), Connection(url), log, patience_s=10.0, wall=wall)


def test_the_past_is_sought_by_the_wall_clock_and_remembered_by_the_daemon_s_own(server: Prometheus) -> None:
    """The daemon began half an hour behind: its noon of now will be half an hour past that of the server."""
    wall, behind_s = Wall(), 1800.0
    wall.ahead_s = behind_s
    reader = reader_by(wall, server.url)

    reader.follow_wall_clock(NOW_S - behind_s)
    reader.read_day(NOW_S - behind_s)
    reader.close()

    assert max(moment.at_s for moment in reader.moments) == NOW_S - behind_s


def test_a_daemon_that_began_years_ago_finds_the_past_once_the_clock_is_set_right(server: Prometheus) -> None:
    wall, years_s = Wall(), 1000 * DAY_S
    core, kept = document(server.url).core(), run("http://127.0.0.1:9", ticks=1)[0]
    reader = reader_by(wall, server.url)
    before = Past(reader)
    for _ in range(3):
        before.put_into(core, kept, NOW_S - years_s)
    assert reader.done

    wall.ahead_s = years_s
    for _ in range(5):
        kept = before.put_into(core, kept, NOW_S - years_s)
    before.close()

    assert all(sum(value >= 0 for value in memory.forecast.season) > 100 for memory in kept.roles.values())


def test_a_server_that_is_down_costs_no_decision() -> None:
    state, said = run("http://127.0.0.1:9", ticks=8)

    assert all(sum(value >= 0 for value in memory.forecast.season) <= 1 for memory in state.roles.values())
    assert said == []


def test_a_server_that_stays_down_is_asked_less_and_less_and_then_given_up() -> None:
    log, lines = capturing()
    address = "http://127.0.0.1:9"
    reader = HistoryReader(service_queries(document(address)), Connection(address), log, patience_s=1.0)

    calls = 0
    while not reader.done:
        reader.read_day(NOW_S)
        calls += 1
    reader.close()

    assert calls == sum(2**failures for failures in range(10))
    assert "learned anew where it is unknown" in str(lines[-1]["message"])


def test_a_memory_of_a_week_needs_no_history(server: Prometheus) -> None:
    log, lines = capturing()
    reader = HistoryReader(service_queries(document(server.url)), Connection(server.url), log, patience_s=10.0)
    core = document(server.url).core()
    kept, _ = run(server.url, ticks=1)

    Past(reader).put_into(core, kept, NOW_S + 8 * DAY_S)
    reader.close()

    assert reader.moments == []
    assert not lines


def test_pods_that_are_scraped_directly_have_no_recorded_past() -> None:
    log, _ = capturing()
    endpoints = {"prefill": ["http://127.0.0.1:8000/metrics"], "decode": ["http://127.0.0.1:8001/metrics"]}
    scraped = policy({"spec.prometheus": REMOVED, "spec.scrape": {"endpoints": endpoints}})

    assert past(scraped, Surroundings(), HandClock(), log) is None
