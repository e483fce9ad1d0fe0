"""Switches that are fields of objects."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from autoscaler.targets.base import Outcome
from autoscaler.targets.kubernetes.switches.build import SwitchPlace, make_switch
from autoscaler.targets.kubernetes.switches.load import load_switch
from autoscaler.targets.role import RoleTargets
from autoscaler.targets.switch import ALWAYS_TOKENS, NEVER_TOKENS, Position, Setting, Switch
from tests.support.crds import definition_of
from tests.support.kube import Cluster, FakeCluster
from tests.support.kube_api import Fault
from tests.support.kube_api.resources import Address
from tests.targets.kubernetes.conftest import ClientOn
from tests.targets.kubernetes.objects import ENDPOINT, Object, create, custom

GATEWAY = "AIGateway.heimdall.moreh.io"
NO_POOLS = RoleTargets({}, close=lambda: None)


def hyperpod(cluster: Cluster, client_on: ClientOn, pd_spec: dict[str, Any] | None = None) -> Switch:
    """An endpoint with a threshold of 4096, or with another pdSpec."""
    cluster.define(definition_of(ENDPOINT))
    create(cluster, custom(ENDPOINT, "chat", {"pdSpec": pd_spec or {"routingThreshold": 4096}}))
    return make_switch(client_on(cluster), load_switch("hyperpod"), SwitchPlace(cluster.namespace, "chat"), NO_POOLS)


def moreh(cluster: Cluster, client_on: ClientOn, gateway: Object | None = None) -> Switch:
    """A gateway that binds the model qwen to the profile pd."""
    cluster.define(definition_of(GATEWAY))
    bindings = [{"model": "llama", "profile": "e2e"}, {"model": "qwen", "profile": "pd"}]
    create(cluster, gateway or custom(GATEWAY, "gw", {"schedulingProfiles": bindings}))
    place = SwitchPlace(cluster.namespace, "gw", entry="qwen", on="pd", off="e2e")
    return make_switch(client_on(cluster), load_switch("aigateway"), place, NO_POOLS)


def test_a_threshold_is_read_in_tokens(kube_api: Cluster, client_on: ClientOn) -> None:
    reading = hyperpod(kube_api, client_on).read()

    assert (reading.position, reading.threshold_tokens) == (Position.ON, 4096.0)
    assert reading.detail.endswith("spec.pdSpec.routingThreshold is 4096")


def test_an_absent_threshold_is_the_stacks_default(kube_api: Cluster, client_on: ClientOn) -> None:
    assert hyperpod(kube_api, client_on, {"prefillSpec": {}}).read().threshold_tokens == 4096.0


@pytest.mark.parametrize(
    ("setting", "written", "tokens"),
    [
        (Position.OFF, 1_000_000_000, NEVER_TOKENS),
        (NEVER_TOKENS, 1_000_000_000, NEVER_TOKENS),
        (ALWAYS_TOKENS, 0, ALWAYS_TOKENS),
        (512.0, 512, 512.0),
    ],
)
def test_a_threshold_is_written_the_stacks_way(
    kube_api: Cluster, client_on: ClientOn, setting: Setting, written: int, tokens: float
) -> None:
    switch = hyperpod(kube_api, client_on)

    result = switch.set(setting, dry_run=False)

    stored = kube_api.get("inference.sagemaker.aws.amazon.com/v1", "inferenceendpointconfigs", "chat")
    assert (result.outcome, stored["spec"]["pdSpec"]["routingThreshold"]) == (Outcome.APPLIED, written)
    assert switch.read().threshold_tokens == tokens


def test_an_absent_threshold_is_added(kube_api: Cluster, client_on: ClientOn) -> None:
    switch = hyperpod(kube_api, client_on, {"prefillSpec": {}})

    assert switch.set(512.0, dry_run=False).message.endswith("spec.pdSpec.routingThreshold: 4096 to 512")
    assert switch.read().threshold_tokens == 512.0


def test_a_binding_is_moved_and_the_others_stay(fake_kube_api: FakeCluster, client_on: ClientOn) -> None:
    switch = moreh(fake_kube_api, client_on)

    result = switch.set(Position.OFF, dry_run=False)

    stored = fake_kube_api.get("heimdall.moreh.io/v1alpha1", "aigateways", "gw")["spec"]["schedulingProfiles"]
    assert (result.outcome, switch.read().position) == (Outcome.APPLIED, Position.OFF)
    assert stored == [{"model": "llama", "profile": "e2e"}, {"model": "qwen", "profile": "e2e"}]
    (request,) = fake_kube_api.api.log.all("patch")
    assert json.loads(request.body)[1:] == [
        {"op": "test", "path": "/spec/schedulingProfiles/1/model", "value": "qwen"},
        {"op": "test", "path": "/spec/schedulingProfiles/1/profile", "value": "pd"},
        {"op": "replace", "path": "/spec/schedulingProfiles/1/profile", "value": "e2e"},
    ]


def test_a_profile_that_nobody_knows_is_unknown(kube_api: Cluster, client_on: ClientOn) -> None:
    bindings = [{"model": "qwen", "profile": "canary"}]

    reading = moreh(kube_api, client_on, custom(GATEWAY, "gw", {"schedulingProfiles": bindings})).read()

    assert reading.position is Position.UNKNOWN
    assert "is canary" in reading.detail


def test_what_is_set_already_sends_nothing(fake_kube_api: FakeCluster, client_on: ClientOn) -> None:
    result = moreh(fake_kube_api, client_on).set(Position.ON, dry_run=False)

    assert (result.outcome, fake_kube_api.api.log.count("patch")) == (Outcome.APPLIED, 0)
    assert "is pd already" in result.message


def test_a_dry_run_moves_nothing(kube_api: Cluster, client_on: ClientOn) -> None:
    switch = hyperpod(kube_api, client_on)

    assert switch.set(Position.OFF, dry_run=True).outcome is Outcome.DRY_RUN
    assert switch.read().threshold_tokens == 4096.0


def test_a_threshold_for_modes_is_refused(kube_api: Cluster, client_on: ClientOn) -> None:
    assert moreh(kube_api, client_on).set(512.0, dry_run=False).outcome is Outcome.REFUSED


def test_a_block_that_is_missing_is_never_made(kube_api: Cluster, client_on: ClientOn) -> None:
    kube_api.define(definition_of(ENDPOINT))
    create(kube_api, custom(ENDPOINT, "chat", {"modelName": "m"}))
    place = SwitchPlace(kube_api.namespace, "chat")
    switch = make_switch(client_on(kube_api), load_switch("hyperpod"), place, NO_POOLS)

    assert "has no spec.pdSpec" in switch.read().detail
    assert switch.set(512.0, dry_run=False).outcome is Outcome.MISSING


def test_a_missing_object_is_unknown_and_says_so(kube_api: Cluster, client_on: ClientOn) -> None:
    kube_api.define(definition_of(ENDPOINT))
    place = SwitchPlace(kube_api.namespace, "caht")
    switch = make_switch(client_on(kube_api), load_switch("hyperpod"), place, NO_POOLS)

    assert switch.read().position is Position.UNKNOWN
    assert switch.set(Position.OFF, dry_run=False).outcome is Outcome.MISSING


def test_a_kind_that_is_not_served_is_unknown_and_says_so(kube_api: Cluster, client_on: ClientOn) -> None:
    place = SwitchPlace(kube_api.namespace, "chat")
    switch = make_switch(client_on(kube_api), load_switch("hyperpod"), place, NO_POOLS)

    assert "is its CRD installed" in switch.read().detail
    assert switch.set(Position.OFF, dry_run=False).outcome is Outcome.MISSING


def test_a_missing_right_is_named(kube_api: Cluster, client_on: ClientOn) -> None:
    hyperpod(kube_api, client_on)
    token = kube_api.service_account("reader", [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get"]}])
    place = SwitchPlace(kube_api.namespace, "chat")
    switch = make_switch(client_on(kube_api, token=token), load_switch("hyperpod"), place, NO_POOLS)

    result = switch.set(Position.OFF, dry_run=False)

    assert result.outcome is Outcome.FORBIDDEN
    assert "missing verb patch on inferenceendpointconfigs" in result.message


def test_what_the_server_rejects_is_told_in_its_words(fake_kube_api: FakeCluster, client_on: ClientOn) -> None:
    switch = hyperpod(fake_kube_api, client_on)
    fake_kube_api.api.faults.add(Fault(verb="patch", code=422, message="no, says admission"))

    result = switch.set(Position.OFF, dry_run=False)

    assert result.outcome is Outcome.REJECTED
    assert "no, says admission" in result.message


def meddle(cluster: FakeCluster, change: Callable[[], None]) -> None:
    """Let somebody else act between the next read and the write that follows it."""
    requests: list[int] = []

    def turn() -> None:
        requests.append(1)
        if len(requests) == 2:
            change()

    cluster.api.before_request.append(turn)


def endpoint(cluster: FakeCluster) -> Address:
    api_version = "inference.sagemaker.aws.amazon.com/v1"
    return cluster.api.address(api_version, "inferenceendpointconfigs", cluster.namespace, "chat")


def test_a_field_that_changes_meanwhile_is_a_conflict(fake_kube_api: FakeCluster, client_on: ClientOn) -> None:
    switch = hyperpod(fake_kube_api, client_on)
    spec = {"pdSpec": {"routingThreshold": 7}}
    store, address = fake_kube_api.api.store, endpoint(fake_kube_api)
    meddle(fake_kube_api, lambda: void(store.update(address, lambda old: {**old, "spec": spec}, manager="a-person")))

    result = switch.set(Position.OFF, dry_run=False)

    assert result.outcome is Outcome.CONFLICT
    assert "changed meanwhile, to 7" in result.message


def test_a_block_that_is_removed_meanwhile_is_a_conflict(fake_kube_api: FakeCluster, client_on: ClientOn) -> None:
    switch = hyperpod(fake_kube_api, client_on)
    store, address = fake_kube_api.api.store, endpoint(fake_kube_api)
    meddle(fake_kube_api, lambda: void(store.update(address, lambda old: {**old, "spec": {}}, manager="a-person")))

    result = switch.set(Position.OFF, dry_run=False)

    assert result.outcome is Outcome.CONFLICT
    assert "has no spec.pdSpec" in result.message


def void(_: object) -> None:
    """Nothing, of whatever was done."""
