"""Few requests for many expressions: unions of labelled expressions.

`label_replace(a, "pd_signal", "0", "", "") or label_replace(b, "pd_signal", "1", "", "")` answers both; the label says
which element belongs to which, and keeps `or` from dropping any.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from autoscaler.sources.answers import Element

LABEL = "pd_signal"

_JOIN = "\nor "


def pack(expressions: Iterable[str], most_bytes: int) -> list[tuple[str, ...]]:
    """Divide expressions into groups whose union stays below a size; a longer one is a group of its own."""
    groups: list[list[str]] = [[]]
    size = 0
    for expression in expressions:
        cost = len(_arm(len(groups[-1]), expression).encode()) + len(_JOIN)
        if groups[-1] and size + cost > most_bytes:
            groups.append([])
            size = 0
        groups[-1].append(expression)
        size += cost
    return [tuple(group) for group in groups if group]


def union(group: Sequence[str]) -> str:
    """One expression for all of a group; a single one stays as it is."""
    if len(group) == 1:
        return group[0]
    return _JOIN.join(_arm(index, expression) for index, expression in enumerate(group))


def divide(group: Sequence[str], elements: Iterable[Element]) -> dict[str, tuple[Element, ...]]:
    """Give the elements of a union's answer back to the expressions of the group; drops what none asked for."""
    if len(group) == 1:
        return {group[0]: tuple(elements)}
    by_index = {str(index): expression for index, expression in enumerate(group)}
    divided: dict[str, list[Element]] = {expression: [] for expression in group}
    for element in elements:
        labels = dict(element.labels)
        expression = by_index.get(labels.pop(LABEL, ""))
        if expression is not None:
            divided[expression].append(Element(labels, element.value))
    return {expression: tuple(found) for expression, found in divided.items()}


def _arm(index: int, expression: str) -> str:
    # The line break ends a comment that the expression may end with.
    return f'label_replace({expression}\n, "{LABEL}", "{index}", "", "")'
