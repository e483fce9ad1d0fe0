"""Write what in deploy/ follows from something else; with --check, say what is not up to date instead.

Roles follow from policies and from the options that the daemon is started with; the objects of the Prometheus Operator
and of Grafana, from dashboards/. The Helm chart needs none of this: it links to what it takes from elsewhere.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
import yaml
from typer.testing import CliRunner

from autoscaler.cli.exits import CliError
from autoscaler.cli.rbac import rbac

ROOT = Path(__file__).parents[1]
DEPLOY, DASHBOARDS = ROOT / "deploy", ROOT / "dashboards"
EXAMPLE = DEPLOY / "examples" / "kind"
HEAD = "# Generated: make manifests\n"
NAME = "pd-autoscaler"
LABELS = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/instance": NAME}
_RBAC_OPTIONS = ("--watch-policies", "--namespace", "--leader-elect", "--state", "--lease-namespace", "--lease-name")
_SETTINGS = "--settings="


def outputs() -> Iterator[tuple[Path, str]]:
    """Every generated file and what is to be in it."""
    for policy in sorted([*DEPLOY.glob("overlays/*/policy.yaml"), EXAMPLE / "policy.yaml"]):
        roles = roles_of(policy, daemon_arguments(policy.parent))
        yield policy.with_name("roles.yaml"), _dump(roles)
        yield policy.with_name("role-bindings.yaml"), _dump([binding_of(role) for role in roles])
    yield DEPLOY / "components" / "monitoring" / "prometheus-rule.yaml", _dump([prometheus_rule()])
    yield DASHBOARDS / "kustomization.yaml", _dump([dashboards()])
    yield EXAMPLE / "monitoring" / "rules.yaml", _dump([rules_for_a_plain_prometheus()])


def daemon_arguments(overlay: Path) -> list[str]:
    """What the daemon is started with in an overlay."""
    patch = overlay / "deployment.yaml"
    for path in (patch, DEPLOY / "base" / "deployment.yaml"):
        if path.exists():
            containers = yaml.safe_load(path.read_text())["spec"]["template"]["spec"]["containers"]
            (ours,) = [container for container in containers if container["name"] == NAME]
            if "args" in ours:
                return list(ours["args"])
    raise FileNotFoundError(patch)


def roles_of(policy: Path, arguments: list[str]) -> list[dict[str, Any]]:
    """What `pd-autoscaler rbac` prints for a policy file and a daemon that is started so."""
    known = [argument for argument in arguments if argument.partition("=")[0] in _RBAC_OPTIONS]
    mounted = [argument for argument in arguments if argument.startswith(_SETTINGS)]
    known += [f"{_SETTINGS}{policy.with_name(Path(argument).name)}" for argument in mounted]
    if "--state=dir" in known:
        known.remove("--state=dir")  # a folder takes no right
    command = typer.Typer(add_completion=False)
    command.command()(rbac)
    try:
        result = CliRunner().invoke(command, [str(policy), *known], catch_exceptions=False)
    except CliError as error:
        sys.exit(
            f"{policy}: {error}; the daemon's options stand in the args of the overlay's deployment.yaml, or the base's"
        )
    if result.exit_code:
        raise ValueError(f"{policy}: {result.output}")
    roles = list(yaml.safe_load_all(result.stdout))
    for role in roles:
        role["metadata"]["labels"] = LABELS
    return roles


def binding_of(role: dict[str, Any]) -> dict[str, Any]:
    """What gives a Role, or a ClusterRole, to the daemon's service account."""
    subject = {"kind": "ServiceAccount", "name": NAME, "namespace": NAME}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": role["kind"], "name": role["metadata"]["name"]}
    head = {"apiVersion": role["apiVersion"], "kind": f"{role['kind']}Binding", "metadata": role["metadata"]}
    return {**head, "roleRef": reference, "subjects": [subject]}


def prometheus_rule() -> dict[str, Any]:
    """All rule files as one object of the Prometheus Operator."""
    files = sorted(DASHBOARDS.glob("rules/*.yaml"))
    groups = [group for path in files for group in yaml.load(path.read_text(), yaml.CSafeLoader)["groups"]]
    metadata = {"name": NAME, "namespace": NAME, "labels": LABELS}
    head = {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": metadata}
    return {**head, "spec": {"groups": groups}}


def rules_for_a_plain_prometheus() -> dict[str, Any]:
    """All rule files as a ConfigMap for a Prometheus without the operator."""
    data = {path.name: path.read_text() for path in sorted(DASHBOARDS.glob("rules/*.yaml"))}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "prometheus-rules"}, "data": data}


def dashboards() -> dict[str, Any]:
    """The kustomization that makes a ConfigMap of each dashboard, which Grafana's sidecar finds by its label.

    Not one for all: what `kubectl apply` remembers of an object may have 256 KiB.
    """
    options = {"disableNameSuffixHash": True, "labels": {**LABELS, "grafana_dashboard": "1"}}
    files = [path.relative_to(DASHBOARDS) for path in sorted(DASHBOARDS.glob("*.json"))]
    generators = [
        {
            "name": f"{NAME}-dashboard-{path.stem}",
            "namespace": NAME,
            "files": [str(path)],
            "options": options,
        }
        for path in files
    ]
    head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    return {**head, "configMapGenerator": generators}


def _dump(documents: list[dict[str, Any]]) -> str:
    return HEAD + yaml.dump_all(documents, Dumper=_Plain, sort_keys=False, width=110)


class _Plain(yaml.CSafeDumper):
    """Writes shared parts out, and texts of several lines as blocks."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _text(dumper: yaml.CSafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Plain.add_representer(str, _text)


def main() -> None:
    """Write them, or check them."""
    wanted = dict(outputs())
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    if "--check" not in sys.argv[1:]:
        for path in stale:
            path.write_text(wanted[path])
        return
    if stale:
        named = "\n".join(str(path.relative_to(ROOT)) for path in stale)
        sys.exit(f"not up to date, run make manifests:\n{named}")


if __name__ == "__main__":
    main()
