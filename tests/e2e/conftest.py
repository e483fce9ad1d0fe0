"""One Prometheus for the session, a cluster and a stage for each test."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.daemon.builders import HandClock
from tests.e2e.gate import Gate
from tests.e2e.live import LiveService
from tests.e2e.program import Program, Start
from tests.e2e.stage import Stage
from tests.support.kube import Cluster, FakeCluster, fake_kube_api, kube_api, real_kube_api
from tests.support.prometheus import Prometheus, running_prometheus

__all__ = ["fake_kube_api", "kube_api", "real_kube_api"]

# A TSDB takes no sample that is an hour older than its newest, so stages start in the past and stay short.
_STAGE_BEGINS_AGO_S = 2400.0
_numbers = itertools.count()

MakeStage = Callable[..., Stage]
MakeLive = Callable[..., LiveService]


@pytest.fixture(scope="session")
def prometheus() -> Iterator[Prometheus]:
    with running_prometheus() as server:
        yield server


@pytest.fixture
def gate(prometheus: Prometheus) -> Iterator[Gate]:
    """A way to Prometheus that can be shut."""
    made = Gate(prometheus.url)
    yield made
    made.shut()


@pytest.fixture
def make_stage(prometheus: Prometheus, gate: Gate, tmp_path: Path) -> Iterator[MakeStage]:
    """Makes a stage on a cluster, for a token or the administrator; closed at the end."""
    made: list[Stage] = []

    def make(cluster: Cluster, *, token: str = "") -> Stage:
        clock = HandClock()
        clock.at_s = time.time() - _STAGE_BEGINS_AGO_S
        service = f"chat-{next(_numbers)}"
        made.append(Stage(service, tmp_path, cluster, prometheus, gate.url, clock, token=token))
        return made[-1]

    yield make
    for stage in made:
        stage.close()


@pytest.fixture
def stage(kube_api: Cluster, make_stage: MakeStage) -> Stage:
    """A stage on either cluster."""
    return make_stage(kube_api)


@pytest.fixture
def fake_stage(fake_kube_api: FakeCluster, make_stage: MakeStage) -> Stage:
    """A stage on the fake, whose requests can be counted and made to fail."""
    return make_stage(fake_kube_api)


@pytest.fixture
def make_live(fake_kube_api: FakeCluster, prometheus: Prometheus) -> MakeLive:
    """Makes a service on the wall clock and the fake."""

    def make(*, arrivals_per_s: float = 10.0) -> LiveService:
        return LiveService(f"live-{next(_numbers)}", fake_kube_api, prometheus, arrivals_per_s=arrivals_per_s)

    return make


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the program; what still runs at the end is killed."""
    started: list[Program] = []

    def begin(*arguments: str) -> Program:
        started.append(Program(tmp_path, *arguments))
        return started[-1]

    yield begin
    for program in started:
        program.process.kill()
        program.process.wait()
