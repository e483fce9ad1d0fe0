"""Frozen dataclasses to plain JSON data and back, strictly: what does not fit its type is an error, never a guess."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

T = TypeVar("T")


def encode(value: object) -> Any:
    """Plain data (dict, list, str, number, bool, None) of a dataclass tree."""
    if dataclasses.is_dataclass(value):
        return {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple):
        return [encode(item) for item in value]
    if isinstance(value, Mapping):
        return {encode(key): encode(item) for key, item in value.items()}
    return value


def decode(kind: type[T], data: object) -> T:
    """Rebuild a value of a type from plain data.

    Args:
        kind: A dataclass whose fields are numbers, strings, enums, tuples, mappings, unions with None or dataclasses.
        data: What `encode` made.

    Raises:
        ValueError: The data does not fit, or holds a number that is not finite.
        TypeError: As ValueError, for a value of another shape.
    """
    return typing.cast("T", _decode(kind, data))


def _decode(kind: Any, data: Any) -> Any:
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        present = next(option for option in typing.get_args(kind) if option is not type(None))
        return None if data is None else _decode(present, data)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = typing.get_type_hints(kind)
        known = {field.name for field in dataclasses.fields(kind)}
        if not isinstance(data, dict) or not known >= data.keys():
            raise ValueError(f"{data!r} is no {kind.__name__}")
        return kind(**{name: _decode(hints[name], item) for name, item in data.items()})
    if origin is tuple:
        return _tuple(typing.get_args(kind), data)
    if origin is Mapping:
        key, item = typing.get_args(kind)
        return {_decode(key, name): _decode(item, value) for name, value in data.items()}
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind(data)
    return _scalar(kind, data)


def _tuple(kinds: tuple[Any, ...], data: Any) -> tuple[Any, ...]:
    if not isinstance(data, list):
        raise TypeError(f"{data!r} is no list")
    if len(kinds) == 2 and kinds[1] is Ellipsis:  # noqa: PLR2004 tuple[X, ...] has two arguments
        return tuple(_decode(kinds[0], item) for item in data)
    return tuple(_decode(kind, item) for kind, item in zip(kinds, data, strict=True))


def _scalar(kind: Any, data: Any) -> Any:
    if kind is float and isinstance(data, int | float) and not isinstance(data, bool):
        if not math.isfinite(data):
            raise ValueError(f"{data} is no number")
        return float(data)
    if kind in (int, str, bool) and type(data) is kind:
        return data
    raise TypeError(f"{data!r} is no {getattr(kind, '__name__', kind)}")
