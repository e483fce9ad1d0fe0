"""Memory that survives a restart: written, read back, refused, and put right when the clock was not."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from autoscaler.core.policy import Role
from autoscaler.core.state import STATE_VERSION, State, StateError, from_json, to_json
from autoscaler.core.supply import LONGEST_BACK_OFF_S
from tests.core.fluid import Fluid, Load
from tests.support.core import START_S
from tests.support.story import story


def lived(seconds: float = 900.0) -> State:
    """The memory of a service that has seen a while of load and a growth."""
    fluid = Fluid(Load(12.0), noise_ratio=0.1)
    tale = story(service=fluid).at(seconds / 2)
    fluid.load = fluid.load.times(2.0)
    tale.wait(seconds / 2)
    return tale.state


LIVED = lived()
NOW = START_S + 900.0


def test_a_memory_comes_back_from_json_as_it_was() -> None:
    assert from_json(json.loads(json.dumps(to_json(LIVED), allow_nan=False)), NOW) == LIVED


def test_a_memory_of_any_age_comes_back_as_it_was() -> None:
    fluid = Fluid(Load(12.0), noise_ratio=0.1)
    tale = story(service=fluid)
    for _ in range(40):
        tale.wait(15.0)
        assert from_json(json.loads(json.dumps(to_json(tale.state))), tale.now) == tale.state


def test_an_empty_memory_comes_back_empty() -> None:
    assert from_json(to_json(State()), NOW) == State()


def test_a_memory_carries_its_version() -> None:
    assert to_json(State())["version"] == STATE_VERSION


@pytest.mark.parametrize("version", [STATE_VERSION + 1, STATE_VERSION - 1, "1", None])
def test_a_memory_of_another_version_is_refused_and_says_both(version: object) -> None:
    with pytest.raises(StateError, match=f"version {version}, this build knows {STATE_VERSION}"):
        from_json({**to_json(LIVED), "version": version}, NOW)


def corrupt(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(json.dumps(to_json(LIVED)))
    change(data)
    return data


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(None, id="nothing"),
        pytest.param([], id="a list"),
        pytest.param("state", id="text"),
        pytest.param({}, id="no version"),
        pytest.param(corrupt(lambda data: data.update(roles=3)), id="roles are a number"),
        pytest.param(corrupt(lambda data: data["roles"].update(encode={})), id="a role that does not exist"),
        pytest.param(corrupt(lambda data: data.update(surprise=1)), id="an unknown key"),
        pytest.param(corrupt(lambda data: data.update(started_at_s="noon")), id="an instant in words"),
        pytest.param(corrupt(lambda data: data.update(started_at_s=math.nan)), id="an instant that is no number"),
        pytest.param(corrupt(lambda data: data["roles"]["decode"].update(current=2.5)), id="half a replica"),
        pytest.param(
            corrupt(lambda data: data["roles"]["decode"]["fit"]["factors"].append(1.0)), id="one factor too many"
        ),
        pytest.param(corrupt(lambda data: data["roles"]["decode"]["fit"].pop("samples")), id="a missing count"),
        pytest.param(corrupt(lambda data: data["roles"]["decode"]["fit"].update(factors=[1, 2, math.inf])), id="inf"),
    ],
)
def test_a_corrupt_memory_is_refused(data: object) -> None:
    with pytest.raises(StateError):
        from_json(data, NOW)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda role: role["fit"]["covariance"].pop(), id="covariance"),
        pytest.param(lambda role: role["forecast"]["season"].pop(), id="season"),
        pytest.param(lambda role: role["forecast"]["tracks"].pop(), id="tracks"),
        pytest.param(lambda role: role["forecast"]["tracks"][0]["errors"].clear(), id="errors"),
        pytest.param(lambda role: role["forecast"]["tracks"][0]["rising"].pop(), id="rising"),
        pytest.param(lambda role: role["forecast"]["pending"][-1][1].pop(), id="pending"),
        pytest.param(lambda role: role["forecast"]["lifts"].pop(), id="lifts"),
    ],
)
def test_a_memory_with_a_piece_cut_off_is_refused(change: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(StateError):
        from_json(corrupt(lambda data: change(data["roles"]["decode"])), NOW)


@pytest.mark.parametrize("now", [START_S - 1.0, START_S - 86_400.0, 0.0])
def test_no_instant_that_is_read_back_lies_in_the_future(now: float) -> None:
    state = from_json(to_json(LIVED), now)

    assert max(_past(to_json(state))) <= now
    for memory in state.roles.values():
        assert memory.forecast.at_s is not None
        assert memory.forecast.at_s <= now
        assert memory.forecast.began_s is not None
        assert memory.forecast.began_s <= now


def _past(data: object) -> list[float]:
    """Every instant in a memory; forecasts wait for theirs in the future by nature."""
    if isinstance(data, dict):
        own = [float(value) for name, value in data.items() if name.endswith("at_s") and value is not None]
        return own + [at_s for name, value in data.items() if name != "pending" for at_s in _past(value)]
    return [at_s for value in data for at_s in _past(value)] if isinstance(data, list) else []


def test_a_clock_set_back_does_not_lose_what_is_known_of_the_engine() -> None:
    state = from_json(to_json(LIVED), START_S - 86_400.0)

    assert state.roles[Role.DECODE].fit == LIVED.roles[Role.DECODE].fit


def test_after_the_clock_was_set_back_a_shrink_waits_no_longer_than_its_window() -> None:
    tomorrow = story(decode=8, obeyed=False).at(86_400.0 // 96).state
    tale = story(decode=8, service=Fluid(Load(8.0)))
    tale.state = from_json(to_json(tomorrow), START_S)

    assert tale.at(135.0).desired(Role.DECODE) < 8


def test_after_the_clock_was_set_back_a_back_off_ends_within_the_longest_one() -> None:
    tale = story(service=Fluid(Load(60.0))).cluster_full(Role.PREFILL).at(1200)
    tomorrow = tale.state.roles[Role.PREFILL].shortage
    assert tomorrow.until_s is not None

    shortage = from_json(to_json(tale.state), START_S - 86_400.0).roles[Role.PREFILL].shortage

    assert shortage.until_s == START_S - 86_400.0 + LONGEST_BACK_OFF_S


def test_after_the_clock_was_set_back_no_prediction_waits_for_a_day_that_was() -> None:
    state = from_json(to_json(LIVED), START_S - 86_400.0)

    assert not any(memory.forecast.pending or memory.forecast.lifted for memory in state.roles.values())
