from __future__ import annotations

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.sources.answers import Element
from autoscaler.sources.batches import LABEL, divide, pack, union

EXPRESSIONS = st.lists(st.integers(1, 400).map(lambda length: "x" * length), max_size=30)


@given(EXPRESSIONS, st.integers(50, 2000))
def test_groups_hold_every_expression_once_in_order_and_stay_below_their_size(
    texts: list[str], most_bytes: int
) -> None:
    groups = pack(texts, most_bytes)

    assert [text for group in groups for text in group] == texts
    assert all(len(union(group).encode()) <= most_bytes for group in groups if len(group) > 1)


@pytest.mark.parametrize("text", ["a or b", "sum(a) # note", "a\n+ b", "a and on() b > 0", "vector(1)"])
def test_a_union_is_valid_whatever_its_members(text: str) -> None:
    tree = promql_parser.parse(union([text, "b", text]))

    assert tree.prettify().count(LABEL) == 3


def test_elements_go_back_to_the_expression_that_they_belong_to() -> None:
    group = ("a", "b", "c")
    elements = [Element({LABEL: "2", "pod": "x"}, 1.0), Element({LABEL: "0"}, 2.0), Element({LABEL: "2"}, 3.0)]

    assert divide(group, elements) == {
        "a": (Element({}, 2.0),),
        "b": (),
        "c": (Element({"pod": "x"}, 1.0), Element({}, 3.0)),
    }


def test_a_group_of_one_is_asked_and_answered_as_it_is() -> None:
    assert union(["sum(a)"]) == "sum(a)"
    assert divide(["sum(a)"], [Element({"pod": "x"}, 1.0)]) == {"sum(a)": (Element({"pod": "x"}, 1.0),)}
