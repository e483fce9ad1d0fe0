from __future__ import annotations

import subprocess
from typing import Any

import pytest
import yaml

from autoscaler.adopt.hpa import WITHOUT_IDENTITY
from autoscaler.core.policy import Mode, Role
from autoscaler.daemon.places import target_aims
from tests.adopt.conftest import Import, engine, hpa
from tests.support.crds import definition_of, manifest, plural_of
from tests.support.kube import Cluster
from tests.targets.kubernetes.objects import DGDSA, RBGSA, SCALER

LWS = "LeaderWorkerSet.leaderworkerset.x-k8s.io"

BEHAVIOR = {
    "scaleUp": {
        "stabilizationWindowSeconds": 30,
        "selectPolicy": "Min",
        "policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}],
    },
    "scaleDown": {
        "stabilizationWindowSeconds": 600,
        "policies": [{"type": "Percent", "value": 10, "periodSeconds": 90}],
    },
}
QUEUE = {
    "type": "External",
    "external": {"metric": {"name": "vllm_queue"}, "target": {"type": "AverageValue", "averageValue": "5"}},
}


@pytest.mark.usefixtures("pair")
def test_two_hpas_become_both_roles_of_one_policy_in_recommend_mode(import_of: Import) -> None:
    policy = import_of("hpa", "decode-hpa", "prefill-hpa").policy

    roles = policy.spec.roles.by_role()
    assert (policy.service, policy.spec.stack, policy.spec.mode) == ("chat", "vllm", Mode.RECOMMEND)
    assert {role: pool.target.name for role, pool in roles.items()} == {
        Role.PREFILL: "chat-prefill",
        Role.DECODE: "chat-decode",
    }
    assert [(pool.min_replicas, pool.max_replicas) for pool in roles.values()] == [(2, 6), (2, 6)]


@pytest.mark.usefixtures("pair")
def test_of_one_hpa_the_other_pool_is_found_by_its_name_with_todays_count_as_its_most(import_of: Import) -> None:
    done = import_of("hpa", "prefill-hpa")

    decode = done.policy.spec.roles.decode
    assert (decode.target.name, decode.min_replicas, decode.max_replicas) == ("chat-decode", 1, 3)
    assert "The decode pool was found by its name" in done.out


def test_a_pool_that_is_not_there_is_marked_as_a_guess(kube_api: Cluster, import_of: Import) -> None:
    kube_api.create("deployments", engine("chat-decode"))
    kube_api.create("horizontalpodautoscalers", hpa("theirs", "chat-decode"))

    done = import_of("hpa", "theirs")

    assert done.policy.spec.roles.prefill.target.name == "chat-prefill"
    assert "The prefill pool is a guess" in done.out


def test_behavior_is_carried_over_word_by_word(kube_api: Cluster, import_of: Import) -> None:
    kube_api.create("deployments", engine("chat-decode"))
    kube_api.create("horizontalpodautoscalers", hpa("theirs", "chat-decode", behavior=BEHAVIOR))

    behavior = import_of("hpa", "theirs").policy.spec.roles.decode.behavior.core()

    up, down = behavior.up, behavior.down
    assert (up.window_s, up.select, [(rule.kind, rule.value, rule.period_s) for rule in up.rules]) == (
        30.0,
        "Min",
        [("Pods", 2, 60.0)],
    )
    assert (down.window_s, [(rule.value, rule.period_s) for rule in down.rules]) == (600.0, [(10, 90.0)])


def test_what_an_hpa_does_by_default_and_we_do_not_is_said(kube_api: Cluster, import_of: Import) -> None:
    kube_api.create("deployments", engine("chat-decode"))
    kube_api.create("horizontalpodautoscalers", hpa("theirs", "chat-decode", metrics=[QUEUE]))

    out = import_of("hpa", "theirs").out

    assert "# - decode: metric vllm_queue (External, AverageValue 5): the objectives decide instead" in out
    assert "no scaleDown policies are set: an HPA then shrinks by up to 100 % per 15 s" in out
    assert "no scaleDown window is set: an HPA's is 300 s" in out
    assert "no scaleUp window is set: the default here is none, but 40 s for decode and after a shrink" in out


def test_of_a_direction_that_is_disabled_no_pace_is_said(kube_api: Cluster, import_of: Import) -> None:
    kube_api.create("deployments", engine("chat-decode"))
    disabled = {"scaleUp": {"selectPolicy": "Disabled"}, "scaleDown": {"selectPolicy": "Disabled"}}
    kube_api.create("horizontalpodautoscalers", hpa("theirs", "chat-decode", behavior=disabled))

    done = import_of("hpa", "theirs")

    assert done.policy.spec.roles.decode.behavior.scale_down.select == "Disabled"
    assert "Not carried over" not in done.out


@pytest.mark.parametrize("tolerance", ["1", "1500u"])
def test_a_tolerance_that_a_policy_cannot_hold_is_left_out_and_said(
    kube_api: Cluster, import_of: Import, tolerance: str
) -> None:
    kube_api.create("deployments", engine("chat-decode"))
    behavior = {"scaleUp": {"stabilizationWindowSeconds": 30, "tolerance": tolerance}}
    kube_api.create("horizontalpodautoscalers", hpa("theirs", "chat-decode", behavior=behavior))

    done = import_of("hpa", "theirs")

    assert done.policy.spec.roles.decode.behavior.scale_up.window_s == 30.0
    assert f"scaleUp.tolerance {tolerance}: a policy takes 0 to less than 100 %" in done.out


def test_a_bound_above_the_most_that_a_policy_takes_becomes_that(kube_api: Cluster, import_of: Import) -> None:
    kube_api.create("deployments", engine("chat-decode"))
    kube_api.create("horizontalpodautoscalers", hpa("theirs", "chat-decode", maxReplicas=20_000))

    done = import_of("hpa", "theirs")

    assert done.policy.spec.roles.decode.max_replicas == 10_000
    assert "<- 20000 before; the most that a policy takes" in done.out


def test_bounds_that_no_policy_takes_are_refused_without_a_file_that_is_not_there(
    kube_api: Cluster, import_of: Import
) -> None:
    kube_api.create("deployments", engine("chat-decode"))
    kube_api.create("horizontalpodautoscalers", hpa("theirs", "chat-decode", minReplicas=15_000, maxReplicas=20_000))

    refused = import_of("hpa", "theirs")

    assert "what was found makes no valid policy: spec.roles.decode.min: is out of range" in refused.error


def test_model_gpus_and_count_come_from_the_workload(kube_api: Cluster, import_of: Import) -> None:
    container = {
        "args": ["vllm serve org/model-8b --served-model-name chat-8b --port 8000"],
        "resources": {"limits": {"nvidia.com/gpu": "4"}},
    }
    kube_api.create("deployments", engine("chat-decode", replicas=3, **container))
    kube_api.create("horizontalpodautoscalers", hpa("theirs", "chat-decode"))

    done = import_of("hpa", "theirs")

    assert done.policy.spec.model == "chat-8b"
    assert done.policy.spec.roles.decode.gpus_per_replica == 4.0
    assert "# 3 replicas today" in done.out


@pytest.mark.parametrize(
    ("args", "model"),
    [
        (["--model=$(MODEL)", "--port=8000"], "org/model-8b"),
        (["vllm serve ${MODEL} --port 8000"], "org/model-8b"),
        (["vllm serve $MODEL --served-model-name $NAME"], None),
        (["--model", "$(NAME)"], None),
    ],
)
def test_a_model_that_a_variable_holds_is_told_where_the_pod_says_its_value(
    kube_api: Cluster, import_of: Import, args: list[str], model: str | None
) -> None:
    env = [{"name": "MODEL", "value": "org/model-8b"}, {"name": "NAME", "valueFrom": {"fieldRef": {}}}]
    kube_api.create("deployments", engine("chat-decode", args=args, env=env))
    kube_api.create("horizontalpodautoscalers", hpa("theirs", "chat-decode"))

    assert import_of("hpa", "theirs").policy.spec.model == model


def test_an_engine_is_told_by_its_image(kube_api: Cluster, import_of: Import) -> None:
    kube_api.create("deployments", engine("chat-decode", image="lmsysorg/sglang:v0.5"))

    assert import_of("deployment", "chat-decode").policy.spec.stack == "sglang"


def test_a_replica_of_a_leader_worker_set_holds_the_gpus_of_all_its_pods(kube_api: Cluster, import_of: Import) -> None:
    pod = {"metadata": {}, "spec": {"containers": [{"name": "engine", "resources": {"limits": {"nvidia.com/gpu": 8}}}]}}
    spec = {"replicas": 2, "leaderWorkerTemplate": {"size": 2, "workerTemplate": pod}}
    kube_api.define(definition_of(LWS))
    kube_api.create(plural_of(LWS), manifest(LWS, "chat-decode", spec))
    reference = {"apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet", "name": "chat-decode"}
    kube_api.create("horizontalpodautoscalers", hpa("theirs", "chat-decode", scaleTargetRef=reference))

    decode = import_of("hpa", "theirs").policy.spec.roles.decode

    assert (decode.target.kind, decode.gpus_per_replica) == ("LeaderWorkerSet", 16.0)


def test_a_stack_is_told_by_the_kind_of_its_target(kube_api: Cluster, import_of: Import) -> None:
    reference = {"apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoGraphDeploymentScalingAdapter", "name": "g-decode"}
    kube_api.create("horizontalpodautoscalers", hpa("theirs", "g-decode", scaleTargetRef=reference))

    done = import_of("hpa", "theirs")

    assert done.policy.spec.stack == "dynamo"
    assert "its target could not be read" in done.out
    target = done.policy.spec.roles.decode.target
    assert (target.spec, target.name, target.entry) == ("dynamo-adapter", "g", "decode")


PARTS: dict[str, tuple[str, str, dict[str, Any], tuple[str, str]]] = {
    "Dynamo": (
        DGDSA,
        "g-vllmdecodeworker",
        {"dgdRef": {"name": "g", "serviceName": "VllmDecodeWorker"}},
        ("g", "VllmDecodeWorker"),
    ),
    "RBG": (RBGSA, "g-1-decode", {"scaleTargetRef": {"name": "g-1", "role": "decode"}}, ("g-1", "decode")),
    "DisaggregatedSet": (SCALER, "g-decode", {}, ("g", "decode")),
}


@pytest.mark.parametrize("stack", PARTS)
def test_an_adapter_is_told_by_what_it_adapts_which_alone_knows_the_replicas_that_serve(
    kube_api: Cluster, import_of: Import, stack: str
) -> None:
    kind, name, spec, (whole, entry) = PARTS[stack]
    kube_api.define(definition_of(kind))
    made = kube_api.create(plural_of(kind), manifest(kind, name, {"replicas": 2, **spec}))
    reference = {"apiVersion": made["apiVersion"], "kind": made["kind"], "name": name}
    kube_api.create("horizontalpodautoscalers", hpa("theirs", name, scaleTargetRef=reference))

    policy = import_of("hpa", "theirs").policy

    target = policy.spec.roles.decode.target
    assert (target.name, target.entry) == (whole, entry)
    aimed = target_aims(policy)[Role.DECODE]
    assert (aimed.ref.name, aimed.ref.kind) == (name, made["kind"])
    assert aimed.status_refs[0].name == whole


def test_a_stack_that_there_is_not_is_refused_with_the_nearest(kube_api: Cluster, import_of: Import) -> None:
    kube_api.create("deployments", engine("chat-decode"))

    assert "did you mean vllm?" in import_of("deployment", "chat-decode", "--stack", "vlm").error


def test_names_that_tell_no_role_are_asked_for(kube_api: Cluster, import_of: Import) -> None:
    for name in ("red", "blue"):
        kube_api.create("deployments", engine(name))
        kube_api.create("horizontalpodautoscalers", hpa(name, name))

    refused = import_of("hpa", "red", "blue")
    assert "HorizontalPodAutoscaler red: prefill or decode?" in refused.error
    assert "--prefill red or --decode red" in refused.error

    roles = import_of("hpa", "red", "--decode", "blue").policy.spec.roles
    assert (roles.prefill.target.name, roles.decode.target.name) == ("red", "blue")


def test_two_pools_of_one_role_are_refused(kube_api: Cluster, import_of: Import) -> None:
    for name in ("decode-a", "decode-b"):
        kube_api.create("deployments", engine(name))

    assert "both look like decode" in import_of("deployment", "decode-a", "decode-b").error


def test_one_name_cannot_be_both_pools(kube_api: Cluster, import_of: Import) -> None:
    kube_api.create("deployments", engine("red"))

    refused = import_of("deployment", "--prefill", "red", "--decode", "red")

    assert "red cannot be both --prefill and --decode" in refused.error


def test_an_hpa_that_keda_made_sends_its_user_to_keda(kube_api: Cluster, import_of: Import) -> None:
    owner = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "decode", "uid": "1-2-3"}
    kube_api.create("horizontalpodautoscalers", hpa("keda-hpa-decode", "d", metadata={"ownerReferences": [owner]}))

    assert "import keda decode" in import_of("hpa", "keda-hpa-decode").error


def test_an_hpa_that_is_not_there_asks_for_its_namespace(import_of: Import) -> None:
    error = import_of("hpa", "decode").error

    assert "is HorizontalPodAutoscaler decode the right name, and serving its namespace? -n names another" in error


def test_a_kind_that_no_namespace_has_sends_nobody_to_another(import_of: Import) -> None:
    error = import_of("keda", "decode").error

    assert error.endswith("is its CRD installed and served?")


def test_a_missing_right_is_named(kube_api: Cluster, import_of: Import) -> None:
    kube_api.create("horizontalpodautoscalers", hpa("decode", "chat-decode"))
    rules = [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]}]

    refused = import_of("hpa", "decode", token=kube_api.service_account("narrow", rules))

    assert refused.out == ""
    assert "missing verb get on horizontalpodautoscalers" in refused.error


def test_the_commands_for_handing_over_and_back_are_printed(kube_api: Cluster, import_of: Import) -> None:
    kube_api.create("deployments", engine("chat-decode"))
    kube_api.create("horizontalpodautoscalers", hpa("theirs", "chat-decode"))

    out = import_of("hpa", "theirs").out

    assert f"#   kubectl -n {kube_api.namespace} delete hpa theirs\n" in out
    assert f"#   kubectl -n {kube_api.namespace} apply -f theirs.yaml\n" in out


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"annotations": {"argocd.argoproj.io/tracking-id": "x"}}, "Argo CD keeps it (argocd.argoproj.io/tracking-id)"),
        ({"labels": {"app.kubernetes.io/managed-by": "Helm"}}, "or the next upgrade brings it back"),
    ],
)
def test_who_would_bring_a_deleted_hpa_back_is_named(
    kube_api: Cluster, import_of: Import, metadata: dict[str, dict[str, str]], said: str
) -> None:
    kube_api.create("deployments", engine("chat-decode"))
    kube_api.create("horizontalpodautoscalers", hpa("theirs", "chat-decode", metadata=metadata))

    assert said in " ".join(line.lstrip("# ") for line in import_of("hpa", "theirs").out.splitlines())


def test_the_copy_that_is_kept_can_be_created_again(kube_api: Cluster) -> None:
    kube_api.create("horizontalpodautoscalers", hpa("theirs", "chat-decode"))
    shown = kube_api.get("autoscaling/v2", "horizontalpodautoscalers", "theirs")
    kube_api.delete("autoscaling/v2", "horizontalpodautoscalers", "theirs")

    done = subprocess.run(
        ["sed", WITHOUT_IDENTITY], input=yaml.safe_dump(shown), capture_output=True, text=True, check=True
    )

    again = kube_api.create("horizontalpodautoscalers", yaml.safe_load(done.stdout))
    assert again["spec"] == shown["spec"]
    assert again["metadata"]["uid"] != shown["metadata"]["uid"]


def test_import_writes_nothing(kube_api: Cluster, import_of: Import) -> None:
    kube_api.create("deployments", engine("chat-decode"))
    before = kube_api.get("apps/v1", "deployments", "chat-decode")

    import_of("deployment", "chat-decode")

    assert kube_api.get("apps/v1", "deployments", "chat-decode") == before


def test_a_file_is_no_name_of_an_object(import_of: Import) -> None:
    assert "hpa decode.yaml: wants the name of an object in the cluster" in import_of("hpa", "decode.yaml").error
