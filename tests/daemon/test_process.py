"""What refuses to start for want of a cluster; what runs is in tests/e2e."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import Any

import pytest
import yaml

from autoscaler.daemon.leadership import Alone, own_identity
from autoscaler.daemon.process import run_daemon
from autoscaler.daemon.settings import Settings, StartError, StateKind
from autoscaler.daemon.surroundings import Surroundings
from tests.daemon.builders import capturing
from tests.e2e.stage import policy_document


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


def refusal(folder: Path, **settings: Any) -> str:
    path = folder / "chat.yaml"
    path.write_text(yaml.safe_dump(policy_document("chat", "serving", "http://127.0.0.1:1", mode="recommend")))
    stop = Event()
    stop.set()
    with pytest.raises(StartError) as raised:
        run_daemon(Settings((path,), **settings), stop, capturing()[0], patience_s=1.0)
    return str(raised.value)


@pytest.mark.parametrize(
    ("settings", "flag"),
    [({"leader_elect": True}, "--leader-elect"), ({"state": StateKind.CONFIGMAP}, "--state configmap")],
)
def test_what_needs_a_cluster_says_so(tmp_path: Path, settings: dict[str, Any], flag: str) -> None:
    message = refusal(tmp_path, own_namespace="ns", **settings)

    assert f"{flag} needs a cluster: no kubeconfig" in message


def test_outside_of_a_pod_the_namespace_has_to_be_named(tmp_path: Path) -> None:
    assert "pass --lease-namespace" in refusal(tmp_path, leader_elect=True)


def test_a_folder_is_needed_to_keep_state_in_one(tmp_path: Path) -> None:
    assert "pass --state-dir DIR" in refusal(tmp_path, state=StateKind.DIR)


def test_it_ends_in_order_when_told_to(tmp_path: Path) -> None:
    path = tmp_path / "chat.yaml"
    path.write_text(yaml.safe_dump(policy_document("chat", "serving", "http://127.0.0.1:1", mode="recommend")))
    stop = Event()
    stop.set()
    log, lines = capturing()

    unfinished = run_daemon(Settings((path,), Surroundings()), stop, log, patience_s=10.0)

    assert unfinished == []
    assert "started" in [line["event"] for line in lines]


def test_two_processes_of_one_pod_are_not_taken_for_each_other() -> None:
    one, other = (own_identity({"POD_NAME": "pd-autoscaler-0"}) for _ in range(2))

    assert one.startswith("pd-autoscaler-0_")
    assert one != other


def test_a_daemon_alone_may_always_write() -> None:
    alone = Alone()
    alone.stand_for(["chat"])
    alone.start()

    assert alone.may_write("chat")
    alone.close(release=True)
