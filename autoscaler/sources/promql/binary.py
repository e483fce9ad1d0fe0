"""Binary operators between scalars and instant vectors, with Prometheus' vector matching."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import promql_parser

from autoscaler.sources.promql.errors import EvaluationError
from autoscaler.sources.promql.labels import METRIC_NAME, Labels, drop, keep, replaced, value_of, without_name
from autoscaler.sources.promql.values import EMPTY, Vector, distinct

Ufunc: TypeAlias = Callable[[Any, Any], Any]

ARITHMETIC: Mapping[str, Ufunc] = MappingProxyType(
    {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "%": np.fmod, "^": np.power}
)
COMPARISONS: Mapping[str, Ufunc] = MappingProxyType(
    {
        "==": np.equal,
        "!=": np.not_equal,
        "<": np.less,
        "<=": np.less_equal,
        ">": np.greater,
        ">=": np.greater_equal,
    }
)
SET_OPERATORS = frozenset({"and", "or", "unless"})


@dataclass(frozen=True, slots=True)
class Matching:
    """Which elements of two vectors belong together.

    Attributes:
        names: Labels of `on`, or labels that `ignoring` leaves out.
        is_on: Whether it is `on`.
        include: Labels of `group_left` or `group_right`, taken from the side with one element.
        is_grouped: Whether the other side may have several elements a match.
        is_swapped: Whether the side with one element is the left one, `group_right`.
        is_bool: Whether a comparison gives 0 or 1 instead of a filter.
    """

    names: frozenset[str] = frozenset()
    is_on: bool = False
    include: tuple[str, ...] = ()
    is_grouped: bool = False
    is_swapped: bool = False
    is_bool: bool = False

    def signature(self, labels: Labels) -> Labels:
        """What two elements must have in common."""
        return keep(labels, self.names) if self.is_on else drop(labels, self.names | {METRIC_NAME})


def matching_of(modifier: promql_parser.BinModifier | None) -> Matching:
    """Read the parsed modifiers of an operator."""
    if modifier is None:
        return Matching()
    cardinality = promql_parser.VectorMatchCardinality
    labels = modifier.matching
    return Matching(
        names=frozenset(labels.labels) if labels else frozenset(),
        is_on=labels is not None and labels.type == promql_parser.LabelModifierType.Include,
        include=tuple(modifier.group_labels or ()),
        is_grouped=modifier.card in (cardinality.ManyToOne, cardinality.OneToMany),
        is_swapped=modifier.card == cardinality.OneToMany,
        is_bool=modifier.return_bool,
    )


def apply(op: str, left: float | Vector, right: float | Vector, matching: Matching) -> float | Vector:
    """Evaluate `left op right`.

    Raises:
        EvaluationError: The vectors match ambiguously, or two results have the same labels.
    """
    with np.errstate(all="ignore"):
        if isinstance(left, Vector) and isinstance(right, Vector):
            if op in SET_OPERATORS:
                return _set_operation(op, left, right, matching)
            return _vectors(op, left, right, matching)
        if isinstance(left, Vector):
            return _vector_and_scalar(op, left, left.values, right, is_bool=matching.is_bool)
        if isinstance(right, Vector):
            return _vector_and_scalar(op, right, left, right.values, is_bool=matching.is_bool)
        return float((ARITHMETIC.get(op) or COMPARISONS[op])(np.float64(left), right))


def _vector_and_scalar(op: str, vector: Vector, left: Any, right: Any, *, is_bool: bool) -> Vector:
    """A comparison without `bool` filters, and keeps the vector's values whichever side it stands on."""
    if op in ARITHMETIC:
        return Vector(vector.labels, ARITHMETIC[op](left, right)).unnamed()
    holds = COMPARISONS[op](left, right)
    return Vector(vector.labels, holds.astype(float)).unnamed() if is_bool else vector.where(holds)


def _vectors(op: str, left: Vector, right: Vector, matching: Matching) -> Vector:
    if not len(left) or not len(right):
        return EMPTY
    many, one = (right, left) if matching.is_swapped else (left, right)
    many, one = _paired(many, one, matching)
    left_values, right_values = (one.values, many.values) if matching.is_swapped else (many.values, one.values)
    if op in ARITHMETIC:
        values, kept = ARITHMETIC[op](left_values, right_values), np.full(len(many), fill_value=True)
    else:
        holds = COMPARISONS[op](left_values, right_values)
        values = holds.astype(float) if matching.is_bool else left_values
        kept = holds | matching.is_bool
    many, one, values = many.where(kept), one.where(kept), values[kept]
    if not matching.is_grouped:
        _require_one_to_one(many, matching)
    keeps_name = op in COMPARISONS and not matching.is_bool
    labels = [_joined(*pair, matching, keeps_name=keeps_name) for pair in zip(many.labels, one.labels, strict=True)]
    return distinct(Vector(labels, values))


def _paired(many: Vector, one: Vector, matching: Matching) -> tuple[Vector, Vector]:
    """The elements of `many` that have a match, and their matches in the same order."""
    matches: dict[Labels, int] = {}
    for index, labels in enumerate(one.labels):
        signature = matching.signature(labels)
        if signature in matches:
            raise EvaluationError(
                f"found duplicate series for the match group {dict(signature)} on the "
                f"{'left' if matching.is_swapped else 'right'} side of the operation: "
                f"{dict(one.labels[matches[signature]])} and {dict(labels)}; aggregate it, or match on more labels"
            )
        matches[signature] = index
    found = [matches.get(matching.signature(labels), -1) for labels in many.labels]
    matched = [index for index in found if index >= 0]
    return many.where(np.array(found) >= 0), Vector([one.labels[index] for index in matched], one.values[matched])


def _require_one_to_one(many: Vector, matching: Matching) -> None:
    signatures = [matching.signature(labels) for labels in many.labels]
    if len(set(signatures)) < len(signatures):
        raise EvaluationError("multiple matches for labels: many-to-one matching needs group_left or group_right")


def _joined(many: Labels, one: Labels, matching: Matching, *, keeps_name: bool) -> Labels:
    """The labels of a result: the matching ones of a pair, or of a group all of the many side and some of the other."""
    labels = many if keeps_name else without_name(many)
    if not matching.is_grouped:
        return keep(labels, matching.names) if matching.is_on else drop(labels, matching.names)
    if not matching.include:
        return labels
    return replaced(labels, {name: value_of(one, name) for name in matching.include})


def _set_operation(op: str, left: Vector, right: Vector, matching: Matching) -> Vector:
    left_signatures = [matching.signature(labels) for labels in left.labels]
    right_signatures = [matching.signature(labels) for labels in right.labels]
    if op == "or":
        present = set(left_signatures)
        added = right.where(np.array([signature not in present for signature in right_signatures], bool))
        return distinct(Vector([*left.labels, *added.labels], np.concatenate((left.values, added.values))))
    present = set(right_signatures)
    in_both = np.array([signature in present for signature in left_signatures], bool)
    return left.where(in_both if op == "and" else ~in_both)
