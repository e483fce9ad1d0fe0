"""A load made of what a real Prometheus remembers, against the load that it was made of."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from autoscaler.cli.history import LOAD, load_of, read_history
from autoscaler.cli.main import app
from autoscaler.core.policy import Role
from autoscaler.core.signals import Scope
from autoscaler.daemon.prometheus import prometheus_connection
from autoscaler.daemon.queries import service_queries
from autoscaler.simulation.traces import Trace, between, bundled_trace
from autoscaler.sources.history import History, HistoryError, HistoryReader
from autoscaler.sources.query_client import QueryClient
from tests.e2e.day_one import MODEL, document, policy
from tests.support.prometheus import running_prometheus
from tests.support.simulated_history import Remembered, remembered

HOUR_S = 3600.0
SPAN_S = 1.5 * HOUR_S
FLEET = {Role.PREFILL: 3, Role.DECODE: 2}


@dataclass(frozen=True)
class DayOne:
    url: str
    trace: Trace
    made: Remembered
    start_s: float

    @property
    def end_s(self) -> float:
        return self.start_s + SPAN_S


@pytest.fixture(scope="module")
def day_one() -> Iterator[DayOne]:
    trace = between(bundled_trace("azure2024_morning"), 2.0 * HOUR_S, 2.0 * HOUR_S + SPAN_S)
    start_s = math.floor(time.time() / 120.0) * 120.0 - SPAN_S
    made = remembered(policy("http://nowhere").core(), trace, FLEET, start_unix_s=start_s, model=MODEL)
    with running_prometheus(openmetrics=made.openmetrics) as server:
        yield DayOne(server.url, trace, made, start_s)


@pytest.fixture(scope="module")
def history(day_one: DayOne) -> History:
    wanted = (*LOAD, (Scope.SERVICE, "ttft_s"))
    return read_history(policy(day_one.url), None, SPAN_S, wanted, until_s=day_one.end_s)


def test_replica_counts_are_those_of_the_cluster(history: History) -> None:
    known = {role: counts[np.isfinite(counts)] for role, counts in history.asked_for.items()}

    assert {role: set(counts.tolist()) for role, counts in known.items()} == {role: {n} for role, n in FLEET.items()}
    assert all(counts.size >= 0.95 * history.at_s.size for counts in known.values())


def test_the_load_has_the_requests_and_tokens_that_there_were(day_one: DayOne, history: History) -> None:
    made = load_of(history, 1, "chat")

    assert made.coverage_ratio > 0.95
    assert len(made.trace) == pytest.approx(len(day_one.trace), rel=0.04)
    assert made.trace.input_tokens.sum() == pytest.approx(day_one.trace.input_tokens.sum(), rel=0.06)
    assert made.trace.output_tokens.sum() == pytest.approx(day_one.trace.output_tokens.sum(), rel=0.06)


def test_the_load_rises_when_it_rose(day_one: DayOne, history: History) -> None:
    made = load_of(history, 1, "chat").trace
    edges_s = np.arange(0.0, SPAN_S + 1, 900.0)

    was, _ = np.histogram(day_one.trace.arrival_s, edges_s)
    now, _ = np.histogram(made.arrival_s, edges_s)

    assert np.corrcoef(was, now)[0, 1] > 0.97


def test_lengths_are_spread_as_they_were(day_one: DayOne, history: History) -> None:
    made = load_of(history, 1, "chat").trace

    for ratio in (0.25, 0.5, 0.75, 0.9):
        was, now = np.quantile(day_one.trace.input_tokens, ratio), np.quantile(made.input_tokens, ratio)
        assert now == pytest.approx(was, rel=0.35)  # buckets are 1-2-5


def test_latencies_are_those_that_users_saw(day_one: DayOne, history: History) -> None:
    seen = history.signal(Scope.SERVICE, "ttft_s")

    assert np.nanmedian(seen) == pytest.approx(day_one.made.results.ttft_s[95], rel=0.5)


def test_a_signal_that_the_stack_does_not_know_is_unknown(history: History) -> None:
    assert np.isnan(history.signal(Scope.SERVICE, "nonsense")).all()


def test_a_server_that_cannot_be_reached_is_said() -> None:
    nowhere = policy("http://127.0.0.1:1")
    reader = HistoryReader(service_queries(nowhere), QueryClient(prometheus_connection(nowhere, None)))
    try:
        with pytest.raises(HistoryError, match="cannot be reached"):
            reader.read(0.0, 3600.0, 120.0, LOAD)
    finally:
        reader.close()


def command(folder: Path, *arguments: str) -> tuple[int, str, str]:
    result = CliRunner(env={"HOME": str(folder), "KUBECONFIG": None, "TERM": "dumb"}).invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_replay_plays_the_history(day_one: DayOne, tmp_path: Path) -> None:
    file = tmp_path / "chat.yaml"
    file.write_text(yaml.safe_dump(document(day_one.url)))

    options = ("--trace", "prometheus", "--since", "100m", "--policy", str(file), "-o", "json")
    code, out, err = command(tmp_path, "replay", *options)

    assert code == 0, err
    record: dict[str, Any] = json.loads(out)
    assert record["trace"] == "chat, last 100m"
    assert record["requests"] == pytest.approx(len(day_one.trace), rel=0.04)
    assert "were reconstructed from metrics" in record["remarks"][0]
    assert record["rows"][0]["attainment"] > 0.95


def test_the_report_compares_what_was_used_with_what_was_needed(day_one: DayOne, tmp_path: Path) -> None:
    file = tmp_path / "chat.yaml"
    file.write_text(yaml.safe_dump(document(day_one.url)))

    options = ("--since", "90m", "--gpu-hour-price", "2.5", "--currency", "EUR")
    code, out, err = command(tmp_path, "report", str(file), *options, "-o", "json")

    assert code == 0, err
    (found,) = json.loads(out)
    held = sum(FLEET.values()) * 4 * found["hours"]
    assert found["used"]["gpu_hours"] == pytest.approx(held, rel=0.02)
    assert found["used"]["cost"] == pytest.approx(2.5 * held, rel=0.02)
    assert found["used"]["peak_replicas"] == {"prefill": 3, "decode": 2}
    best = found["policies"][0]
    assert best["attainment_ratio"] > 0.99
    assert found["needed_gpu_hours"] <= best["gpu_hours"] < held
    assert found["saved_gpu_hours"] == pytest.approx(held - best["gpu_hours"], rel=0.1)
    assert found["price"] == {"per_gpu_hour": 2.5, "currency": "EUR"}


def reported(day_one: DayOne, folder: Path, *options: str, since: str = "90m", **spec: Any) -> str:
    file = folder / "chat.yaml"
    made = document(day_one.url, **spec)
    made["spec"] = {key: value for key, value in made["spec"].items() if value is not None}
    file.write_text(yaml.safe_dump(made))
    code, out, err = command(folder, "report", str(file), "--since", since, *options)
    assert code == 0, err
    return out


def test_a_policy_that_is_too_tight_gets_bounds_that_fit(day_one: DayOne, tmp_path: Path) -> None:
    roles = document(day_one.url)["spec"]["roles"]
    tight = {role: {**pool, "max": 1} for role, pool in roles.items()}

    (found,) = json.loads(reported(day_one, tmp_path, "-o", "json", roles=tight))

    assert [one["name"] for one in found["policies"]] == ["recommended", "your policy"]
    assert found["policies"][0]["attainment_ratio"] > found["policies"][1]["attainment_ratio"]
    recommended = yaml.safe_load(found["recommended_policy"])
    assert recommended["spec"]["roles"]["prefill"]["max"] > 1
    assert recommended["spec"]["mode"] == "recommend"
    (tmp_path / "recommended.yaml").write_text(found["recommended_policy"])
    assert command(tmp_path, "check", str(tmp_path / "recommended.yaml"))[0] == 0


def test_time_before_anyone_counted_requests_is_neither_used_nor_saved(day_one: DayOne, tmp_path: Path) -> None:
    (found,) = json.loads(reported(day_one, tmp_path, "-o", "json", since="7d"))

    assert found["hours"] == pytest.approx(SPAN_S / HOUR_S, abs=0.1)
    assert found["used"]["gpu_hours"] == pytest.approx(sum(FLEET.values()) * 4 * found["hours"], rel=0.02)
    assert found["policies"][0]["gpu_hours"] < found["used"]["gpu_hours"]
    assert re.match(r"The request rate is known from .* only: 1\.\d+ of the 168 h that were", found["remarks"][0])
    assert found["confidence"]["level"] == "low"


def test_without_an_engine_the_report_still_says_what_was_used(day_one: DayOne, tmp_path: Path) -> None:
    (found,) = json.loads(reported(day_one, tmp_path, "-o", "json", engine=None))

    assert found["used"]["gpu_hours"] > 0
    assert found["policies"] == []
    assert found["confidence"]["level"] == "low"
    assert "nothing is replayed" in found["confidence"]["grounds"][-1]["words"]


@pytest.mark.parametrize(
    ("form", "words"), [("table", "used, as measured"), ("markdown", "| --- |"), ("html", "<html")]
)
def test_every_form_is_printed(day_one: DayOne, tmp_path: Path, form: str, words: str) -> None:
    assert words in reported(day_one, tmp_path, "-o", form, engine=None)
