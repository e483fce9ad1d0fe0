"""The example cluster: its objects, the commands of its script, and that its parts fit each other."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscaler.config import load_paths
from autoscaler.simulation.cluster import load, pod
from tests.deploy.installation import Installation
from tests.deploy.rendering import DEPLOY, NAME, JsonObject, kustomized
from tests.deploy.schemas import VERSIONS, complaints
from tests.support.kube import fake_cluster

EXAMPLE = DEPLOY / "examples" / "kind"
IMAGE = "pd-autoscaler:kind"


def objects(kind: str = "") -> dict[str, JsonObject]:
    return {
        one["metadata"]["name"]: one
        for one in kustomized(EXAMPLE)
        if one["kind"] == kind or (not kind and one["kind"] != "CustomResourceDefinition")
    }


def container_of(deployment: JsonObject) -> JsonObject:
    (found,) = deployment["spec"]["template"]["spec"]["containers"]
    return dict(found)


@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
def test_every_object_is_valid_by_strict_schemas(version: str) -> None:
    assert [found for one in kustomized(EXAMPLE) for found in complaints(one, version)] == []


def test_an_api_server_takes_every_object() -> None:
    documents = [one for one in kustomized(EXAMPLE) if one["kind"] not in {"CustomResourceDefinition", "Namespace"}]

    with fake_cluster() as cluster:
        made = Installation(cluster, documents)

        assert made.token()


def test_the_engines_and_the_load_are_programs_of_our_own_image() -> None:
    deployments = objects("Deployment")
    for name, program in (("vllm-prefill", pod), ("vllm-decode", pod), ("load", load)):
        container = container_of(deployments[name])
        assert container["image"] == IMAGE
        assert container["command"] == ["/opt/pd-autoscaler/bin/python", "-m", program.__name__]
        assert program.parser().parse_args(container["args"])


def test_the_policy_scales_the_engines_and_asks_the_prometheus_that_is_there() -> None:
    (loaded,) = load_paths([EXAMPLE / "policy.yaml"])
    deployments, services = objects("Deployment"), objects("Service")

    for target in loaded.policy.targets().values():
        deployment = deployments[target.name]
        assert deployment["metadata"]["namespace"] == target.namespace
        assert "replicas" not in deployment["spec"]
    prometheus = loaded.policy.spec.prometheus
    assert prometheus is not None
    assert prometheus.url == f"http://prometheus.monitoring:{services['prometheus']['spec']['ports'][0]['port']}"


def test_the_load_goes_to_the_services_of_the_engines() -> None:
    deployments, services = objects("Deployment"), objects("Service")

    given = load.parser().parse_args(container_of(deployments["load"])["args"])

    for role, url in (("prefill", given.prefill), ("decode", given.decode)):
        service = services[f"vllm-{role}"]
        assert url == f"http://vllm-{role}.serving:{service['spec']['ports'][0]['port']}"
        labels = deployments[f"vllm-{role}"]["spec"]["template"]["metadata"]["labels"]
        assert service["spec"]["selector"].items() <= labels.items()


def test_prometheus_understands_its_configuration(tmp_path: Path) -> None:
    document = yaml.safe_load((EXAMPLE / "monitoring" / "prometheus.yml").read_text())
    document["rule_files"] = [str(tmp_path / "rules-*.yaml")]
    for job in document["scrape_configs"]:
        assert job.pop("kubernetes_sd_configs")[0]["role"] == "pod"  # Debian builds Prometheus without it
        job["static_configs"] = [{"targets": ["127.0.0.1:1"]}]
    for name, text in objects("ConfigMap")["prometheus-rules"]["data"].items():
        (tmp_path / f"rules-{name}").write_text(text)
    path = tmp_path / "prometheus.yml"
    path.write_text(yaml.safe_dump(document))

    done = subprocess.run(["promtool", "check", "config", path], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert [job["job_name"] for job in document["scrape_configs"]] == ["vllm", NAME]


def test_every_mounted_map_is_there() -> None:
    maps = objects("ConfigMap")
    wanted = set()
    for deployment in objects("Deployment").values():
        for volume in deployment["spec"]["template"]["spec"].get("volumes", []):
            sources: list[dict[str, Any]] = volume.get("projected", {}).get("sources", [volume])
            wanted |= {source["configMap"]["name"] for source in sources if "configMap" in source}

    assert wanted
    assert wanted <= maps.keys()


def test_every_dashboard_is_shown() -> None:
    volumes = objects("Deployment")["grafana"]["spec"]["template"]["spec"]["volumes"]
    (shown,) = [volume["projected"]["sources"] for volume in volumes if "projected" in volume]

    dashboards = {name for name in objects("ConfigMap") if name.startswith(f"{NAME}-dashboard-")}
    assert {source["configMap"]["name"] for source in shown} == dashboards


def script(folder: Path, *arguments: str, missing: str = "") -> tuple[int, str, list[str]]:
    """Run the script with programs that only write down how they were called."""
    folder.mkdir()
    calls = folder / "calls"
    calls.touch()
    for name in {"docker", "kind", "kubectl"} - {missing}:
        program = folder / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >>{calls}\n')
        program.chmod(0o755)
    for name in ("sh", "dirname", "grep", "cat"):
        (folder / name).symlink_to(f"/usr/bin/{name}")
    done = subprocess.run(
        ["/usr/bin/sh", EXAMPLE / "run.sh", *arguments],
        env={**os.environ, "PATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr, calls.read_text().splitlines()


def test_one_command_makes_the_cluster_and_one_takes_it_away(tmp_path: Path) -> None:
    code, said, calls = script(tmp_path / "up")

    assert code == 0, said
    assert "http://127.0.0.1:3000" in said
    order = ["kind create cluster", f"docker build --tag {IMAGE}", f"kind load docker-image {IMAGE}", "kubectl"]
    first = [next(place for place, call in enumerate(calls) if call.startswith(one)) for one in order]
    assert first == sorted(first)
    applied = [call for call in calls if " apply " in call]
    assert [call.rpartition(" ")[2] for call in applied] == ["deploy/crd", "deploy/examples/kind"]
    assert all("--context kind-pd-autoscaler" in call for call in calls if call.startswith("kubectl"))

    assert script(tmp_path / "down", "down")[2] == ["kind delete cluster --name pd-autoscaler"]


def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    code, said, calls = script(tmp_path / "up", missing="kind")

    assert (code, said, calls) == (1, "needs kind\n", [])
