from __future__ import annotations

import json
from typing import Any

import pytest

from autoscaler.core.policy import Role
from autoscaler.core.state import RoleState, State, StateError, Timed
from autoscaler.daemon.state_format import dump, parse

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
