from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from autoscaler.core.policy import Role
from autoscaler.core.state import RoleState, State, StateError, Timed
from autoscaler.daemon.state_format import dump, parse
from tests.core.fluid import Fluid, Load
from tests.support.story import story

NOW_S = 1_700_000_000.0
STATE = State(NOW_S - 60.0, NOW_S - 15.0, {Role.DECODE: RoleState((Timed(NOW_S - 15.0, 4.0),), current=4)})


def test_what_was_written_is_read_back() -> None:
    assert parse(dump(STATE), NOW_S) == STATE


def test_older_versions_are_brought_up_step_by_step() -> None:
    def named_started(data: dict[str, Any]) -> dict[str, Any]:
        return {**{key: data[key] for key in data if key != "began"}, "started_at_s": data["began"], "version": 0}

    def with_a_version_of_its_own(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "version": 1}

    old = json.dumps({"version": -7, "began": NOW_S - 60.0, "decided_at_s": None, "roles": {}})

    assert parse(old, NOW_S, {-7: named_started, 0: with_a_version_of_its_own}) == State(NOW_S - 60.0)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "3", '{"version": 99}', '{"version": "1"}', '{"version": 1, "roles": 3}', "[" * 100_000],
    ids=["empty", "half", "list", "number", "future", "text", "shape", "deep"],
)
def test_anything_else_is_no_state(text: str) -> None:
    with pytest.raises(StateError):
        parse(text, NOW_S)


def test_an_upgrade_that_meets_nonsense_says_corrupt() -> None:
    with pytest.raises(StateError, match="corrupt"):
        parse('{"version": 0}', NOW_S, {0: lambda data: {"version": 1, "roles": data["missing"]}})


def lived() -> State:
    """The memory of a service that has seen load and a growth."""
    fluid = Fluid(Load(12.0), noise_ratio=0.1)
    tale = story(service=fluid).at(450.0)
    fluid.load = fluid.load.times(2.0)
    return tale.wait(450.0).state


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda role: role.update(squares_ratio=0.2), "roles.prefill.squares_ratio is 0.2, and can only be 1 at least"),
        (lambda role: role["headroom"].update(margin=0.5), "roles.prefill.headroom.margin is 0.5, .* from 1 to 2"),
        (lambda role: role.update(ready=-3), "roles.prefill.ready is -3, and can only be 0 at least"),
        (lambda role: role["fit"]["factors"].__setitem__(1, -2), r"roles.prefill.fit.factors\[1\] is -2"),
        (lambda role: role["forecast"]["season"].__setitem__(7, -2), r"roles.prefill.forecast.season\[7\] is -2"),
        (lambda role: role.update(startup_times_s=[10**400]), "too large"),
    ],
    ids=["ratio", "margin", "replicas", "engine", "season", "enormous"],
)
def test_a_memory_that_says_what_cannot_be_is_refused_with_its_place(
    change: Callable[[dict[str, Any]], object], said: str
) -> None:
    data = json.loads(dump(lived()))
    change(data["roles"]["prefill"])

    with pytest.raises(StateError, match=said):
        parse(json.dumps(data), NOW_S)


def test_a_memory_of_any_age_is_taken_back() -> None:
    fluid = Fluid(Load(12.0), noise_ratio=0.1)
    tale = story(service=fluid)
    for times in (1.0, 3.0, 0.1, 0.0, 2.0):
        fluid.load = Load(12.0).times(times)
        tale.wait(900.0)
        assert parse(dump(tale.state), tale.now) == tale.state
