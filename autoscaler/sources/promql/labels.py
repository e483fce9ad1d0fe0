"""Label sets: sorted tuples of (name, value) pairs, so that they hash, compare and are shared without copies."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeAlias

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""Sorted by name; the metric's name is the label `__name__`; a label with an empty value is no label."""

METRIC_NAME = "__name__"
BUCKET_BOUND = "le"
EXPORTED_PREFIX = "exported_"

NO_LABELS: Labels = ()


def make_labels(pairs: Mapping[str, str]) -> Labels:
    """Sort a mapping into a label set and drop its empty values."""
    return tuple(sorted((name, value) for name, value in pairs.items() if value))


def value_of(labels: Labels, name: str) -> str:
    """The value of a label; empty when it is missing, as in PromQL."""
    for pair in labels:
        if pair[0] == name:
            return pair[1]
    return ""


def keep(labels: Labels, names: Collection[str]) -> Labels:
    """The labels with these names."""
    return tuple([pair for pair in labels if pair[0] in names])


def drop(labels: Labels, names: Collection[str]) -> Labels:
    """The labels without these names."""
    return tuple([pair for pair in labels if pair[0] not in names])


def without_name(labels: Labels) -> Labels:
    """The labels without the metric's name."""
    if labels and labels[0][0] == METRIC_NAME:  # only a label in capitals sorts before it
        return labels[1:]
    return tuple([pair for pair in labels if pair[0] != METRIC_NAME])


def replaced(labels: Labels, changes: Mapping[str, str]) -> Labels:
    """The labels with some set to another value; an empty value removes the label."""
    return make_labels({**dict(labels), **changes})


def attach_target(scraped: Labels, target: Labels) -> Labels:
    """Add a target's labels to those of a scraped series, as Prometheus does with `honor_labels: false`.

    A scraped label that clashes is renamed to `exported_<name>`, with more prefixes until the name is free. The
    shortest name is renamed first.
    """
    merged = dict(scraped)
    clashes = sorted((name for name, _ in target if name in merged), key=len)
    taken = merged.keys() | {name for name, _ in target}
    exported = {}
    for name in clashes:
        free = EXPORTED_PREFIX + name
        while free in taken:
            free = EXPORTED_PREFIX + free
        taken.add(free)
        exported[free] = merged[name]
    return make_labels(merged | dict(target) | exported)
