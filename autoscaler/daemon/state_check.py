"""What a memory cannot say: numbers that no decision leaves, and from which the next ones would be wrong in silence."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from autoscaler.core.headroom import LEAST, MOST
from autoscaler.core.state import State, StateError

_SLACK = 1e-6  # of what was rounded
_LEAST: Mapping[str, float] = MappingProxyType(
    {
        "changes": float("-inf"),  # signed
        "covariance": float("-inf"),
        "pending": -1.0,  # a forecaster that was silent
        "season": -1.0,  # nothing was seen
        "squares_ratio": 1.0,
        "margin": LEAST,
        "unavoidable_ratio": float("-inf"),  # rates of counters may say that more were in time than came
    }
)
"""The least value of a field; 0 of all others."""
_MOST: Mapping[str, float] = MappingProxyType({"margin": MOST})


def check_state(state: State) -> None:
    """Refuse a memory with a number that cannot be.

    Raises:
        StateError: There is one; says where, and what is possible.
    """
    for path, field, value in _numbers(state, "", ""):
        least, most = _LEAST.get(field, 0.0), _MOST.get(field, float("inf"))
        if not least - _SLACK <= value <= most + _SLACK:
            possible = f"from {least:g} to {most:g}" if field in _MOST else f"{least:g} at least"
            raise StateError(f"stored state is corrupt: {path} is {value:g}, and can only be {possible}")


def _numbers(value: object, path: str, field: str) -> Iterator[tuple[str, str, float]]:
    """Each number with its path and the nearest field of a role, a fit, a forecast or such that holds it."""
    if isinstance(value, bool):
        return
    if isinstance(value, int | float):
        yield path, field, value
    elif dataclasses.is_dataclass(value):
        for one in dataclasses.fields(value):
            inner = field if field in _LEAST else one.name
            yield from _numbers(getattr(value, one.name), f"{path}.{one.name}".lstrip("."), inner)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _numbers(item, f"{path}.{key}", field)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _numbers(item, f"{path}[{index}]", field)
