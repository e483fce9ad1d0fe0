"""Switches in configuration texts, and the restart of the router that reads them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from autoscaler.targets.base import Outcome
from autoscaler.targets.kubernetes.switches.build import SwitchPlace, make_switch
from autoscaler.targets.kubernetes.switches.config_map import HASH, PREVIOUS, ConfigMapSwitch
from autoscaler.targets.kubernetes.switches.load import load_switch
from autoscaler.targets.role import RoleTargets
from autoscaler.targets.switch import ALWAYS_TOKENS, NEVER_TOKENS, Position, Setting
from tests.support.kube import Cluster, FakeCluster
from tests.support.kube_api import Fault
from tests.support.kube_api.manifests import deployment
from tests.targets.kubernetes.conftest import ClientOn

EPP = """\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: prefill-filter
- type: disagg-profile-handler
  parameters:
    deciders:
      prefill: prefix-based-pd-decider
- type: prefix-based-pd-decider
  parameters:
    nonCachedTokens: 16  # tuned in March
"""
HEIMDALL = "plugins:\n- type: pd-profile-handler\n  parameters: {threshold: 0, decodeProfile: decode}\n"
DYNAMIC = json.dumps({"service_discovery": "k8s", "routing_logic": "disaggregated_prefill"}, indent=2)


def config_map(text: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "epp"}, "data": {"config.yaml": text}, **more}


def add_router(cluster: Cluster, replicas: int = 2, strategy: str = "RollingUpdate") -> None:
    cluster.create("deployments", deployment("epp", replicas, strategy={"type": strategy}))
    settle(cluster)


def settle(cluster: Cluster) -> None:
    """Let the router's rollout come to its end."""
    router = cluster.get("apps/v1", "deployments", "epp")
    counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), router["spec"]["replicas"])
    status = {"observedGeneration": router["metadata"]["generation"], **counts}
    cluster.patch("apps/v1", "deployments", "epp", {"status": status}, "status")


def switch_on(
    cluster: Cluster, client_on: ClientOn, name: str = "llm-d-epp", *, allowed: bool = True, token: str = ""
) -> ConfigMapSwitch:
    place = SwitchPlace(cluster.namespace, "epp", "config.yaml", router="epp", allow_router_restart=allowed)
    pools = RoleTargets({}, close=lambda: None)
    switch = make_switch(client_on(cluster, token=token), load_switch(name), place, pools)
    assert isinstance(switch, ConfigMapSwitch)
    return switch


@pytest.fixture
def epp(kube_api: Cluster, client_on: ClientOn) -> ConfigMapSwitch:
    """An endpoint picker of two replicas with a threshold of 16 tokens."""
    kube_api.create("configmaps", config_map(EPP))
    add_router(kube_api)
    return switch_on(kube_api, client_on)


def text_of(cluster: Cluster) -> str:
    return str(cluster.get("v1", "configmaps", "epp")["data"]["config.yaml"])


def template_annotations(cluster: Cluster) -> dict[str, str]:
    template = cluster.get("apps/v1", "deployments", "epp")["spec"]["template"]
    return dict(template["metadata"].get("annotations", {}))


def test_a_decider_is_read_in_tokens(epp: ConfigMapSwitch) -> None:
    reading = epp.read()

    assert (reading.position, reading.threshold_tokens) == (Position.ON, 16.0)
    assert reading.detail.endswith("parameters.nonCachedTokens in config.yaml is 16")


@pytest.mark.parametrize(
    ("setting", "written"), [(Position.OFF, 0), (NEVER_TOKENS, 0), (ALWAYS_TOKENS, 1), (Position.ON, 1), (512.0, 512)]
)
def test_one_value_is_written_and_the_router_restarted(
    kube_api: Cluster, epp: ConfigMapSwitch, setting: Setting, written: int
) -> None:
    result = epp.set(setting, dry_run=False)

    assert result.outcome is Outcome.APPLIED
    assert text_of(kube_api) == EPP.replace("nonCachedTokens: 16", f"nonCachedTokens: {written}")
    written_map = kube_api.get("v1", "configmaps", "epp")["metadata"]["annotations"]
    assert written_map[PREVIOUS] == EPP
    assert template_annotations(kube_api)[HASH] == written_map[HASH]


def test_a_switch_is_unknown_until_its_router_has_restarted(kube_api: Cluster, epp: ConfigMapSwitch) -> None:
    epp.set(Position.OFF, dry_run=False)
    restarting = epp.read()
    settle(kube_api)

    assert restarting.position is Position.UNKNOWN
    assert "is restarting" in restarting.detail
    assert epp.read().position is Position.OFF


def test_what_is_set_already_sends_nothing(fake_kube_api: FakeCluster, client_on: ClientOn) -> None:
    fake_kube_api.create("configmaps", config_map(EPP))
    add_router(fake_kube_api)
    switch = switch_on(fake_kube_api, client_on)
    fake_kube_api.api.log.clear()

    result = switch.set(16.0, dry_run=False)

    assert (result.outcome, fake_kube_api.api.log.writes()) == (Outcome.APPLIED, [])
    assert "says so already" in result.message


def test_setting_twice_restarts_once(kube_api: Cluster, epp: ConfigMapSwitch) -> None:
    epp.set(Position.OFF, dry_run=False)
    generation = kube_api.get("apps/v1", "deployments", "epp")["metadata"]["generation"]

    epp.set(Position.OFF, dry_run=False)

    assert kube_api.get("apps/v1", "deployments", "epp")["metadata"]["generation"] == generation


def test_going_back_and_forth_restarts_each_time(kube_api: Cluster, epp: ConfigMapSwitch) -> None:
    hashes = []
    for setting in (Position.OFF, Position.ON, Position.OFF):
        epp.set(setting, dry_run=False)
        hashes.append(template_annotations(kube_api)[HASH])

    assert hashes[0] == hashes[2] != hashes[1]


def test_a_restart_that_failed_is_finished_by_the_next_call(fake_kube_api: FakeCluster, client_on: ClientOn) -> None:
    fake_kube_api.create("configmaps", config_map(EPP))
    add_router(fake_kube_api)
    switch = switch_on(fake_kube_api, client_on)
    fake_kube_api.api.faults.add(Fault(verb="patch", resource="deployments", code=503))

    failed = switch.set(Position.OFF, dry_run=False)
    between = switch.read()
    finished = switch.set(Position.OFF, dry_run=False)

    assert (failed.outcome, finished.outcome) == (Outcome.UNAVAILABLE, Outcome.APPLIED)
    assert "the next call finishes what is left" in failed.message
    assert between.position is Position.UNKNOWN
    assert "has not been restarted yet" in between.detail
    assert template_annotations(fake_kube_api)[HASH]


def test_without_leave_to_restart_nothing_is_sent(fake_kube_api: FakeCluster, client_on: ClientOn) -> None:
    fake_kube_api.create("configmaps", config_map(EPP))
    add_router(fake_kube_api)
    switch = switch_on(fake_kube_api, client_on, allowed=False)
    fake_kube_api.api.log.clear()

    result = switch.set(Position.OFF, dry_run=False)

    assert (result.outcome, fake_kube_api.api.log.writes()) == (Outcome.REFUSED, [])
    assert "set spec.switch.target.allowRouterRestart if that is acceptable" in result.message


def test_a_dry_run_asks_for_both_and_changes_neither(fake_kube_api: FakeCluster, client_on: ClientOn) -> None:
    fake_kube_api.create("configmaps", config_map(EPP))
    add_router(fake_kube_api)
    switch = switch_on(fake_kube_api, client_on)
    fake_kube_api.api.log.clear()

    result = switch.set(Position.OFF, dry_run=True)

    assert result.outcome is Outcome.DRY_RUN
    assert [(request.resource, request.query["dryRun"]) for request in fake_kube_api.api.log.writes()] == [
        ("configmaps", "All"),
        ("deployments", "All"),
    ]
    assert (text_of(fake_kube_api), template_annotations(fake_kube_api)) == (EPP, {})


@pytest.mark.parametrize(
    ("replicas", "strategy", "gap"), [(2, "RollingUpdate", False), (1, "RollingUpdate", True), (2, "Recreate", True)]
)
def test_a_gap_in_routing_is_announced(
    kube_api: Cluster, client_on: ClientOn, replicas: int, strategy: str, *, gap: bool
) -> None:
    kube_api.create("configmaps", config_map(EPP))
    add_router(kube_api, replicas, strategy)

    result = switch_on(kube_api, client_on).set(Position.OFF, dry_run=False)

    assert ("with a gap in routing" in result.message) is gap


def test_an_immutable_config_map_is_refused(kube_api: Cluster, client_on: ClientOn) -> None:
    kube_api.create("configmaps", config_map(EPP, immutable=True))
    add_router(kube_api)

    result = switch_on(kube_api, client_on).set(Position.OFF, dry_run=False)

    assert result.outcome is Outcome.REFUSED
    assert "is immutable" in result.message


def test_a_text_too_long_to_be_kept_is_refused(kube_api: Cluster, client_on: ClientOn) -> None:
    kube_api.create("configmaps", config_map(EPP + "# padding\n" * 25_000))
    add_router(kube_api)

    result = switch_on(kube_api, client_on).set(Position.OFF, dry_run=False)

    assert result.outcome is Outcome.REFUSED
    assert "too long to be kept" in result.message


UNUSABLE = {
    "no decider": ("plugins: []\n", "has no value at plugins[type=prefix-based-pd-decider]"),
    "two deciders": (EPP + EPP.partition("plugins:\n")[2], "has 2 values at"),
    "no YAML": ("plugins: [", "is no YAML"),
    "a decider that nobody uses": (
        EPP.replace("prefill: prefix-based-pd-decider", "prefill: always-disagg-pd-decider"),
        "parameters.deciders.prefill is always-disagg-pd-decider, so plugins[type=prefix-based-pd-decider]",
    ),
}


@pytest.mark.parametrize(("text", "words"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_text_that_cannot_be_used_is_unknown_and_refused(
    kube_api: Cluster, client_on: ClientOn, text: str, words: str
) -> None:
    kube_api.create("configmaps", config_map(text))
    add_router(kube_api)
    switch = switch_on(kube_api, client_on)

    reading, result = switch.read(), switch.set(Position.OFF, dry_run=False)

    assert (reading.position, result.outcome) == (Position.UNKNOWN, Outcome.REFUSED)
    assert words in reading.detail
    assert words in result.message


def test_a_decider_may_be_used_by_the_name_it_is_given(kube_api: Cluster, client_on: ClientOn) -> None:
    named = EPP.replace("prefill: prefix-based-pd-decider", "prefill: mine").replace(
        "- type: prefix-based-pd-decider", "- type: prefix-based-pd-decider\n  name: mine"
    )
    kube_api.create("configmaps", config_map(named))
    add_router(kube_api)

    assert switch_on(kube_api, client_on).read().threshold_tokens == 16.0


def test_a_missing_key_names_those_that_are_there(kube_api: Cluster, client_on: ClientOn) -> None:
    document = config_map(EPP)
    document["data"] = {"other.yaml": EPP}
    kube_api.create("configmaps", document)
    add_router(kube_api)
    switch = switch_on(kube_api, client_on)

    assert "has no key config.yaml: there are other.yaml" in switch.read().detail
    assert switch.set(Position.OFF, dry_run=False).outcome is Outcome.REFUSED


def test_a_missing_config_map_is_unknown(kube_api: Cluster, client_on: ClientOn) -> None:
    switch = switch_on(kube_api, client_on)

    assert switch.read().position is Position.UNKNOWN
    assert switch.set(Position.OFF, dry_run=False).outcome is Outcome.MISSING


def test_a_config_map_that_changes_meanwhile_is_a_conflict(fake_kube_api: FakeCluster, client_on: ClientOn) -> None:
    fake_kube_api.create("configmaps", config_map(EPP))
    add_router(fake_kube_api)
    switch = switch_on(fake_kube_api, client_on)
    fake_kube_api.api.faults.add(Fault(verb="patch", resource="configmaps", code=409, message="object was modified"))

    assert switch.set(Position.OFF, dry_run=False).outcome is Outcome.CONFLICT
    assert text_of(fake_kube_api) == EPP


def test_a_missing_right_is_named(kube_api: Cluster, client_on: ClientOn) -> None:
    kube_api.create("configmaps", config_map(EPP))
    add_router(kube_api)
    token = kube_api.service_account("reader", [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get"]}])

    result = switch_on(kube_api, client_on, token=token).set(Position.OFF, dry_run=False)

    assert result.outcome is Outcome.FORBIDDEN
    assert "missing verb patch on configmaps" in result.message


def test_a_text_that_somebody_else_changed_after_us_is_theirs_to_restart(
    kube_api: Cluster, epp: ConfigMapSwitch
) -> None:
    epp.set(Position.OFF, dry_run=False)
    settle(kube_api)
    kube_api.patch("v1", "configmaps", "epp", {"data": {"config.yaml": EPP}})

    assert epp.read().threshold_tokens == 16.0


def test_heimdall_takes_zero_for_always(kube_api: Cluster, client_on: ClientOn) -> None:
    kube_api.create("configmaps", config_map(HEIMDALL))
    add_router(kube_api)
    switch = switch_on(kube_api, client_on, "heimdall-threshold")
    before = switch.read()

    switch.set(Position.OFF, dry_run=False)

    settle(kube_api)
    assert (before.threshold_tokens, switch.read().threshold_tokens) == (ALWAYS_TOKENS, NEVER_TOKENS)
    assert text_of(kube_api) == HEIMDALL.replace("threshold: 0", "threshold: 1000000000")


def test_the_production_stack_router_is_switched_off_without_a_restart(kube_api: Cluster, client_on: ClientOn) -> None:
    kube_api.create("configmaps", config_map(DYNAMIC))
    switch = switch_on(kube_api, client_on, "production-stack-dynamic", allowed=False)
    before = switch.read().position

    result = switch.set(Position.OFF, dry_run=False)

    assert (before, result.outcome, switch.read().position) == (Position.ON, Outcome.APPLIED, Position.OFF)
    assert text_of(kube_api) == DYNAMIC.replace("disaggregated_prefill", "roundrobin")


def test_the_production_stack_router_is_not_switched_on_that_way(kube_api: Cluster, client_on: ClientOn) -> None:
    kube_api.create("configmaps", config_map(DYNAMIC.replace("disaggregated_prefill", "roundrobin")))

    result = switch_on(kube_api, client_on, "production-stack-dynamic").set(Position.ON, dry_run=False)

    assert result.outcome is Outcome.REFUSED
    assert "set routerSpec.routingLogic in the Helm values instead" in result.message


def test_on_is_what_the_user_says(kube_api: Cluster, client_on: ClientOn) -> None:
    kube_api.create("configmaps", config_map(EPP))
    add_router(kube_api)
    place = SwitchPlace(kube_api.namespace, "epp", "config.yaml", router="epp", allow_router_restart=True)
    pools = RoleTargets({}, close=lambda: None)
    spec = load_switch("llm-d-epp")
    switch = make_switch(client_on(kube_api), spec, replace(place, on_tokens=256.0), pools)

    switch.set(Position.ON, dry_run=False)

    assert "nonCachedTokens: 256" in text_of(kube_api)
