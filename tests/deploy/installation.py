"""An overlay in a cluster: its objects applied as they are rendered, and its daemon at work as its service account."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

from autoscaler.config import ScalingPolicy, load_paths
from autoscaler.core.policy import Mode
from autoscaler.daemon.assembly import connections
from autoscaler.daemon.election import Election
from autoscaler.daemon.event_reporter import EventReporter
from autoscaler.daemon.policy_origin import ClusterOrigin, FileOrigin, PolicyOrigin
from autoscaler.daemon.process import shared_budgets
from autoscaler.daemon.service import ServiceRunner
from autoscaler.daemon.settings_file import load_settings
from autoscaler.daemon.shared_budget import SharedBudgets
from autoscaler.daemon.state_config_map import ConfigMapStateStore
from autoscaler.daemon.state_store import MemoryStateStore
from autoscaler.daemon.surroundings import Surroundings
from autoscaler.daemon.tenancy import Tenancy
from autoscaler.kube.api import KubeApi
from autoscaler.targets.kubernetes.competitors.lists import AUTOSCALERS
from autoscaler.targets.kubernetes.connection import configure
from autoscaler.targets.kubernetes.refs import guess_plural
from tests.daemon.builders import HandClock, capturing
from tests.deploy.rendering import NAME, JsonObject, rendered
from tests.deploy.schemas import policy_definition
from tests.support.crds import definition_of, manifest
from tests.support.kube import FakeCluster, fake_cluster
from tests.support.kube_api.manifests import definition as kind_definition
from tests.support.kube_api.manifests import deployment
from tests.support.prometheus import wait_until

_ENDPOINT = "InferenceEndpointConfig.inference.sagemaker.aws.amazon.com"
NOWHERE = "http://127.0.0.1:9"


class Installation:
    """The objects of an overlay in a cluster that has their targets.

    Args:
        cluster: The cluster.
        documents: The objects.
    """

    def __init__(self, cluster: FakeCluster, documents: list[JsonObject]) -> None:
        self.cluster = cluster
        self.documents = documents
        self.policies = [one for one in documents if one["kind"] == "ScalingPolicy"]
        (deployed,) = [one for one in documents if one["kind"] == "Deployment" and one["metadata"]["name"] == NAME]
        (container, *_) = deployed["spec"]["template"]["spec"]["containers"]
        self.arguments: list[str] = container["args"]
        for kind in ("ServiceMonitor", "PrometheusRule"):
            self._define(_open_definition("monitoring.coreos.com", kind, guess_plural(kind)))
        self._define(policy_definition())
        for other in AUTOSCALERS:
            if other.kind.group != "autoscaling":
                made = kind_definition(other.kind.group, other.kind.name, other.kind.plural)
                made["spec"]["versions"][0]["name"] = other.kind.versions[0]
                self._define(made)
        self._define(definition_of(_ENDPOINT))
        places = {one["metadata"].get("namespace", "") for one in documents} - {"", cluster.namespace}
        for place in sorted(places):
            self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place}})
        for document in documents:
            self.apply(document)

    def apply(self, document: JsonObject) -> JsonObject:
        """Create an object where it says."""
        code, answer = self.cluster.request("POST", self.path(document, named=False), document)
        assert code == 201, answer
        return answer

    def path(self, document: JsonObject, *, named: bool = True) -> str:
        """Where the API server has an object, or its collection."""
        version, metadata = document["apiVersion"], document["metadata"]
        parts = ["/apis" if "/" in version else "/api", version]
        if "namespace" in metadata:
            parts += ["namespaces", metadata["namespace"]]
        parts += [guess_plural(document["kind"]), *([metadata["name"]] if named else [])]
        return "/".join(parts)

    def token(self) -> str:
        """A token of the daemon's service account."""
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        path = f"/api/v1/namespaces/{NAME}/serviceaccounts/{NAME}/token"
        code, answer = self.cluster.request("POST", path, request)
        assert code == 201, answer
        return str(answer["status"]["token"])

    def create_targets(self, policy: JsonObject) -> None:
        """What a policy scales, with two replicas each."""
        namespace = policy["metadata"]["namespace"]
        targets = [role["target"] for role in policy["spec"]["roles"].values()]
        for name in sorted({target["name"] for target in targets}):
            if targets[0].get("kind") == "InferenceEndpointConfig":
                pools = {"prefillSpec": {"replicas": 2}, "decodingSpec": {"replicas": 1}}
                made = [manifest(_ENDPOINT, name, {"pdSpec": pools})]
                made += [deployment(f"{role}-{name}", replicas=1) for role in ("prefill", "decode")]
            else:
                made = [deployment(name, replicas=2)]
            for one in made:
                one["metadata"]["namespace"] = namespace
                self.apply(one)

    def _define(self, definition: JsonObject) -> None:
        self.cluster.define(definition)


@contextmanager
def installed(overlay: str) -> Iterator[Installation]:
    """An overlay in a cluster of its own, whose policies want another count than there is and know of no Prometheus.

    The objects are the chart's; those of kustomize are the same, as another test holds.
    """
    documents = copy.deepcopy(rendered("helm", overlay))
    for document in documents:
        if document["kind"] == "ScalingPolicy":
            _eager(document)
        if document["metadata"]["name"] == "pd-autoscaler-policies":
            policy = yaml.safe_load(document["data"]["policy.yaml"])
            _eager(policy)
            document["data"] = {"policy.yaml": yaml.safe_dump(policy)}
    with fake_cluster() as cluster:
        made = Installation(cluster, documents)
        for policy in policies_of(documents):
            made.create_targets(policy)
        cluster.api.log.clear()
        yield made


def policies_of(documents: list[JsonObject]) -> list[JsonObject]:
    """The policies among the objects, or in their ConfigMap."""
    maps = [one for one in documents if one["metadata"]["name"] == "pd-autoscaler-policies"]
    return [one for one in documents if one["kind"] == "ScalingPolicy"] + [
        policy for one in maps for policy in yaml.safe_load_all(one["data"]["policy.yaml"])
    ]


def _eager(policy: JsonObject) -> None:
    policy["spec"].pop("prometheus", None)
    policy["spec"]["interval"] = "1s"
    for role in policy["spec"]["roles"].values():
        role["min"] = min(role["max"], 3)  # what it has to be scaled to without any signal


def live(made: Installation, folder: Path) -> None:
    """All that the overlay's daemon does over a while, in this process: four ticks, eleven minutes apart."""
    kubeconfig = str(made.cluster.kubeconfig(folder / "kubeconfig", token=made.token()))
    made.cluster.api.log.clear()
    clock, (log, _) = HandClock(), capturing()
    with ExitStack() as stack:
        api = KubeApi(configure(kubeconfig=kubeconfig))
        stack.callback(api.close)
        origin = _origin(made, api, folder, clock)
        stack.callback(origin.close)
        origin.start()
        if "--watch-policies" in made.arguments:
            wait_until(
                lambda: not origin.missing() and made.cluster.api.log.count("watch") > 0, "no policies were listed"
            )
        origin.policies.reload()
        origin.followed({}, [])
        policies = [loaded.policy for loaded in origin.policies.policies.values()]
        election = Election(api, NAME, NAME, "pod_1", clock, log)
        elects, budgets = "--leader-elect" in made.arguments, _budgets(made, folder)
        election.stand_for(budgets.leases(policy.service for policy in policies) if elects else [])
        reporters = [*origin.reporters, EventReporter(api, origin.subjects, "pod_1")]
        keeps = "--state=configmap" in made.arguments
        store = ConfigMapStateStore(api, NAME, NAME) if keeps else MemoryStateStore()
        runners = [
            _runner(policy, kubeconfig, store, clock, log, _may_write(election if elects else None, budgets, policy))
            for policy in policies
        ]
        for runner in runners:
            stack.callback(runner.close)
        for _ in range(4):
            if elects:
                election.turn()
            for runner in runners:
                tick = runner.tick(clock.now_s())
                for reporter in reporters:
                    reporter.report(tick)
            clock.at_s += 660.0


def _origin(made: Installation, api: KubeApi, folder: Path, clock: HandClock) -> PolicyOrigin:
    if "--watch-policies" in made.arguments:
        (namespace,) = [word.partition("=")[2] for word in made.arguments if word.startswith("--namespace=")] or [""]
        return ClusterOrigin(api, namespace, tenancy=Tenancy(prometheus_given=True), clock=clock)
    return FileOrigin([write_policies(made, folder)])


def write_policies(made: Installation, folder: Path) -> Path:
    """The policies of the daemon's ConfigMap, as its mount would show them."""
    (found,) = [one for one in made.documents if one["metadata"]["name"] == "pd-autoscaler-policies"]
    shown = folder / "policies"
    shown.mkdir()
    for name, text in found["data"].items():
        (shown / name).write_text(text)
    assert load_paths([shown])
    return shown


def _budgets(made: Installation, folder: Path) -> SharedBudgets:
    """What the settings file that is mounted says of GPUs."""
    for one in made.documents:
        if one["kind"] == "ConfigMap" and one["metadata"]["name"] == f"{NAME}-settings":
            path = folder / "settings.yaml"
            path.write_text(one["data"]["settings.yaml"])
            return shared_budgets(load_settings(path))
    return SharedBudgets()


def _may_write(election: Election | None, budgets: SharedBudgets, policy: ScalingPolicy) -> Callable[[], bool]:
    lease = budgets.lease(policy.service)
    return (lambda: election.may_write(lease)) if election is not None else (lambda: True)


def _runner(
    policy: ScalingPolicy, kubeconfig: str, store: Any, clock: HandClock, log: Any, may_write: Callable[[], bool]
) -> ServiceRunner:
    writes = policy.spec.mode is not Mode.RECOMMEND
    source, target = connections(policy, Surroundings(NOWHERE, kubeconfig), clock, log, writes=writes)
    return ServiceRunner(policy.core(), source, target, store, log, may_write=may_write)


def _open_definition(group: str, kind: str, plural: str) -> JsonObject:
    made = kind_definition(group, kind, plural)
    (version,) = made["spec"]["versions"]
    version["subresources"] = {}
    version["schema"] = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return made
