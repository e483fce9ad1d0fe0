"""What kustomize and Helm make of deploy/: real ones, `kubectl kustomize` (or kustomize) and Helm's own SDK."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_python import Chart, values_from_yaml

JsonObject = dict[str, Any]

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "pd-autoscaler"
NAME = "pd-autoscaler"
OVERLAYS = sorted(path.name for path in (DEPLOY / "overlays").iterdir())
TOOLS = ("kustomize", "helm")

# What says who installed an object, and with which version.
_BOOKKEEPING = ("app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart")


def rendered(tool: str, overlay: str) -> list[JsonObject]:
    """The objects of an overlay, by either tool; CustomResourceDefinitions and Namespaces are left out.

    Helm installs the former by themselves, and creates the latter when asked to.
    """
    found = kustomized(DEPLOY / "overlays" / overlay) if tool == "kustomize" else helmed(overlay)
    return [document for document in found if document["kind"] not in {"CustomResourceDefinition", "Namespace"}]


@cache
def kustomized(folder: Path) -> list[JsonObject]:
    """Everything that a kustomization makes; skips the test where there is nothing to run it, unless CI is set."""
    program = [shutil.which("kustomize"), "build"] if shutil.which("kustomize") else [_kubectl(), "kustomize"]
    done = subprocess.run([*map(str, program), str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.load_all(done.stdout, yaml.CSafeLoader) if document]


@cache
def helmed(overlay: str) -> list[JsonObject]:
    """Everything that the chart makes with the values of an overlay, its policy, its roles and its settings."""
    folder = DEPLOY / "overlays" / overlay
    values = values_from_yaml((DEPLOY / "helm" / "values" / f"{overlay}.yaml").read_text())
    policies, roles = (folder / "policy.yaml").read_text(), (folder / "roles.yaml").read_text()
    settings = folder / "settings.yaml"
    given = {"settings": settings.read_text()} if settings.exists() else {}
    return chart_objects({**values, "policies": policies, "roles": roles, **given})


def chart_objects(values: JsonObject, namespace: str = NAME) -> list[JsonObject]:
    """Everything that the chart makes with some values, installed into a namespace."""
    with Chart.load(CHART) as chart:
        chart.validate_schema(values)
        texts = chart.render(values, name=NAME, namespace=namespace)
    manifests = [text for path, text in sorted(texts.items()) if path.endswith(".yaml")]
    return [document for text in manifests for document in yaml.load_all(text, yaml.CSafeLoader) if document]


def key_of(document: JsonObject) -> tuple[str, str, str]:
    """Kind, namespace and name."""
    metadata = document["metadata"]
    return document["kind"], metadata.get("namespace", ""), metadata["name"]


def meaning(document: JsonObject) -> JsonObject:
    """The object without what only says who installed it, and without empty parts."""
    metadata = dict(document["metadata"])
    labels = {key: value for key, value in metadata.get("labels", {}).items() if key not in _BOOKKEEPING}
    return {**_without_checksums(document), "metadata": {**metadata, "labels": labels}}


def _without_checksums(document: JsonObject) -> JsonObject:
    """A workload whose pods do not say which settings they were started with; kustomize cannot."""
    if document["kind"] != "Deployment":
        return document
    template = document["spec"]["template"]
    noted = template["metadata"].get("annotations", {})
    kept = {name: value for name, value in noted.items() if not name.startswith("checksum/")}
    metadata = {name: value for name, value in template["metadata"].items() if name != "annotations"}
    metadata |= {"annotations": kept} if kept else {}
    return {**document, "spec": {**document["spec"], "template": {**template, "metadata": metadata}}}


def _kubectl() -> str:
    found = shutil.which("kubectl")
    if found is None:
        complaint = "neither kustomize nor kubectl is installed"
        if os.environ.get("CI"):
            pytest.fail(complaint)
        pytest.skip(complaint)
    return found
