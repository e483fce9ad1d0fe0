"""Clusters, and the command on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from typer.testing import CliRunner

from autoscaler.cli.main import app
from autoscaler.config.load import parse
from autoscaler.config.model import ScalingPolicy
from tests.support.crds import definition_of, manifest, plural_of
from tests.support.kube import Cluster, fake_kube_api, kube_api, real_kube_api
from tests.support.kube_api.manifests import deployment

__all__ = ["fake_kube_api", "kube_api", "real_kube_api"]

JsonObject = dict[str, Any]
KEDA = "ScaledObject.keda.sh"


@dataclass(frozen=True, slots=True)
class Imported:
    """How the command ended."""

    code: int
    out: str
    error: str

    @property
    def policy(self) -> ScalingPolicy:
        """The policy that it printed, which passes `check`."""
        with TemporaryDirectory() as folder:
            file = Path(folder, "imported.yaml")
            file.write_text(self.out)
            checked = CliRunner().invoke(app, ["check", str(file)])
        assert (self.code, checked.exit_code) == (0, 0), self.error + checked.stderr
        return parse(self.out.encode(), Path("imported.yaml")).policies[0].policy


Import = Callable[..., Imported]


@pytest.fixture
def import_of(kube_api: Cluster, tmp_path: Path) -> Import:
    """Runs `import` against the test's cluster."""

    def run(*arguments: str, token: str = "") -> Imported:
        kubeconfig = kube_api.kubeconfig(tmp_path / "kubeconfig", token=token)
        options = ("-n", kube_api.namespace, "--kubeconfig", str(kubeconfig))
        result = CliRunner().invoke(app, ["import", *arguments, *options])
        error = result.stderr + (str(result.exception) if result.exception is not None else "")
        return Imported(result.exit_code, result.stdout, error)

    return run


def engine(name: str, replicas: int = 2, **container: Any) -> JsonObject:
    """A Deployment of vLLM."""
    document = deployment(name, replicas)
    document["spec"]["template"]["spec"]["containers"][0] |= container
    return document


def hpa(name: str, target: str, *, metadata: JsonObject | None = None, **spec: Any) -> JsonObject:
    """A HorizontalPodAutoscaler of a Deployment, 2 to 6."""
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, **(metadata or {})},
        "spec": {"scaleTargetRef": reference, "minReplicas": 2, "maxReplicas": 6, **spec},
    }


def add_scaled_object(
    cluster: Cluster, name: str, target: str, *, metadata: JsonObject | None = None, **spec: Any
) -> None:
    """A ScaledObject of a Deployment."""
    cluster.define(definition_of(KEDA))
    spec = {"scaleTargetRef": {"name": target}, "triggers": [], **spec}
    cluster.create(plural_of(KEDA), manifest(KEDA, name, spec, **(metadata or {})))


@pytest.fixture
def pair(kube_api: Cluster) -> None:
    """Two Deployments with an HPA each."""
    for role in ("prefill", "decode"):
        kube_api.create("deployments", engine(f"chat-{role}", replicas=3))
        kube_api.create("horizontalpodautoscalers", hpa(f"{role}-hpa", f"chat-{role}"))
