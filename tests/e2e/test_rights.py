"""The Roles that `rbac` prints: enough for the daemon, and not one right more than that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from autoscaler.cli.main import app
from autoscaler.config import ScalingPolicy, load_paths
from autoscaler.core.policy import Role
from autoscaler.daemon.assembly import connections
from autoscaler.daemon.election import Election
from autoscaler.daemon.event_reporter import EventReporter, Subject
from autoscaler.daemon.places import target_aims
from autoscaler.daemon.service import ServiceRunner
from autoscaler.daemon.state_config_map import ConfigMapStateStore
from autoscaler.daemon.surroundings import Surroundings
from autoscaler.kube.api import KubeApi
from autoscaler.kube.crd import definition, policy_ref
from autoscaler.targets.kubernetes.competitors.lists import AUTOSCALERS
from autoscaler.targets.kubernetes.connection import configure
from autoscaler.targets.kubernetes.errors import ForbiddenError
from tests.daemon.builders import HandClock, capturing
from tests.e2e.stage import policy_document
from tests.support.crds import definition_of, manifest, plural_of
from tests.support.kube import FakeCluster, fake_cluster
from tests.support.kube_api.manifests import definition as kind_definition
from tests.support.kube_api.manifests import deployment
from tests.targets.kubernetes.competitors.conftest import owned_by
from tests.targets.kubernetes.objects import CLIQUE, KSERVE, OME

OWN = ["--leader-elect", "--state", "configmap", "--lease-namespace", "serving", "--lease-name", "pd"]
Rule = dict[str, Any]


def write_policy(
    folder: Path,
    mode: str = "enforce",
    stack: str = "vllm",
    targets: dict[str, dict[str, Any]] | None = None,
    *,
    scrape: bool = False,
) -> Path:
    document = policy_document("chat", "serving", "http://127.0.0.1:1", mode=mode, stack=stack)
    for name, role in document["spec"]["roles"].items():
        role["min"] = 3  # what it has to be scaled to without any signal
        if targets is not None:
            role["target"] = targets[name]
    if scrape:
        document["spec"]["scrape"] = {}
        del document["spec"]["prometheus"]
    path = folder / "chat.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def printed(*arguments: str) -> list[dict[str, Any]]:
    """What the command prints."""
    result = CliRunner().invoke(app, ["rbac", *arguments])
    assert result.exit_code == 0, result.output
    return list(yaml.safe_load_all(result.stdout))


@contextmanager
def cluster() -> Iterator[FakeCluster]:
    """A cluster with the workloads, and with every kind of autoscaler installed."""
    with fake_cluster() as made:
        for other in AUTOSCALERS:
            if other.kind.group != "autoscaling":
                document = kind_definition(other.kind.group, other.kind.name, other.kind.plural)
                document["spec"]["versions"][0]["name"] = other.kind.versions[0]
                made.define(document)
        made.define(definition())
        for role in ("prefill", "decode"):
            made.create("deployments", deployment(f"chat-{role}", replicas=2))
        yield made


def policy_of(path: Path) -> ScalingPolicy:
    (loaded,) = load_paths([path])
    return loaded.policy


class Daemon:
    """All that a daemon does over a while, as a service account: three ticks, eleven minutes apart."""

    def __init__(self, folder: Path, made: FakeCluster, rules: list[Rule], policy: ScalingPolicy) -> None:
        self.cluster = made
        self.policy = policy
        self.kubeconfig = str(made.kubeconfig(folder / "kubeconfig", token=made.service_account("pd", rules)))
        self.clock = HandClock()
        self.log, self.lines = capturing()
        made.api.log.clear()

    def live(self) -> None:
        with ExitStack() as stack:
            api = KubeApi(configure(kubeconfig=self.kubeconfig))
            stack.callback(api.close)
            election = Election(api, "serving", "pd", "pod_1", self.clock, self.log)
            election.stand_for(["chat"])
            around = Surroundings(kubeconfig=self.kubeconfig)
            source, target = connections(self.policy, around, self.clock, self.log, writes=True)
            store = ConfigMapStateStore(api, "serving", "pd")
            runner = ServiceRunner(self.policy.core(), source, target, store, self.log)
            stack.callback(runner.close)
            events = EventReporter(api, self._subjects, "pod_1")
            for _ in range(3):
                election.turn()
                events.report(runner.tick(self.clock.now_s()))
                self.clock.at_s += 660.0

    def _subjects(self, _service: str, role: Role) -> list[Subject]:
        return [Subject(target_aims(self.policy)[role].ref)]

    def refused(self) -> set[tuple[str, str, str]]:
        """Verb, resource and name of every request that was answered with 403."""
        return {(r.verb, r.resource, r.name) for r in self.cluster.api.log.all() if r.code == 403}


def without_one(rules: list[Rule]) -> Iterator[tuple[str, list[Rule]]]:
    """The rules, each time without one verb on one object."""
    for number, rule in enumerate(rules):
        for verb in rule["verbs"]:
            for name in rule.get("resourceNames", [None]):
                fewer = [verb_ for verb_ in rule["verbs"] if verb_ != verb]
                rest = [other for other in rule.get("resourceNames", []) if other != name]
                kept = [{**rule, "verbs": fewer}] if fewer else []
                if rest:
                    kept.append({**rule, "verbs": [verb], "resourceNames": rest})
                yield f"{verb} {rule['resources'][0]} {name or ''}", [*rules[:number], *kept, *rules[number + 1 :]]


def test_a_daemon_with_exactly_these_rights_is_refused_nothing_and_with_one_fewer_it_is(tmp_path: Path) -> None:
    path = write_policy(tmp_path)
    (role,) = printed(str(path), *OWN)

    with cluster() as made:
        whole = Daemon(tmp_path, made, role["rules"], policy_of(path))
        whole.live()
        assert whole.refused() == set()
        assert made.get("apps/v1", "deployments", "chat-prefill")["spec"]["replicas"] == 3

    needless = []
    for missing, fewer in without_one(role["rules"]):
        with cluster() as made:
            daemon = Daemon(tmp_path, made, fewer, policy_of(path))
            daemon.live()
            if not daemon.refused():
                needless.append(missing)
    assert needless == []


OWNED = {
    "OME, a Deployment": (OME, {"prefill": {"name": "chat-engine"}, "decode": {"name": "chat-decoder"}}, "ome"),
    "OME, by its spec": (OME, {key: {"spec": "ome", "name": "chat"} for key in ("prefill", "decode")}, "ome"),
    "KServe": (KSERVE, {key: {"spec": "kserve-workload", "name": "chat"} for key in ("prefill", "decode")}, "kserve"),
    "Grove": (
        "PodCliqueSet.grove.io",
        {role: {"spec": "podclique", "name": f"chat-0-{role}"} for role in ("prefill", "decode")},
        "grove",
    ),
}
SELF_SCALING: dict[str, dict[str, Any]] = {
    OME: {"engine": {"minReplicas": 1}},
    KSERVE: {"prefill": {"replicas": 2}},
    "PodCliqueSet.grove.io": {
        "replicas": 1,
        "template": {"cliques": [{"name": "prefill", "spec": {"autoScalingConfig": {"maxReplicas": 4}}}]},
    },
}


@pytest.mark.parametrize("case", OWNED)
def test_an_owner_that_may_put_its_own_count_back_can_be_looked_at_and_is_given_way_to(
    tmp_path: Path, case: str
) -> None:
    kind, targets, stack = OWNED[case]
    path = write_policy(tmp_path, stack=stack, targets=targets)
    (role,) = printed(str(path), *OWN)

    with cluster() as made:
        made.define(definition_of(kind))
        owner = made.create(plural_of(kind), manifest(kind, "chat", SELF_SCALING[kind]))
        owners = owned_by(made, owner["apiVersion"], plural_of(kind), "chat")
        for aimed in target_aims(policy_of(path)).values():
            owned = {"name": aimed.ref.name, "ownerReferences": owners}
            if aimed.ref.kind == "Deployment":
                document = deployment(aimed.ref.name, replicas=2)
                made.create("deployments", {**document, "metadata": document["metadata"] | owned})
            else:
                made.define(definition_of(CLIQUE))
                made.create("podcliques", {**manifest(CLIQUE, "", {"replicas": 2}), "metadata": owned})
        daemon = Daemon(tmp_path, made, role["rules"], policy_of(path))
        daemon.live()

        aimed = target_aims(policy_of(path))[Role.PREFILL]
        found = made.get(aimed.ref.api_version, aimed.ref.plural, aimed.ref.name)
    assert daemon.refused() == set()
    assert found["spec"]["replicas"] == 2


@pytest.mark.parametrize("spec", ["hyperpod", "ome-bounds"])
def test_scraping_pods_that_a_deployment_below_the_target_names_takes_a_look_at_its_scale(
    tmp_path: Path, spec: str
) -> None:
    targets = {key: {"spec": spec, "name": "chat", "maxReplicas": 12} for key in ("prefill", "decode")}
    rules = printed(str(write_policy(tmp_path, stack=spec.partition("-")[0], targets=targets, scrape=True)))[0]["rules"]
    plain = printed(str(write_policy(tmp_path, stack=spec.partition("-")[0], targets=targets)))[0]["rules"]

    assert "deployments/scale" in {rule["resources"][0] for rule in rules if rule["verbs"] == ["get"]}
    assert "deployments/scale" not in {rule["resources"][0] for rule in plain}


def test_the_rights_are_limited_to_the_objects_that_the_policy_names(tmp_path: Path) -> None:
    (role,) = printed(str(write_policy(tmp_path)), *OWN)

    writes = {"update", "patch"}
    unnamed = {
        (rule["resources"][0], verb)
        for rule in role["rules"]
        if "resourceNames" not in rule
        for verb in rule["verbs"]
        if verb in writes
    }
    assert unnamed == {("events", "patch")}
    assert (role["kind"], role["metadata"]) == ("Role", {"name": "pd", "namespace": "serving"})
    assert {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get", "patch"]} | {
        "resourceNames": ["chat-decode", "chat-prefill"]
    } in role["rules"]


def test_an_adviser_gets_no_right_to_write(tmp_path: Path) -> None:
    (role,) = printed(str(write_policy(tmp_path, mode="recommend")))

    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list"}


def test_who_wants_the_least_loaded_pods_to_leave_first_asks_for_that_right(tmp_path: Path) -> None:
    plain, marking = (printed(str(write_policy(tmp_path)), *more)[0]["rules"] for more in ((), ("--mark-pods",)))

    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "patch"]}
    assert rule in marking
    assert rule not in plain


def test_where_the_stack_lets_pods_out_of_routing_their_controllers_are_read(tmp_path: Path) -> None:
    marking = printed(str(write_policy(tmp_path, stack="llm-d")), "--mark-pods")[0]["rules"]

    assert {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["get"]} in marking
    assert {"apiGroups": ["apps"], "resources": ["statefulsets"], "verbs": ["get"]} in marking


def test_policies_in_all_namespaces_are_watched_through_a_cluster_role(tmp_path: Path) -> None:
    whole, own = printed(str(write_policy(tmp_path, mode="recommend")), "--watch-policies")

    assert (whole["kind"], whole["rules"]) == (
        "ClusterRole",
        [{"apiGroups": ["pd-autoscaler.io"], "resources": ["scalingpolicies"], "verbs": ["list", "watch"]}],
    )
    status = {"apiGroups": ["pd-autoscaler.io"], "resources": ["scalingpolicies/status"], "verbs": ["patch"]}
    assert status | {"resourceNames": ["chat"]} in own["rules"]


def follow_policies(api: KubeApi) -> None:
    """List, watch for a second, and write a status."""
    found, version = api.list_all(policy_ref("serving"))
    assert [item["metadata"]["name"] for item in found] == ["chat"]
    list(api.watch(policy_ref("serving"), since=version, timeout_s=1.0))
    api.merge(policy_ref("serving", "chat"), {"status": {"mode": "recommend"}}, subresource="status")


@pytest.mark.parametrize("missing", ["", "list", "watch", "patch"])
def test_following_policy_objects_needs_these_rights(tmp_path: Path, missing: str) -> None:
    path = write_policy(tmp_path, mode="recommend")
    (role,) = printed(str(path), "--watch-policies", "--namespace", "serving")
    rules = [rule for rule in role["rules"] if rule["apiGroups"] == ["pd-autoscaler.io"]]
    fewer = [{**rule, "verbs": [verb for verb in rule["verbs"] if verb != missing]} for rule in rules]

    with cluster() as made:
        made.create("scalingpolicies", yaml.safe_load(path.read_text()))
        daemon = Daemon(tmp_path, made, [rule for rule in fewer if rule["verbs"]], policy_of(path))
        api = KubeApi(configure(kubeconfig=daemon.kubeconfig))
        with pytest.raises(ForbiddenError, match=f"missing verb {missing}") if missing else nullcontext():
            follow_policies(api)
        api.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no policy is named"),
        (["/nowhere.yaml"], "no such file"),
        (["POLICY", "--leader-elect"], "--lease-namespace"),
        (["POLICY", "--lease-namespace", "pd"], "pass one of them too"),
        (["POLICY", "--namespace", "serving"], "--namespace says where --watch-policies looks"),
        (["POLICY", "--watch-policies", "--namespace", "team-a"], "chat is in namespace serving, where a daemon with"),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, arguments: list[str], words: str) -> None:
    path = str(write_policy(tmp_path))

    result = CliRunner().invoke(app, ["rbac", *(path if word == "POLICY" else word for word in arguments)])

    assert words in str(result.exception)
