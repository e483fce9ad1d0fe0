"""From an HPA or a ScaledObject to us, without a jump in replicas, and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from autoscaler.cli.main import app
from autoscaler.config import load_paths
from autoscaler.core.policy import Role
from autoscaler.daemon.assembly import connections
from autoscaler.daemon.competition import SEARCH_EVERY_S
from autoscaler.daemon.service import ServiceRunner
from autoscaler.daemon.surroundings import Surroundings
from tests.adopt.conftest import add_scaled_object, hpa
from tests.e2e.fluid import MODEL
from tests.e2e.stage import Stage
from tests.support.kube import FakeCluster

HPAS = ("autoscaling/v2", "horizontalpodautoscalers")
SCALED_OBJECTS = ("keda.sh/v1alpha1", "scaledobjects")
PAUSED = "autoscaling.keda.sh/paused"
ROLES = (Role.PREFILL, Role.DECODE)


@dataclass
class Migration:
    """A stage whose policy is an imported one."""

    stage: Stage
    cluster: FakeCluster
    policy: Path

    def adopt(self, setter: str) -> None:
        """Write the policy that `import` makes of both pools' present setters."""
        names = [f"{self.stage.service}-{role}" for role in ROLES]
        where = ("-n", self.cluster.namespace, "--kubeconfig", str(self.stage.folder / "kubeconfig"))
        result = CliRunner().invoke(app, ["import", setter, *names, "--service", self.stage.service, *where])
        assert result.exit_code == 0, result.output
        document = yaml.safe_load(result.stdout)
        # What a reader is told to fill in.
        document["spec"] |= {"model": MODEL, "selector": {"service": self.stage.service}, "interval": "15s"}
        document["spec"]["prometheus"] = {"url": self.stage.url}
        for role in document["spec"]["roles"].values():
            role["startupTime"] = "30s"
        self.policy.write_text(yaml.safe_dump(document))

    def run_in(self, mode: str) -> None:
        """Go on with the imported policy in a mode, as a daemon does after its file has changed."""
        document = yaml.safe_load(self.policy.read_text())
        document["spec"]["mode"] = mode
        self.policy.write_text(yaml.safe_dump(document))
        (loaded,) = load_paths([self.policy])
        around = Surroundings(kubeconfig=str(self.stage.folder / "kubeconfig"))
        stage, writes = self.stage, mode != "recommend"
        source, target = connections(loaded.policy, around, stage.clock, stage.log, writes=writes)
        stage.runner.close()
        stage.runner = ServiceRunner(loaded.policy.core(), source, target, stage.store, stage.log)

    def counts(self) -> list[int]:
        """What both Deployments ask for."""
        return [self.stage.replicas(role) for role in ROLES]

    def counts_over(self, seconds: float) -> set[tuple[int, ...]]:
        """Every pair of counts that was seen in some time."""
        seen = set()
        for _ in range(round(seconds / 15.0)):
            self.stage.tick()
            seen.add(tuple(self.counts()))
        return seen

    def writes(self) -> int:
        """Requests that changed a count."""
        return self.cluster.api.log.count("patch", "deployments/scale")

    def troubles(self) -> str:
        """What the last tick could not do."""
        return " ".join(trouble.message for trouble in self.stage.ticks[-1].troubles)


@pytest.fixture
def migration(fake_stage: Stage, tmp_path: Path) -> Migration:
    assert isinstance(fake_stage.cluster, FakeCluster)
    return Migration(fake_stage, fake_stage.cluster, tmp_path / "imported.yaml")


def with_hpas(migration: Migration) -> None:
    for role in ROLES:
        name = f"{migration.stage.service}-{role}"
        migration.cluster.create("horizontalpodautoscalers", hpa(name, name))


def without_hpas(migration: Migration) -> None:
    for role in ROLES:
        migration.cluster.delete(*HPAS, f"{migration.stage.service}-{role}")


def with_keda(migration: Migration) -> None:
    for role in ROLES:
        name = f"{migration.stage.service}-{role}"
        add_scaled_object(migration.cluster, name, name, minReplicaCount=2, maxReplicaCount=6)


def keda_paused(migration: Migration, value: str | None, annotation: str = PAUSED) -> None:
    change: dict[str, Any] = {"metadata": {"annotations": {annotation: value}}}
    for role in ROLES:
        migration.cluster.patch(*SCALED_OBJECTS, f"{migration.stage.service}-{role}", change)


Step = Callable[[Migration], None]
PATHS = [
    pytest.param("hpa", with_hpas, without_hpas, with_hpas, "HorizontalPodAutoscaler", id="HPA"),
    pytest.param(
        "keda",
        with_keda,
        lambda migration: keda_paused(migration, "true"),
        lambda migration: keda_paused(migration, None),
        "ScaledObject",
        id="KEDA",
    ),
    pytest.param(
        "keda",
        with_keda,
        lambda migration: keda_paused(migration, "2", f"{PAUSED}-replicas"),
        lambda migration: keda_paused(migration, None, f"{PAUSED}-replicas"),
        "ScaledObject",
        id="KEDA, paused at a number",
    ),
]


@pytest.mark.parametrize(("setter", "theirs", "let_go", "take_back", "kind"), PATHS)
def test_adopted_run_beside_handed_over_without_a_jump_and_handed_back(
    migration: Migration, setter: str, theirs: Step, let_go: Step, take_back: Step, kind: str
) -> None:
    theirs(migration)
    migration.adopt(setter)

    migration.run_in("recommend")
    assert migration.counts_over(300.0) == {(2, 2)}
    assert migration.writes() == 0

    migration.run_in("enforce")  # too early: whoever sets the count now is still there
    migration.stage.fluid.arrivals_per_s = 10.0
    migration.stage.run(60.0)
    assert migration.counts() == [2, 2]
    assert f"{kind} {migration.cluster.namespace}/{migration.stage.service}-prefill" in migration.troubles()
    assert migration.writes() == 0

    migration.stage.fluid.arrivals_per_s = 2.0
    migration.stage.fluid.waiting = 0.0
    migration.run_in("recommend")
    migration.stage.run(300.0)
    let_go(migration)
    migration.run_in("enforce")
    assert migration.counts_over(900.0) == {(2, 2)}  # the same load, the same counts: no jump

    migration.stage.fluid.arrivals_per_s = 10.0
    migration.stage.run(120.0)
    ours = migration.counts()
    assert ours[0] > 2

    migration.run_in("recommend")
    take_back(migration)
    written = migration.writes()
    assert migration.counts_over(300.0) == {tuple(ours)}
    assert migration.writes() == written


def test_an_hpa_that_comes_back_while_we_enforce_is_given_way_to_within_ten_minutes(migration: Migration) -> None:
    with_hpas(migration)
    migration.adopt("hpa")
    without_hpas(migration)
    migration.run_in("enforce")
    migration.stage.tick()

    with_hpas(migration)
    migration.stage.run(SEARCH_EVERY_S + 15.0)
    written = migration.writes()
    migration.stage.fluid.arrivals_per_s = 10.0
    migration.stage.run(120.0)

    assert "delete it, or leave the role to it" in migration.troubles()
    assert migration.writes() == written


def test_a_fixed_number_is_taken_over_at_that_number(migration: Migration) -> None:
    migration.adopt("deployment")
    migration.run_in("enforce")

    assert migration.counts_over(600.0) == {(2, 2)}
    migration.stage.fluid.arrivals_per_s = 10.0
    migration.stage.run(60.0)
    assert migration.counts()[0] == 2  # its most, until its user says more


def test_what_an_hpa_had_too_many_goes_at_the_pace_of_the_behavior(migration: Migration) -> None:
    for role in ROLES:
        name = f"{migration.stage.service}-{role}"
        migration.cluster.create("horizontalpodautoscalers", hpa(name, name, minReplicas=1))
        migration.cluster.patch("apps/v1", "deployments", name, {"spec": {"replicas": 6}})
    migration.adopt("hpa")
    migration.run_in("recommend")
    migration.stage.run(900.0)
    without_hpas(migration)
    migration.run_in("enforce")

    decode = [6]
    for _ in range(40):
        migration.stage.tick()
        decode.append(migration.counts()[1])

    a_minute_later = zip(decode, decode[4:], strict=False)
    assert decode[-1] < 6
    assert all(before - after <= math.ceil(before / 4) for before, after in a_minute_later)
