"""Counts in fields that are not there, or that hold none."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from autoscaler.targets.base import Outcome
from autoscaler.targets.kubernetes.counts import FieldCount
from autoscaler.targets.kubernetes.paths import Path
from autoscaler.targets.kubernetes.refs import ObjectRef
from autoscaler.targets.role import UnreadableError
from tests.support.kube import FakeCluster
from tests.targets.kubernetes.cases import case, with_objects
from tests.targets.kubernetes.conftest import Make
from tests.targets.kubernetes.objects import ENDPOINT, KSERVE, OME, RBG, custom


def test_an_absent_count_is_its_default(target_of: Make) -> None:
    target = target_of(with_objects("rbg", custom(RBG, "chat", {"roles": [{"name": "prefill"}]})))

    assert target.read().state.current == 1


def test_an_absent_count_in_a_list_is_added_without_a_test_of_the_old_one(
    fake_kube_api: FakeCluster, target_of: Make
) -> None:
    absent = with_objects("rbg", custom(RBG, "chat", {"roles": [{"name": "prefill"}]}))
    target = target_of(absent, cluster=fake_kube_api)

    result = target.write(4, basis=target.read().basis, dry_run=False)

    assert (result.outcome, target.read().state.current) == (Outcome.APPLIED, 4)
    assert "unset to 4 replicas" in result.message
    *tests, write = json.loads(fake_kube_api.api.log.all("patch")[-1].body)
    assert [step["path"] for step in tests] == ["/metadata/uid", "/spec/roles/0/name"]
    assert write == {"op": "add", "path": "/spec/roles/0/replicas", "value": 4}


def test_an_absent_scalar_is_set_by_a_merge_patch(target_of: Make) -> None:
    endpoint = custom(ENDPOINT, "chat", {"pdSpec": {"prefillSpec": {}}})
    target = target_of(replace(case("hyperpod"), objects=(endpoint, *case("hyperpod").objects[1:])))

    reading = target.read()
    result = target.write(4, basis=reading.basis, dry_run=False)

    assert (reading.state.current, result.outcome, target.read().state.current) == (1, Outcome.APPLIED, 4)


def test_a_count_that_a_stack_leaves_to_the_workload_below_is_nobodys(target_of: Make) -> None:
    target = target_of(with_objects("kserve", custom(KSERVE, "chat", {"prefill": {}, "replicas": 2})))

    with pytest.raises(UnreadableError, match=r"leaves spec\.prefill\.replicas unset: .*use target kserve-workload"):
        target.read()


def test_a_block_that_is_missing_is_never_made(target_of: Make) -> None:
    target = target_of(with_objects("kserve", custom(KSERVE, "chat", {"replicas": 2})))

    with pytest.raises(UnreadableError, match=r"LLMInferenceService .*/chat has no spec\.prefill$"):
        target.read()


def test_a_role_that_the_object_does_not_have_is_told_with_those_it_has(target_of: Make) -> None:
    named = replace(case("rbg"), entry="prefiller")

    with pytest.raises(UnreadableError, match=r"has no entry of name 'prefiller' .* there are router, prefill, decode"):
        target_of(named).read()


def test_bounds_that_differ_are_no_count(target_of: Make) -> None:
    bounds = custom(OME, "chat", {"engine": {"minReplicas": 1, "maxReplicas": 4}})
    target = target_of(with_objects("ome-bounds", bounds))

    with pytest.raises(UnreadableError, match=r"minReplicas 1 and spec\.engine\.maxReplicas 4 differ"):
        target.read()


def test_a_count_that_is_no_number_is_no_count() -> None:
    ref = ObjectRef("a.b/v1", "Thing", "things", "ns", "chat")
    document = {"metadata": {"uid": "1", "resourceVersion": "2"}, "spec": {"replicas": "3"}}

    with pytest.raises(UnreadableError, match=r"spec\.replicas is '3', which is no count"):
        FieldCount((Path.parse("spec.replicas"),), None, "").read(ref, document)
