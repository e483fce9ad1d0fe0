"""The budget of requests: what comes at once, what waits in line, and what is not sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoscaler.targets.kubernetes.budget import RequestBudget
from autoscaler.targets.kubernetes.connection import connect
from autoscaler.targets.kubernetes.errors import UnavailableError
from autoscaler.targets.kubernetes.refs import ObjectRef
from tests.support.kube import FakeCluster
from tests.support.kube_api.manifests import deployment


class Time:
    """Passes while somebody sleeps, or when the test says so."""

    def __init__(self) -> None:
        self.at_s = 100.0
        self.slept_s: list[float] = []

    def now_s(self) -> float:
        return self.at_s

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)


def budget(time: Time, per_s: float = 10.0, burst: int = 3) -> RequestBudget:
    return RequestBudget(per_s, burst, clock=time.now_s, sleep=time.sleep)


def test_a_burst_goes_at_once_and_what_follows_stands_in_line() -> None:
    time = Time()
    made = budget(time)

    assert [made.take(5.0) for _ in range(5)] == [True] * 5

    assert time.slept_s == pytest.approx([0.1, 0.2])


def test_who_would_wait_for_too_long_is_turned_away_and_takes_nothing() -> None:
    time = Time()
    made = budget(time)
    for _ in range(4):
        made.take(5.0)

    assert not made.take(0.15)
    assert made.take(0.25)


def test_it_fills_up_again_and_no_further_than_a_burst() -> None:
    time = Time()
    made = budget(time)
    for _ in range(3):
        made.take(0.0)
    time.at_s += 60.0

    assert [made.take(0.0) for _ in range(4)] == [True, True, True, False]


def test_a_client_sends_no_more_than_its_budget_and_says_so(fake_kube_api: FakeCluster, tmp_path: Path) -> None:
    fake_kube_api.create("deployments", deployment("chat"))
    ref = ObjectRef.deployment("serving", "chat")
    made = RequestBudget(per_s=0.01, burst=2)
    clients = [connect(kubeconfig=str(fake_kube_api.kubeconfig(tmp_path / "k")), budget=made) for _ in range(2)]
    fake_kube_api.api.log.clear()

    for client in clients:
        client.get(ref)
    with pytest.raises(UnavailableError, match=r"this daemon sends 0\.01 requests/s at most"):
        clients[0].get(ref)

    assert fake_kube_api.api.log.count("get", "deployments") == 2
    for client in clients:
        client.close()
