"""A service from end to end on a clock that the test moves: fluid, Prometheus, API server, and our tick in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from autoscaler.config import load_paths
from autoscaler.core.policy import Role
from autoscaler.daemon.assembly import connections
from autoscaler.daemon.service import ServiceRunner
from autoscaler.daemon.state_store import MemoryStateStore
from autoscaler.daemon.surroundings import Surroundings
from autoscaler.daemon.tick import Tick
from tests.daemon.builders import HandClock, capturing
from tests.e2e.fluid import MODEL, Fluid
from tests.support.kube import Cluster
from tests.support.kube_api.manifests import deployment
from tests.support.prometheus import Prometheus, TimeSeries

INTERVAL_S = 15.0
SHRINK_WINDOW_S = 120.0
WARM_UP_S = 150.0


def policy_document(service: str, namespace: str, url: str, *, mode: str = "enforce", **spec: Any) -> dict[str, Any]:
    """A policy for the fluid: grows at once, shrinks after two minutes as fast as it likes."""
    fast = {"policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}
    behavior = {"scaleDown": {"stabilizationWindowSeconds": int(SHRINK_WINDOW_S), **fast}}
    roles = {
        role: {
            "target": {"name": f"{service}-{role}"},
            "selector": {"role": role},
            "max": 12,
            "startupTime": "30s",
            "behavior": behavior,
        }
        for role in ("prefill", "decode")
    }
    return {
        "apiVersion": "pd-autoscaler.io/v1alpha1",
        "kind": "ScalingPolicy",
        "metadata": {"name": service, "namespace": namespace},
        "spec": {
            "stack": "vllm",
            "model": MODEL,
            "mode": mode,
            "interval": f"{INTERVAL_S:g}s",
            "selector": {"service": service},
            "objectives": {"ttft": {"target": "2s"}, "tpot": {"target": "50ms"}},
            "roles": roles,
            "prometheus": {"url": url, "timeout": "2s"},
            **spec,
        },
    }


def write_policy(folder: Path, service: str, namespace: str, url: str, **changes: Any) -> Path:
    """The policy as a file."""
    path = folder / f"{service}.yaml"
    path.write_text(yaml.safe_dump(policy_document(service, namespace, url, **changes)))
    return path


@dataclass
class Stage:
    """The service of one test.

    Attributes:
        service: Its name; a label of its series, so that tests can share a Prometheus.
        folder: Where policy and kubeconfig go.
        cluster: Where its Deployments are; the stage plays their controller.
        prometheus: Where its series go.
        url: Where the autoscaler finds Prometheus.
        clock: The only time there is, but for the servers' own.
        arriving: What of the series that a scrape finds reaches Prometheus at that time.
        quotas: How many pods of a role may be made; without an entry all.
    """

    service: str
    folder: Path
    cluster: Cluster
    prometheus: Prometheus
    url: str
    clock: HandClock
    fluid: Fluid = field(default_factory=lambda: Fluid(arrivals_per_s=2.0))
    token: str = ""
    ticks: list[Tick] = field(default_factory=list)
    arriving: Callable[[Iterable[TimeSeries]], Iterable[TimeSeries]] = iter
    quotas: dict[Role, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for role in Role.PREFILL, Role.DECODE:
            self.cluster.create("deployments", deployment(f"{self.service}-{role}", replicas=2))
        self.log, self.lines = capturing()
        self.store = MemoryStateStore()
        self.runner = self._new_runner()
        self.let_time_pass(WARM_UP_S)

    def replicas(self, role: Role) -> int:
        """What the Deployment of a role asks for."""
        return int(self._deployment(role)["spec"]["replicas"])

    def tick(self) -> Tick:
        """One interval passes, and the autoscaler ticks."""
        self.let_time_pass(INTERVAL_S)
        done = self.runner.tick(self.clock.now_s())
        self.ticks.append(done)
        return done

    def let_time_pass(self, seconds: float) -> None:
        """The service goes on, and the autoscaler does nothing."""
        for _ in range(round(seconds / INTERVAL_S)):
            ready = {role: self._start_pods(role) for role in (Role.PREFILL, Role.DECODE)}
            self.fluid.advance(INTERVAL_S, ready[Role.PREFILL], ready[Role.DECODE])
            self.clock.at_s += INTERVAL_S
            self.prometheus.write(self.arriving(self.fluid.series(self.clock.now_s(), self.service)))

    def run(self, seconds: float) -> None:
        """Tick through some time."""
        for _ in range(round(seconds / INTERVAL_S)):
            self.tick()

    def close(self) -> None:
        """Let go of connections."""
        self.runner.close()

    def _new_runner(self) -> ServiceRunner:
        (loaded,) = load_paths([write_policy(self.folder, self.service, self.cluster.namespace, self.url)])
        kubeconfig = self.cluster.kubeconfig(self.folder / "kubeconfig", token=self.token)
        around = Surroundings(kubeconfig=str(kubeconfig))
        source, target = connections(loaded.policy, around, self.clock, self.log, writes=True)
        return ServiceRunner(loaded.policy.core(), source, target, self.store, self.log)

    def _start_pods(self, role: Role) -> int:
        """Play the controller: what is asked for serves one interval later."""
        found = self._deployment(role)
        asked_for = int(found["spec"]["replicas"])
        made = min(asked_for, self.quotas.get(role, asked_for))
        counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        status = {**dict.fromkeys(counts, made), "observedGeneration": found["metadata"]["generation"]}
        if made < asked_for:
            refused = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "over quota"}
            status["conditions"] = [refused]
        self.cluster.patch("apps/v1", "deployments", f"{self.service}-{role}", {"status": status}, "status")
        return made

    def _deployment(self, role: Role) -> dict[str, Any]:
        return self.cluster.get("apps/v1", "deployments", f"{self.service}-{role}")
