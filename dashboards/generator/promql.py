"""Selectors of our own metrics."""

from __future__ import annotations


def own(where: str, name: str, **labels: str) -> str:
    """A selector of one of our metrics.

    Args:
        where: Matchers of the services, as they stand between braces.
        name: Of the metric, without the prefix.
        labels: Labels with their exact values.
    """
    matchers = [where, *(f'{label}="{value}"' for label, value in labels.items())]
    return f"pd_autoscaler_{name}{{{','.join(matchers)}}}"
