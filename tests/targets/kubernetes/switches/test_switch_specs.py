"""Switch specs: those that come with the program, and what is wrong with others."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.targets.base import Outcome
from autoscaler.targets.kubernetes.specs.problems import SpecError
from autoscaler.targets.kubernetes.switches.build import SwitchPlace, make_switch
from autoscaler.targets.kubernetes.switches.load import SWITCHES, load_switch, switch_names
from autoscaler.targets.kubernetes.switches.model import SwitchShape
from autoscaler.targets.role import RoleTargets
from autoscaler.targets.switch import Position, PrefillZeroSwitch
from tests.support.kube import FakeCluster
from tests.targets.kubernetes.conftest import ClientOn

POOLS = RoleTargets({}, close=lambda: None)
WHOLE = SwitchPlace("serving", "chat", "config.yaml", "qwen", "epp", on="pd", off="e2e")
INSTRUCTED = [name for name in switch_names() if load_switch(name).shape is SwitchShape.INSTRUCTION]


@pytest.mark.parametrize("name", switch_names())
def test_every_switch_can_be_made(fake_kube_api: FakeCluster, client_on: ClientOn, name: str) -> None:
    switch = make_switch(client_on(fake_kube_api), load_switch(name), WHOLE, POOLS)

    assert switch.read().position is Position.UNKNOWN


@pytest.mark.parametrize("name", INSTRUCTED)
def test_every_instruction_has_both_positions_and_names_the_service(
    fake_kube_api: FakeCluster, client_on: ClientOn, name: str
) -> None:
    switch = make_switch(client_on(fake_kube_api), load_switch(name), WHOLE, POOLS)

    results = [switch.set(position, dry_run=False) for position in (Position.ON, Position.OFF)]

    assert [result.outcome for result in results] == [Outcome.INSTRUCTED, Outcome.INSTRUCTED]
    assert all("chat" in result.message and "{" not in result.message for result in results)
    assert fake_kube_api.api.log.count() == 0


def test_a_switch_that_is_the_prefill_count_is_given_the_pools(fake_kube_api: FakeCluster, client_on: ClientOn) -> None:
    switch = make_switch(client_on(fake_kube_api), load_switch("prefill-zero"), WHOLE, POOLS)

    assert isinstance(switch, PrefillZeroSwitch)


@pytest.mark.parametrize(
    ("name", "place", "words"),
    [
        ("llm-d-epp", SwitchPlace("ns", "epp", router="epp"), "switch llm-d-epp needs key: the key of the ConfigMap"),
        ("llm-d-epp", SwitchPlace("ns", "epp", "config.yaml"), "switch llm-d-epp needs router: the Deployment"),
        ("aigateway", SwitchPlace("ns", "gw", on="pd", off="e2e"), "switch aigateway needs entry: the name that the"),
        ("aigateway", SwitchPlace("ns", "gw", entry="m", off="e2e"), "switch aigateway needs on: the name that means"),
        ("aigateway", SwitchPlace("ns", "gw", entry="m", on="pd"), "switch aigateway needs off: the name that means"),
    ],
)
def test_a_place_that_lacks_something_is_refused(
    fake_kube_api: FakeCluster, client_on: ClientOn, name: str, place: SwitchPlace, words: str
) -> None:
    with pytest.raises(SpecError, match=words):
        make_switch(client_on(fake_kube_api), load_switch(name), place, POOLS)


FIELD = {
    "name": "mine",
    "title": "Mine",
    "shape": "field",
    "object": {"group": "a.b", "versions": ["v1"], "kind": "Gateway", "plural": "gateways"},
    "path": "spec.threshold",
    "tokens": {"always": 0, "never": 100},
}
PROBLEMS: dict[str, tuple[dict[str, Any], str]] = {
    "a misspelt key": ({"token": {}}, "mine: token is unknown; did you mean tokens?"),
    "a key that YAML takes for true": (
        {"tokens": {"always": 0, "never": 100, "usaul": 1}},
        "mine: tokens.usaul is unknown; did you mean usual? allowed: always, never, usual",
    ),
    "no path": ({"path": None}, "mine: shape field needs path"),
    "no object": ({"object": None}, "mine: shape field needs object"),
    "no values": ({"tokens": None}, "mine: shape field needs either tokens or names"),
    "both kinds of values": ({"names": {}}, "mine: shape field needs either tokens or names"),
    "instructions for a field": ({"instructions": {"enable": "x"}}, "mine: shape field has no instructions"),
    "a position that is none": (
        {"instructions": {"enabel": "x"}},
        "mine: instructions.enabel.[key]: is not one of its values; did you mean enable?",
    ),
    "a user of no list": ({"used_by": "a.b"}, "mine: used_by is for a path that goes through an entry of a list"),
    "values for no switch": (
        {"shape": "none", "reason": "x", "object": None, "path": None},
        "mine: shape none has neither tokens nor names",
    ),
}


@pytest.mark.parametrize(("change", "words"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_problem_is_named_with_place_and_remedy(change: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError) as problem:
        SWITCHES.parse(FIELD | change, "mine")

    assert str(problem.value).startswith(words)


def test_what_is_no_mapping_is_refused() -> None:
    with pytest.raises(SpecError, match="is no mapping"):
        SWITCHES.parse("none", "mine")


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(SpecError, match="did you mean llm-d-epp"):
        load_switch("llm-d-ep")
