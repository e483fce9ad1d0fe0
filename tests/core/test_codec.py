from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core import codec


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Leaf:
    number: float
    count: int = 0
    note: str = ""
    flag: bool = False


@dataclass(frozen=True, slots=True)
class Tree:
    leaves: tuple[Leaf, ...] = ()
    by_colour: Mapping[Colour, Leaf] = field(default_factory=dict)
    pair: tuple[float, tuple[float, ...]] = (0.0, ())
    maybe: float | None = None
    best: Leaf | None = None


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.builds(Leaf, NUMBERS, st.integers(-(2**53), 2**53), st.text(), st.booleans())
TREES = st.builds(
    Tree,
    st.lists(LEAVES, max_size=3).map(tuple),
    st.dictionaries(st.sampled_from(Colour), LEAVES),
    st.tuples(NUMBERS, st.lists(NUMBERS, max_size=3).map(tuple)),
    st.none() | NUMBERS,
    st.none() | LEAVES,
)


@given(TREES)
def test_what_is_encoded_is_json_and_comes_back_the_same(tree: Tree) -> None:
    assert codec.decode(Tree, json.loads(json.dumps(codec.encode(tree), allow_nan=False))) == tree


def test_a_whole_number_is_welcome_where_a_fraction_is_meant() -> None:
    assert codec.decode(Leaf, {"number": 3}) == Leaf(3.0)
    assert isinstance(codec.decode(Leaf, {"number": 3}).number, float)


def test_fields_with_defaults_may_be_missing() -> None:
    assert codec.decode(Tree, {}) == Tree()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({"number": math.nan}, id="NaN"),
        pytest.param({"number": math.inf}, id="infinity"),
        pytest.param({"number": "3"}, id="text for a number"),
        pytest.param({"number": True}, id="truth for a number"),
        pytest.param({"number": None}, id="nothing for a number"),
        pytest.param({"number": 1.0, "count": 1.5}, id="a fraction for a count"),
        pytest.param({"number": 1.0, "count": True}, id="truth for a count"),
        pytest.param({"number": 1.0, "flag": 1}, id="a count for truth"),
        pytest.param({"number": 1.0, "colour": "red"}, id="a field that does not exist"),
        pytest.param({}, id="a field that is missing"),
        pytest.param([1.0], id="a list for a mapping"),
        pytest.param("leaf", id="text for a mapping"),
        pytest.param(None, id="nothing at all"),
    ],
)
def test_what_does_not_fit_is_refused(data: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        codec.decode(Leaf, data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({"leaves": {"number": 1.0}}, id="a mapping for a list"),
        pytest.param({"leaves": "leaf"}, id="text for a list"),
        pytest.param({"pair": [1.0]}, id="a pair of one"),
        pytest.param({"pair": [1.0, [], 2.0]}, id="a pair of three"),
        pytest.param({"by_colour": {"green": {"number": 1.0}}}, id="an enum's unknown member"),
        pytest.param({"by_colour": []}, id="a list for a mapping by enum"),
        pytest.param({"maybe": "x"}, id="text for an optional number"),
    ],
)
def test_what_does_not_fit_inside_is_refused(data: object) -> None:
    with pytest.raises((ValueError, TypeError, AttributeError)):
        codec.decode(Tree, data)
