"""Memory in ConfigMaps: kept, packed, kept aside, and never written over somebody else's."""

from __future__ import annotations

import base64
import gzip
from dataclasses import replace
from typing import Any

import pytest

from autoscaler.core.policy import Role
from autoscaler.core.state import RoleState, State, Timed
from autoscaler.daemon.state_config_map import ASIDE_PACKED, ASIDE_PLAIN, PACKED, PLAIN, ConfigMapStateStore
from autoscaler.daemon.state_format import dump
from autoscaler.daemon.state_store import StateStoreError, StateTakenError, StateUnreachableError
from tests.daemon.builders import START_S
from tests.daemon.world import NAMESPACE, StoreApi, World

STATE = State(START_S - 60.0, START_S, {Role.DECODE: RoleState((Timed(START_S, 4.0),), current=4)})
LARGE = replace(STATE, roles={Role.DECODE: RoleState(tuple(Timed(START_S - n / 7, n / 3) for n in range(5000)))})


@pytest.fixture
def world() -> World:
    return World()


def store_of(world: World) -> ConfigMapStateStore:
    """A store of a process that has just begun."""
    return ConfigMapStateStore(StoreApi(world), NAMESPACE, "pd")


def config_map(world: World) -> dict[str, Any]:
    return world.store.get(world.address("v1", "configmaps", name="pd.chat"))


def put(world: World, **content: Any) -> None:
    """As somebody with kubectl might."""
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "pd.chat"}, **content}
    world.store.create(world.address("v1", "configmaps"), document, manager="kubectl")


def later(state: State, seconds: float) -> State:
    return replace(state, decided_at_s=START_S + seconds)


@pytest.mark.parametrize("state", [STATE, LARGE], ids=["small", "large"])
def test_what_was_saved_is_loaded_by_the_next_process(world: World, state: State) -> None:
    store_of(world).save("chat", state)

    assert store_of(world).load("chat", START_S) == state


def test_a_service_without_a_config_map_has_no_memory(world: World) -> None:
    assert store_of(world).load("chat", START_S) == State()


def test_a_small_state_is_plain_and_a_large_one_is_packed(world: World) -> None:
    store = store_of(world)
    store.save("chat", STATE)
    small = config_map(world)
    store.save("chat", LARGE)
    large = config_map(world)

    assert (set(small["data"]), small["binaryData"]) == ({PLAIN}, {})
    assert (large["data"], set(large["binaryData"])) == ({}, {PACKED})
    assert len(large["binaryData"][PACKED]) < len(dump(LARGE)) / 2


def test_a_state_that_no_config_map_can_hold_is_refused_before_it_is_sent(world: World) -> None:
    noise = tuple(Timed(START_S - n**1.5, (n * 2654435761 % 2**32) / 1e3) for n in range(60_000))
    huge = replace(STATE, roles={Role.DECODE: RoleState(noise)})

    with pytest.raises(StateStoreError, match=r"bytes packed, more than .* is not kept"):
        store_of(world).save("chat", huge)


def test_saves_that_no_change_depends_on_are_spared(world: World) -> None:
    store = store_of(world)
    versions = []
    for seconds in range(0, 90, 15):
        store.save("chat", later(STATE, seconds), urgent=False)
        versions.append(config_map(world)["metadata"]["resourceVersion"])

    assert len(set(versions)) == 3


def test_an_intent_is_never_spared(world: World) -> None:
    store = store_of(world)
    store.save("chat", STATE)

    store.save("chat", later(STATE, 1.0), urgent=True)

    assert store_of(world).load("chat", START_S + 1.0).decided_at_s == START_S + 1.0


def test_a_memory_that_somebody_else_has_written_is_not_overwritten(world: World) -> None:
    ours, theirs = store_of(world), store_of(world)
    ours.save("chat", STATE)
    theirs.load("chat", START_S)
    theirs.save("chat", later(STATE, 5.0))

    with pytest.raises(StateTakenError, match="--leader-elect"):
        ours.save("chat", later(STATE, 10.0))

    assert ours.load("chat", START_S + 10.0).decided_at_s == START_S + 5.0
    ours.save("chat", later(STATE, 15.0))


def test_of_two_that_begin_at_once_one_writes(world: World) -> None:
    first, second = store_of(world), store_of(world)
    first.load("chat", START_S)
    second.load("chat", START_S)
    first.save("chat", STATE)

    with pytest.raises(StateTakenError):
        second.save("chat", STATE)


@pytest.mark.parametrize("arrives", [True, False], ids=["it arrived", "it did not"])
def test_a_save_without_an_answer_is_no_quarrel(world: World, *, arrives: bool) -> None:
    api = StoreApi(world)
    store = ConfigMapStateStore(api, NAMESPACE, "pd")
    store.save("chat", STATE)
    if arrives:
        api.after = api.fail
    else:
        api.before = api.fail
    with pytest.raises(StateStoreError, match="a restart would forget"):
        store.save("chat", later(STATE, 15.0))
    api.before = api.after = lambda: None

    store.save("chat", later(STATE, 30.0))

    assert store_of(world).load("chat", START_S + 30.0).decided_at_s == START_S + 30.0


def test_a_save_without_an_answer_and_a_server_that_is_away_next_is_no_quarrel(world: World) -> None:
    api = StoreApi(world)
    store = ConfigMapStateStore(api, NAMESPACE, "pd")
    store.save("chat", STATE)
    api.after = api.fail
    with pytest.raises(StateStoreError):
        store.save("chat", later(STATE, 15.0))
    api.before, api.after = api.fail, lambda: None
    with pytest.raises(StateStoreError):
        store.save("chat", later(STATE, 30.0))
    api.before = lambda: None

    store.save("chat", later(STATE, 45.0))

    assert store_of(world).load("chat", START_S + 45.0).decided_at_s == START_S + 45.0


def test_a_save_without_an_answer_does_not_hide_somebody_else_s(world: World) -> None:
    api = StoreApi(world)
    store = ConfigMapStateStore(api, NAMESPACE, "pd")
    store.save("chat", STATE)
    api.before = api.fail
    with pytest.raises(StateStoreError):
        store.save("chat", later(STATE, 15.0))
    api.before = lambda: None
    theirs = store_of(world)
    theirs.load("chat", START_S)
    theirs.save("chat", later(STATE, 20.0))

    with pytest.raises(StateTakenError):
        store.save("chat", later(STATE, 30.0))


def test_a_config_map_that_somebody_deletes_is_made_anew(world: World) -> None:
    store = store_of(world)
    store.save("chat", STATE)
    world.store.delete(world.address("v1", "configmaps", name="pd.chat"), {})

    with pytest.raises(StateStoreError, match="a restart would forget"):
        store.save("chat", later(STATE, 15.0))
    store.save("chat", later(STATE, 30.0))

    assert store_of(world).load("chat", START_S + 30.0).decided_at_s == START_S + 30.0


def test_a_server_that_does_not_answer_is_not_the_same_as_no_memory(world: World) -> None:
    api = StoreApi(world)
    api.before = api.fail

    with pytest.raises(StateUnreachableError, match="nothing is scaled before the memory can be read"):
        ConfigMapStateStore(api, NAMESPACE, "pd").load("chat", START_S)


PLAIN_NONSENSE = {"data": {PLAIN: '{"version": 99}'}}
BASE64_NONSENSE = {"binaryData": {PACKED: "no base64!"}}
GZIP_NONSENSE = {"binaryData": {PACKED: base64.b64encode(b"no gzip").decode()}}
CUT_SHORT = {"binaryData": {PACKED: base64.b64encode(gzip.compress(dump(LARGE).encode())[:-20]).decode()}}
NO_TEXT = {"binaryData": {PACKED: base64.b64encode(gzip.compress(b"\xff")).decode()}}


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (PLAIN_NONSENSE, ASIDE_PLAIN),
        (BASE64_NONSENSE, ASIDE_PACKED),
        (GZIP_NONSENSE, ASIDE_PACKED),
        (CUT_SHORT, ASIDE_PACKED),
        (NO_TEXT, ASIDE_PACKED),
    ],
    ids=["future version", "no base64", "no gzip", "cut short", "no text"],
)
def test_what_cannot_be_used_is_kept_aside_reported_once_and_counts_as_none(
    world: World, content: dict[str, dict[str, str]], key: str
) -> None:
    put(world, **content)
    store = store_of(world)

    with pytest.raises(StateStoreError, match=f"kept under {key}, starting without memory"):
        store.load("chat", START_S)
    assert store.load("chat", START_S) == State()
    store.save("chat", STATE)

    ((kept,),) = ((*found.values(),) for found in content.values())
    assert {**config_map(world)["data"], **config_map(world)["binaryData"]}[key] == kept
    assert store_of(world).load("chat", START_S) == STATE


def test_what_cannot_even_be_kept_aside_is_said(world: World) -> None:
    put(world, **PLAIN_NONSENSE)
    api = StoreApi(world)
    store = ConfigMapStateStore(api, NAMESPACE, "pd")

    def fail_from_now_on() -> None:
        api.before = api.fail

    api.after = fail_from_now_on
    with pytest.raises(StateStoreError, match="left where it is"):
        store.load("chat", START_S)


def test_labels_and_keys_of_others_do_not_matter(world: World) -> None:
    put(world, data={"notes": "mine"})
    store = store_of(world)

    assert store.load("chat", START_S) == State()
    store.save("chat", STATE)

    assert store_of(world).load("chat", START_S) == STATE


def test_instants_of_a_clock_that_was_ahead_are_moved_to_now(world: World) -> None:
    store_of(world).save("chat", later(STATE, 3600.0))

    assert store_of(world).load("chat", START_S).decided_at_s == START_S
