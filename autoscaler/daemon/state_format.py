"""How a state is written down: JSON with a version, and the way up from older versions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from autoscaler.core.state import State, StateError, from_json, to_json
from autoscaler.daemon.state_check import check_state

Upgrade = Callable[[dict[str, Any]], dict[str, Any]]

UPGRADES: Mapping[int, Upgrade] = MappingProxyType({})
"""From the data of a version to that of the next one. A new version comes with the upgrade of the one before."""


def dump(state: State) -> str:
    """A state as text."""
    return json.dumps(to_json(state), allow_nan=False, separators=(",", ":"))


def parse(text: str, now_s: float, upgrades: Mapping[int, Upgrade] = UPGRADES) -> State:
    """Read back what `dump` wrote, be it by an older version.

    Raises:
        StateError: No state, a corrupt one, one that says what cannot be, or one of a version that this build does not
            know.
    """
    try:
        data = json.loads(text)
        while isinstance(data, dict) and (upgrade := upgrades.get(data.get("version", -1))) is not None:
            data = upgrade(data)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StateError(f"stored state is corrupt: {error}") from error
    try:
        state = from_json(data, now_s)
    except OverflowError as error:  # a whole number that no float can hold
        raise StateError(f"stored state is corrupt: {error}") from error
    check_state(state)
    return state
