"""Target specs: those that come with the program, and what is wrong with others."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.core.policy import Role
from autoscaler.targets.kubernetes.aim import Service, aim
from autoscaler.targets.kubernetes.competitors.kinds import known_kinds
from autoscaler.targets.kubernetes.specs.load import SPECS, load_spec, scale_spec, spec_for_kind, spec_names
from autoscaler.targets.kubernetes.specs.problems import SpecError

DEPLOYMENT = {"group": "apps", "versions": ["v1"], "kind": "Deployment", "plural": "deployments"}
SCALED = {"name": "mine", "title": "Mine", "shape": "scale", "object": DEPLOYMENT}
ENTRY = {**SCALED, "shape": "entry", "count": "spec.roles[name={entry}].replicas"}


@pytest.mark.parametrize("name", spec_names())
def test_every_spec_serves_prefill_and_decode(name: str) -> None:
    spec = load_spec(name)

    assert spec.limits[Role.DECODE].min >= 1
    if spec.instructions is not None:
        assert set(spec.instructions) >= {Role.PREFILL, Role.DECODE}
    else:
        assert all(aim(spec, Service("ns", "chat"), role).ref.name for role in (Role.PREFILL, Role.DECODE))


@pytest.mark.parametrize("name", spec_names())
def test_every_kind_below_a_target_is_known(name: str) -> None:
    assert set(load_spec(name).children) <= known_kinds().keys()


def test_what_else_may_be_said_of_a_target_can_be_left_out() -> None:
    filled = aim(SPECS.parse(SCALED, "mine"), Service("ns", "chat"), Role.PREFILL)

    assert (filled.ref.api_version, filled.ref.name, filled.ready) == ("apps/v1", "chat", ("readyReplicas",))


def test_names_paths_and_selectors_are_filled_in_for_the_role() -> None:
    filled = aim(load_spec("dynamo-dgd"), Service("ns", "graph", "VllmPrefill"), Role.PREFILL)

    assert str(filled.count[0]) == "spec.components[name=VllmPrefill].replicas"
    assert filled.excluded[0].refs[0].name == "graph-vllmprefill"
    assert filled.pods == "nvidia.com/dynamo-graph-deployment-name=graph,nvidia.com/dynamo-component=VllmPrefill"


def test_a_role_is_called_by_its_own_name_unless_the_object_calls_it_otherwise() -> None:
    assert str(aim(load_spec("rbg"), Service("ns", "chat"), Role.DECODE).count[0]) == "spec.roles[name=decode].replicas"


def test_a_selector_that_the_user_gives_comes_before_the_specs() -> None:
    assert aim(load_spec("rbg"), Service("ns", "chat", pods="app=x"), Role.DECODE).pods == "app=x"


def test_the_users_word_on_the_most_replaces_the_specs() -> None:
    spec = load_spec("hyperpod")
    limits = [aim(spec, Service("ns", "chat", max_replicas=most), Role.DECODE).limits.high for most in (None, 4)]

    assert limits == [1, 4]


PROBLEMS: dict[str, tuple[dict[str, Any], str]] = {
    "a misspelt key": ({"redy": ["x"]}, "mine: redy is unknown; did you mean ready? allowed: absent, absent_reason"),
    "a misspelt key inside": (
        {"object": {**DEPLOYMENT, "nmae": "x"}},
        "mine: object.nmae is unknown; did you mean name? allowed: group, kind, name, plural, versions",
    ),
    "a misspelt key in a list": (
        {"require": [{"path": "spec.a", "values": [1], "value": [1]}]},
        "mine: require.0.value is unknown; did you mean values? allowed: path, reason, unless, values",
    ),
    "a misspelt shape": ({"shape": "scael"}, "mine: shape: is not one of its values; did you mean scale?"),
    "no object": ({"object": None}, "mine: shape scale needs an object"),
    "a missing key": ({"object": {"group": "apps"}}, "mine: object.versions is missing"),
    "no version": ({"object": {**DEPLOYMENT, "versions": []}}, "mine: object.versions: Tuple should have at least 1"),
    "no path": ({"count": "spec..replicas"}, "mine: count: 'spec..replicas' is no path at '..replicas'"),
    "a path that is no text": ({"count": 3}, "mine: count: is no text; a path looks like spec.replicas (got 3)"),
    "a selector that is no text": ({"pods": 3}, "mine: pods: is no text (got 3)"),
    "no path at all": ({"count": []}, "mine: count: is empty: give at least one path"),
    "a misspelt placeholder": (
        {"pods": "app={nmae}"},
        "mine: pods: {nmae} is no placeholder; did you mean name? allowed: entry, entry_lower, name, namespace, role",
    ),
    "a misspelt role": (
        {"count": {"prefil": "spec.a"}},
        "mine: count: 'prefil' is no role; did you mean prefill? allowed: aggregated, decode, prefill",
    ),
    "an instruction with an object": (
        {"shape": "instruction", "instructions": "set it"},
        "mine: shape instruction has no object",
    ),
    "instructions for a shape that patches": ({"instructions": "set it"}, "mine: shape scale has no instructions"),
    "a scalar where an entry is meant": (
        {"shape": "entry", "count": "spec.replicas"},
        "mine: count spec.replicas does not fit shape entry, it fits merge",
    ),
    "an entry where a scalar is meant": (
        {"shape": "merge", "count": "spec.roles[name=x].replicas"},
        "mine: count spec.roles[name=x].replicas does not fit shape merge, it fits entry",
    ),
    "a negative limit": (
        {"limits": {"prefill": {"min": -1, "reason": "x"}}},
        "mine: limits.prefill.min: Input should be greater than or equal to 0 (got -1)",
    ),
    "a limit without its reason": ({"limits": {"prefill": {"min": 1}}}, "mine: limits.prefill.reason is missing"),
}


@pytest.mark.parametrize(("change", "words"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_problem_is_named_with_place_value_and_remedy(change: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError) as problem:
        SPECS.parse(SCALED | change, "mine")

    assert str(problem.value).startswith(words)


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(SpecError) as problem:
        SPECS.parse(ENTRY | {"redy": 1, "shape": "x"}, "mine")

    assert len(str(problem.value).splitlines()) == 2


def test_what_is_no_mapping_is_refused() -> None:
    with pytest.raises(SpecError, match="is no mapping"):
        SPECS.parse(["scale"], "mine")


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(SpecError, match="did you mean hyperpod"):
        load_spec("hyperpood")


def test_a_role_that_a_spec_does_not_have_is_refused() -> None:
    spec = SPECS.parse({**SCALED, "shape": "merge", "count": {"decode": "spec.replicas"}}, "mine")

    with pytest.raises(SpecError, match="target mine has no prefill role; it has decode"):
        aim(spec, Service("ns", "chat"), Role.PREFILL)


@pytest.mark.parametrize(
    ("api_version", "kind", "name"),
    [
        ("apps/v1", "Deployment", "deployment"),
        ("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", "leaderworkerset"),
        ("nvidia.com/v1beta1", "DynamoGraphDeployment", "dynamo-dgd"),
        ("nvidia.com/v1alpha1", "DynamoGraphDeployment", "dynamo-dgd-v1alpha1"),
        ("odin.moreh.io/v1alpha1", "InferenceService", "odin"),
        ("ome.io/v1beta1", "InferenceService", "ome-bounds"),
        ("serving.kserve.io/v1alpha1", "LLMInferenceService", "kserve"),
        ("nvidia.com/v1beta1", "DynamoGraphDeploymentScalingAdapter", None),
        ("apps/v1", "Deploymint", None),
    ],
)
def test_a_kind_that_is_named_itself_has_its_spec(api_version: str, kind: str, name: str | None) -> None:
    spec = spec_for_kind(api_version, kind)

    assert (spec.name if spec is not None else None) == name


def test_any_other_kind_can_be_scaled_through_its_subresource() -> None:
    filled = aim(scale_spec("ray.io/v1", "RayService", "rayservices"), Service("ns", "chat"), Role.DECODE)

    assert filled.ref.path("scale") == "/apis/ray.io/v1/namespaces/ns/rayservices/chat/scale"
