"""A service on the wall clock, for tests that start the real program."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import yaml

from autoscaler.core.policy import Role
from tests.e2e.fluid import Fluid
from tests.e2e.stage import policy_document
from tests.support.kube import FakeCluster
from tests.support.kube_api import DeploymentController
from tests.support.kube_api.manifests import deployment
from tests.support.prometheus import Prometheus

_STEP_S = 15
_PAST_S = 300
_FUTURE_S = 120


class LiveService:
    """Two Deployments of 2 and the series of a steady load, which go on for two minutes.

    Args:
        name: Its name; a label of its series.
        cluster: Where its Deployments are.
        prometheus: Where its series go.
        arrivals_per_s: Offered requests; two prefill replicas serve five.
    """

    def __init__(
        self, name: str, cluster: FakeCluster, prometheus: Prometheus, *, arrivals_per_s: float = 10.0
    ) -> None:
        self.name = name
        self.cluster = cluster
        DeploymentController(cluster.api, time.time)
        for role in ("prefill", "decode"):
            cluster.create("deployments", deployment(f"{name}-{role}", replicas=2))
        fluid, now_s = Fluid(arrivals_per_s), time.time()
        for offset_s in range(-_PAST_S, _FUTURE_S, _STEP_S):
            fluid.advance(_STEP_S, 2, 2)
            prometheus.write(fluid.series(now_s + offset_s, name))
        cluster.api.log.clear()

    def replicas(self, role: Role) -> int:
        """What the Deployment of a role asks for."""
        return int(self.cluster.get("apps/v1", "deployments", f"{self.name}-{role}")["spec"]["replicas"])

    def write_policy(
        self,
        folder: Path,
        url: str,
        *,
        prefill: dict[str, Any] | None = None,
        decode: dict[str, Any] | None = None,
        **changes: Any,
    ) -> Path:
        """The policy as a file; `prefill` and `decode` replace keys of those roles."""
        document = policy_document(self.name, self.cluster.namespace, url, **changes)
        document["spec"]["roles"]["prefill"] |= prefill or {}
        document["spec"]["roles"]["decode"] |= decode or {}
        path = folder / f"{self.name}.yaml"
        path.write_text(yaml.safe_dump(document))
        return path
