from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscaler.config import ScalingPolicy
from autoscaler.config.store import PolicyStore
from autoscaler.daemon.clock import SteadyClock
from autoscaler.daemon.follower import PolicyFollower
from autoscaler.daemon.ledger import Ledger
from autoscaler.daemon.loop import Loop, Workload
from autoscaler.daemon.service import ServiceRunner
from autoscaler.daemon.surroundings import AssemblyError
from tests.daemon.builders import Bench, capturing
from tests.e2e.stage import policy_document


class Stand:
    """A follower of one folder, on a loop that is not started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log, self.lines = capturing()
        self.ledger = Ledger()
        clock = SteadyClock()
        self.loop = Loop(clock, self.ledger, self.log)
        self.refuse = ""
        self.follower = PolicyFollower(PolicyStore([folder]), self.loop, self._workload, clock, self.log)

    def write(self, service: str, **spec: Any) -> Path:
        path = self.folder / f"{service}.yaml"
        path.write_text(yaml.safe_dump(policy_document(service, "serving", "http://prom:9090", **spec)))
        return path

    def follow(self) -> list[str]:
        """Problems that stand; the lines said are in `new`."""
        seen = len(self.lines)
        problems = self.follower.follow()
        self.new = [line for line in self.lines[seen:] if line["event"] != "policy doubtful"]
        return problems

    def _workload(self, document: ScalingPolicy) -> Workload:
        def build() -> ServiceRunner:
            if document.service == self.refuse:
                raise AssemblyError(f"{document.service}: no Prometheus is named")
            return Bench(document.core()).runner

        return Workload(document.core(), document, build)


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    (tmp_path / "policies").mkdir()
    made = Stand(tmp_path / "policies")
    yield made
    made.loop.close(0.0)


def test_policies_are_put_to_work(stand: Stand) -> None:
    stand.write("chat")
    stand.write("code")

    assert stand.follow() == []
    assert set(stand.ledger.accounts()) == {"chat", "code"}


def test_nothing_is_said_while_nothing_changes(stand: Stand) -> None:
    stand.write("chat")
    stand.follow()

    assert stand.follow() == []
    assert stand.new == []


def test_a_bad_edit_is_said_once_and_changes_nothing(stand: Stand) -> None:
    stand.write("chat")
    stand.follow()

    stand.write("chat", interval="soon")
    (problem,) = stand.follow()
    assert "spec.interval" in problem
    (line,) = stand.new
    assert line["event"] == "trouble"
    assert "last good policies stay in force" in str(line["message"])
    assert stand.ledger.accounts()["chat"].interval_s == 15.0
    assert stand.follower.outdated == {"chat"}

    stand.follow()
    assert stand.new == []


def test_a_file_that_was_never_good_leaves_nothing_in_force(stand: Stand) -> None:
    stand.write("chat", interval="soon")

    stand.follow()

    (line,) = stand.new
    assert str(line["message"]).endswith("; no policy of it is in force")


def test_a_file_that_was_never_good_does_not_speak_of_the_policies_of_others(stand: Stand) -> None:
    stand.write("chat")
    stand.follow()
    stand.write("code", interval="soon")

    stand.follow()

    (line,) = stand.new
    assert str(line["message"]).endswith("; no policy of it is in force")


def test_a_folder_that_vanishes_leaves_its_policies_in_force_and_it_is_said(stand: Stand, tmp_path: Path) -> None:
    stand.write("chat")
    stand.follow()
    stand.folder.rename(tmp_path / "elsewhere")

    stand.follow()

    (line,) = stand.new
    assert str(line["message"]).endswith("; the last good policies stay in force")
    assert stand.loop.services == {"chat"}


def test_a_bad_edit_that_is_mended_takes_effect_and_is_said(stand: Stand) -> None:
    stand.write("chat")
    stand.follow()
    stand.write("chat", interval="soon")
    stand.follow()

    stand.write("chat", interval="30s")

    assert stand.follow() == []
    assert stand.follower.outdated == set()
    assert [line["event"] for line in stand.new] == ["service changed", "recovered"]
    assert stand.ledger.accounts()["chat"].interval_s == 30.0


def test_a_policy_that_cannot_be_put_to_work_is_tried_again(stand: Stand) -> None:
    stand.write("chat")
    stand.refuse = "chat"

    assert stand.follow() == ["chat: no Prometheus is named"]
    stand.refuse = ""
    assert stand.follow() == []
    assert set(stand.ledger.accounts()) == {"chat"}


def test_a_policy_that_cannot_be_put_to_work_is_in_force_only_where_an_earlier_one_runs(stand: Stand) -> None:
    stand.write("chat")
    stand.follow()
    stand.write("chat", interval="30s")
    stand.refuse = "chat"
    stand.follow()
    (earlier,) = stand.new

    stand.write("code")
    stand.refuse = "code"
    stand.follow()
    (never,) = [line for line in stand.new if line["event"] == "trouble"]

    assert earlier["message"] == "chat: no Prometheus is named; the last good policy stays in force"
    assert never["message"] == "code: no Prometheus is named; no policy is in force"


def test_a_file_that_is_gone_takes_its_service_along(stand: Stand) -> None:
    stand.write("chat")
    stand.write("code").rename(stand.folder / "code.off")
    stand.follow()
    (stand.folder / "code.off").rename(stand.folder / "code.yaml")
    stand.follow()
    assert set(stand.ledger.accounts()) == {"chat", "code"}

    (stand.folder / "code.yaml").unlink()
    stand.follow()

    assert set(stand.ledger.accounts()) == {"chat"}


def test_what_is_doubtful_about_a_policy_is_said_when_it_is_loaded(stand: Stand) -> None:
    stand.write("chat", staleAfter="5s")

    stand.follow()

    assert any("staleAfter" in str(line.get("message")) for line in stand.lines)
